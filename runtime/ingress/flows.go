package ingress

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Flows says which flows are to be forgotten, so that their next packet is judged anew.
type Flows struct {
	Gone map[netip.AddrPort]bool // backends that do not run any more: all their flows
	// Left are backends that run and get nothing new: their UDP flows only, as such have no end. A TCP one that was asked for and
	// is not answered stays, too: it is answered while the table is read, and would be cut off.
	Left   map[netip.AddrPort]bool
	Opened map[uint16]bool // UDP ports that are answered only now: what came there before went nowhere
	// Kept, where it is not nil, are the backends that run, to which alone flows may lead in the Subnets.
	Kept    map[netip.AddrPort]bool
	Subnets []netip.Prefix
}

// Empty reports whether there are none.
func (f Flows) Empty() bool {
	return len(f.Gone)+len(f.Left)+len(f.Opened) == 0 && (f.Kept == nil || len(f.Subnets) == 0)
}

// MatchConntrackFlow is netlink's filter interface.
func (f Flows) MatchConntrackFlow(c *netlink.ConntrackFlow) bool {
	changed := !c.Forward.DstIP.Equal(c.Reverse.SrcIP)
	if c.Forward.Protocol == unix.IPPROTO_UDP && !changed && f.Opened[c.Forward.DstPort] {
		return true
	}
	if !changed {
		return false
	}
	backend := addrPort(c.Reverse.SrcIP, c.Reverse.SrcPort)
	if f.Kept != nil && !f.Kept[backend] && slices.ContainsFunc(f.Subnets, func(n netip.Prefix) bool { return n.Contains(backend.Addr()) }) {
		return true
	}
	return f.Gone[backend] || c.Forward.Protocol == unix.IPPROTO_UDP && f.Left[backend]
}

func addrPort(ip net.IP, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), port)
}

// DropFlows makes connection tracking forget flows. It reads all that the host has, which takes a while on a busy one, and
// may run beside the other methods.
func (i *Ingress) DropFlows(f Flows) error {
	if f.Empty() {
		return nil
	}
	i.flows.Lock()
	defer i.flows.Unlock()
	if _, err := i.handle.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, f); err != nil {
		return fmt.Errorf("ingress: forget flows: %w", err)
	}
	return nil
}
