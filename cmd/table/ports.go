package table

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"berth/placement"
)

// Publisher is one port of a container, with compose's field names.
type Publisher struct {
	URL           string // host address; "" for a port that is only exposed
	TargetPort    int
	PublishedPort int // 0 for a port that is only exposed
	Protocol      string
}

// publishers are the ports in the order of the container's. A published port without an address is on all of them.
func publishers(ports []placement.Port) []Publisher {
	ps := make([]Publisher, 0, len(ports))
	for _, p := range ports {
		q := Publisher{URL: p.HostIP, TargetPort: int(p.Target), PublishedPort: int(p.Published), Protocol: p.Protocol}
		if q.PublishedPort != 0 && q.URL == "" {
			q.URL = "0.0.0.0"
		}
		ps = append(ps, q)
	}
	slices.SortFunc(ps, func(a, b Publisher) int {
		return cmp.Or(cmp.Compare(a.TargetPort, b.TargetPort), compareAddresses(a.URL, b.URL),
			cmp.Compare(a.PublishedPort, b.PublishedPort), strings.Compare(a.Protocol, b.Protocol))
	})
	return ps
}

// ingressText has ports in mode ingress as docker has those of its services, with every host's addresses as "*":
// "*:80->8000/tcp".
func ingressText(ports []placement.Port) []string {
	var texts []string
	for _, p := range ports {
		texts = append(texts, fmt.Sprintf("*:%d->%d/%s", p.Published, p.Target, p.Protocol))
	}
	return texts
}

// withoutIngress leaves out what is only exposed because it is published in mode ingress.
func withoutIngress(ports, ingress []placement.Port) []placement.Port {
	if len(ingress) == 0 {
		return ports
	}
	return slices.DeleteFunc(slices.Clone(ports), func(p placement.Port) bool {
		return p.Published == 0 && slices.ContainsFunc(ingress, func(q placement.Port) bool { return q.Target == p.Target && q.Protocol == p.Protocol })
	})
}

// reachable puts address in place of "all addresses": for IPv4 and IPv6, which would then say the same twice, once.
// Without an address the ports stay as they are.
func reachable(ports []placement.Port, address string) []placement.Port {
	if address == "" {
		return ports
	}
	var out []placement.Port
	for _, p := range ports {
		if p.Published != 0 && (p.HostIP == "" || p.HostIP == "0.0.0.0" || p.HostIP == "::") {
			p.HostIP = address
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// compareAddresses puts IPv4 before IPv6, each by value.
func compareAddresses(a, b string) int {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	return x.Compare(y)
}

// portsText is the docker command line's PORTS column (formatter.DisplayablePorts): neighbouring ports that are
// published under their own number, and those only exposed, become ranges ("0.0.0.0:80-82->80-82/tcp, 90/tcp"); after
// them come those published under another number ("0.0.0.0:8080->80/tcp").
func portsText(ports []placement.Port) string {
	type group struct{ address, protocol string }
	type span struct{ first, last int }
	var (
		texts, mappings []string
		order           []group
		open            = map[group]*span{}
	)
	text := func(g group, s span) string {
		t := strconv.Itoa(s.first)
		if s.last != s.first {
			t += "-" + strconv.Itoa(s.last)
		}
		if g.address != "" {
			t = net.JoinHostPort(g.address, t) + "->" + t
		}
		return t + "/" + g.protocol
	}
	for _, p := range publishers(ports) {
		if p.URL != "" && p.PublishedPort != p.TargetPort {
			mappings = append(mappings, fmt.Sprintf("%s->%d/%s",
				net.JoinHostPort(p.URL, strconv.Itoa(p.PublishedPort)), p.TargetPort, p.Protocol))
			continue
		}
		g := group{p.URL, p.Protocol}
		switch s := open[g]; {
		case s == nil:
			open[g] = &span{p.TargetPort, p.TargetPort}
			order = append(order, g)
		case p.TargetPort == s.last+1:
			s.last = p.TargetPort
		case p.TargetPort != s.last:
			texts = append(texts, text(g, *s))
			*s = span{p.TargetPort, p.TargetPort}
		}
	}
	for _, g := range order {
		texts = append(texts, text(g, *open[g]))
	}
	return strings.Join(append(texts, mappings...), ", ")
}
