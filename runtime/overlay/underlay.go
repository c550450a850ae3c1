package overlay

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// FindUnderlay chooses where the host's tunnels begin. hint is the address that the inventory knows: it is taken when
// an interface has it. Otherwise (a name, an address behind NAT) it is the source address of the route to the first
// peer, or without peers of the default route. The MTU is the interface's; paths may carry less, see RouteMTU and Probe.
func (o *Overlay) FindUnderlay(hint netip.Addr, peers []netip.Addr) (Underlay, error) {
	addrs, err := netlinkRetry(func() ([]netlink.Addr, error) { return o.handle.AddrList(nil, unix.AF_INET) })
	if err != nil {
		return Underlay{}, fmt.Errorf("overlay: find the underlay: list addresses: %w", err)
	}
	hint = hint.Unmap()
	source := hint
	index := indexOf(addrs, source)
	if index == 0 {
		targets := slices.Clone(peers)
		if hint.IsValid() && hint.Is4() {
			targets = append(targets, hint)
		}
		source = o.source(targets)
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
	return Underlay{Addr: source, Device: link.Attrs().Name, MTU: link.Attrs().MTU}, nil
}

// source is the address this host uses towards the first target that it has a route to, last towards the world.
func (o *Overlay) source(targets []netip.Addr) netip.Addr {
	world := netip.AddrFrom4([4]byte{192, 0, 2, 1}) // TEST-NET-1 (RFC 5737): only the default route leads there
	for _, t := range append(targets, world) {
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
