package cli

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"berth/placement"
)

func portCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "port", Usage: "print the address that a port of a service is published at", ArgsUsage: "SERVICE[.N] PRIVATE_PORT",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "protocol", Value: "tcp", Usage: "tcp or udp"},
			&cli.IntFlag{Name: "index", Usage: "of replica `N` of the service (default: the first that runs)"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() < 2 {
				return fmt.Errorf("port requires at least 2 arg(s), only received %d: SERVICE PRIVATE_PORT", c.NArg())
			}
			number, err := strconv.ParseUint(c.Args().Get(1), 10, 16)
			if err != nil {
				return fmt.Errorf("port: %q is not a port number", c.Args().Get(1))
			}
			return s.with(what{fileOptional: true, silent: true}, func(ss *session) error {
				return ss.port(c.Args().First(), uint16(number), strings.ToLower(c.String("protocol")))
			})(c)
		},
	}
}

func (ss *session) port(service string, number uint16, protocol string) error {
	t, err := ss.target(service, ss.c.Int("index"))
	if err != nil {
		return err
	}
	ct, err := ss.running(ss.c.Context, t)
	if err != nil {
		return fmt.Errorf("port: %w", err)
	}
	if i := slices.IndexFunc(ct.Ingress, func(p placement.Port) bool { return p.Target == number && p.Protocol == protocol }); i >= 0 {
		return ss.ingressPort(&ct, ct.Ingress[i])
	}
	p, err := publishedPort(&ct, number, protocol)
	if err != nil {
		return fmt.Errorf("port: %w", err)
	}
	ip := p.HostIP
	if ss.inv.Cluster() {
		ip = ss.addressOf(ct.Host, ip)
		fmt.Fprintf(ss.env.Stderr, "%s is on host %s\n", ct.Task, ct.Host)
	}
	fmt.Fprintln(ss.env.Stdout, net.JoinHostPort(cmp.Or(ip, "0.0.0.0"), strconv.Itoa(int(p.Published))))
	return nil
}

// ingressPort prints where every host answers, at the host of the container.
func (ss *session) ingressPort(ct *placement.Container, p placement.Port) error {
	fmt.Fprintf(ss.env.Stderr, "port %s is in mode ingress: every host answers it\n", p)
	fmt.Fprintln(ss.env.Stdout, net.JoinHostPort(cmp.Or(ss.addressOf(ct.Host, ""), "0.0.0.0"), strconv.Itoa(int(p.Published))))
	return nil
}

// addressOf is where a port that is bound to an address of a host is reached.
func (ss *session) addressOf(host, bound string) string {
	i := slices.IndexFunc(ss.inv.Hosts, func(h placement.InventoryHost) bool { return h.Name == host })
	return reachableAt(placement.Host{IP: ss.inv.Hosts[i].IP, Address: ss.cluster.Engines()[host].Address()}, bound)
}

// publishedPort finds what a container's port is published as: IPv4 first, then the lowest number.
func publishedPort(ct *placement.Container, number uint16, protocol string) (placement.Port, error) {
	var candidates, others []placement.Port
	for _, p := range ct.Ports {
		switch {
		case p.Published == 0:
		case p.Target == number && p.Protocol == protocol:
			candidates = append(candidates, p)
		default:
			others = append(others, p)
		}
	}
	if len(candidates) == 0 {
		var texts []string
		for _, p := range others {
			if t := fmt.Sprintf("%d/%s", p.Target, p.Protocol); !slices.Contains(texts, t) {
				texts = append(texts, t)
			}
		}
		return placement.Port{}, fmt.Errorf("no port %d/%s for container %s: it publishes %s", number, protocol, ct.Name,
			cmp.Or(strings.Join(texts, ", "), "none"))
	}
	v6 := func(p placement.Port) int { return strings.Count(p.HostIP, ":") }
	slices.SortFunc(candidates, func(a, b placement.Port) int {
		return cmp.Or(cmp.Compare(v6(a), v6(b)), cmp.Compare(a.Published, b.Published), strings.Compare(a.HostIP, b.HostIP))
	})
	return candidates[0], nil
}

// reachableAt is where a port that is bound to an address of a host is reached from elsewhere: the host's own address in
// place of "all addresses", as far as it is known.
func reachableAt(h placement.Host, bound string) string {
	if ip, err := netip.ParseAddr(bound); err == nil && !ip.IsUnspecified() {
		return bound
	}
	if u, err := url.Parse(h.Address); h.IP == "" && err == nil && u.Scheme != "unix" && u.Hostname() != "" {
		return u.Hostname()
	}
	return cmp.Or(h.IP, bound)
}
