package overlay

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// FindUnderlay chooses where the host's tunnels begin. hint is the address that the inventory knows: it is taken when
// an interface has it. Otherwise (a name, an address behind NAT) it is the source address of the route to the first
// peer, or without peers of the default route, of the hint's family. The MTU is the interface's; paths may carry less, see
// RouteMTU and Probe.
func (o *Overlay) FindUnderlay(hint netip.Addr, peers []netip.Addr) (Underlay, error) {
	hint = hint.Unmap()
	six := hint.Is6() || !hint.IsValid() && len(peers) > 0 && peers[0].Is6()
	addrs, err := netlinkRetry(func() ([]netlink.Addr, error) { return o.handle.AddrList(nil, int(familyOf(six))) })
	if err != nil {
		return Underlay{}, fmt.Errorf("overlay: find the underlay: list addresses: %w", err)
	}
	source := hint
	index := indexOf(addrs, source)
	if index == 0 {
		targets := slices.DeleteFunc(slices.Clone(peers), func(p netip.Addr) bool { return p.Is6() != six })
		if hint.IsValid() {
			targets = append(targets, hint)
		}
		source = o.source(append(targets, outside(six)))
		index = indexOf(addrs, source)
	}
	if index == 0 {
		return Underlay{}, fmt.Errorf("overlay: find the underlay: no interface has %s and there is no default route; "+
			"give the host's ip: in hosts.yml", printable(hint))
	}
	link, err := o.handle.LinkByIndex(index)
	if err != nil {
		return Underlay{}, fmt.Errorf("overlay: find the underlay: read the interface of %s: %w", source, err)
	}
	return Underlay{Addr: source, Device: link.Attrs().Name, MTU: familyMTU(link.Attrs(), six)}, nil
}

// familyMTU is what an interface carries: for IPv6 routers may have said less than its own MTU, and the kernel keeps to it.
func familyMTU(l *netlink.LinkAttrs, six bool) int {
	if six {
		b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + l.Name + "/mtu")
		if mtu, wrong := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && wrong == nil {
			return min(l.MTU, mtu)
		}
	}
	return l.MTU
}

// outside is an address that only the default route leads to (TEST-NET-1, RFC 5737; RFC 3849).
func outside(six bool) netip.Addr {
	if six {
		return netip.MustParseAddr("2001:db8::1")
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, 1})
}

// source is the address this host uses towards the first target that it has a route to.
func (o *Overlay) source(targets []netip.Addr) netip.Addr {
	for _, t := range targets {
		routes, err := o.handle.RouteGet(t.AsSlice())
		if err != nil || len(routes) == 0 {
			continue
		}
		if a, ok := netip.AddrFromSlice(routes[0].Src); ok && !a.Unmap().IsLoopback() {
			return a.Unmap()
		}
	}
	return netip.Addr{}
}

func indexOf(addrs []netlink.Addr, want netip.Addr) int {
	for _, a := range addrs {
		if got, ok := netip.AddrFromSlice(a.IP); ok && want.IsValid() && got.Unmap() == want {
			return a.LinkIndex
		}
	}
	return 0
}

func printable(a netip.Addr) string {
	if a.IsValid() {
		return a.String()
	}
	return "an address from the inventory"
}

// Routes returns the networks that the host routes, IPv4 and IPv6, sorted: the subnets of new networks must not overlap
// them. Left out are default routes, berth's own bridges, and what belongs to one link only (link-local, multicast).
func (o *Overlay) Routes() ([]netip.Prefix, error) {
	o.mu.Lock()
	links, err := o.dumpLinks()
	o.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("overlay: list routes: %w", err)
	}
	own := map[int]bool{}
	for _, l := range links {
		if _, ok := l.ours(); ok {
			own[l.Index] = true
		}
	}
	var out []netip.Prefix
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		// With a table of 0 the filter passes all tables, the policy routing ones too.
		routes, err := netlinkRetry(func() ([]netlink.Route, error) {
			return o.handle.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return nil, fmt.Errorf("overlay: list routes: %w", err)
		}
		for _, r := range routes {
			if r.Dst == nil || own[r.LinkIndex] || r.Table == unix.RT_TABLE_LOCAL {
				continue
			}
			addr, ok := netip.AddrFromSlice(r.Dst.IP)
			addr = addr.Unmap()
			bits, _ := r.Dst.Mask.Size()
			if ok && bits > 0 && !addr.IsLinkLocalUnicast() && !addr.IsMulticast() && !addr.IsLoopback() {
				out = append(out, netip.PrefixFrom(addr, bits).Masked())
			}
		}
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return slices.Compact(out), nil
}

// netlinkRetry repeats a listing that changed while it was read, and in the end takes what there is.
func netlinkRetry[T any](list func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		out, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return out, err
		}
		if try == dumpRetries {
			return out, nil
		}
	}
}
