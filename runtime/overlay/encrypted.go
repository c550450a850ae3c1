package overlay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// port is a network's VXLAN port.
type port struct {
	index int
	lower int // the underlay device's index: a link-local VTEP is somewhere only together with it
}

// lowers are the indexes of the underlay devices by name.
type lowers map[string]int

// underlay is where the network's tunnel begins.
func (n *Network) underlay(s *State) Underlay {
	if n.Encrypted {
		return n.Underlay
	}
	return s.Underlay
}

// Overhead is what the tunnel takes of this underlay's MTU, bytes.
func (u Underlay) Overhead() int {
	if u.Addr.Is6() {
		return Overhead + 20
	}
	return Overhead
}

// vtepAttrs name a VTEP in a forwarding entry.
func (p port) vtepAttrs(b []byte, vtep netip.Addr) []byte {
	b = appendAttr(b, unix.NDA_DST, vtep.AsSlice())
	if vtep.IsLinkLocalUnicast() {
		b = appendAttr(b, unix.NDA_IFINDEX, u32(uint32(p.lower)))
	}
	return b
}

// localAttrs say where a VXLAN port begins. WireGuard protects what goes through a link-local one, so that a checksum
// would be computed for nothing. Elsewhere an IPv6 header has no other protection, and some firewalls drop what has none
// (RFC 6936 section 3); with it the kernel reuses the inner one, so it costs next to nothing.
func localAttrs(data []byte, local netip.Addr) []byte {
	if local.Is4() {
		return appendAttr(data, nl.IFLA_VXLAN_LOCAL, local.AsSlice())
	}
	data = appendAttr(data, nl.IFLA_VXLAN_LOCAL6, local.AsSlice())
	data = appendAttr(data, nl.IFLA_VXLAN_UDP_ZERO_CSUM6_TX, u8(local.IsLinkLocalUnicast()))
	return appendAttr(data, nl.IFLA_VXLAN_UDP_ZERO_CSUM6_RX, u8(true))
}

// moveTunnel gives a VXLAN port another link-local address of its device, without a gap.
func moveTunnel(t Link, to netip.Addr) message {
	data := appendAttr(nil, nl.IFLA_VXLAN_ID, u32(t.VNI))
	data = appendAttr(data, nl.IFLA_VXLAN_LINK, u32(uint32(t.Lower)))
	data = appendAttr(data, nl.IFLA_VXLAN_LOCAL6, to.AsSlice())
	return message{unix.RTM_NEWLINK, 0, append(ifinfo(unix.AF_UNSPEC, t.Index, 0), linkInfo("vxlan", data)...)}
}

// Move gives all tunnels that begin at one link-local address the other one.
func (o *Overlay) Move(ctx context.Context, from, to netip.Addr) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	links, err := o.dumpLinks()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var msgs []message
	for _, l := range links {
		if _, ok := l.ours(); ok && l.Kind == "vxlan" && l.Local == from {
			msgs = append(msgs, moveTunnel(l, to))
		}
	}
	if lower := lowerOf(links, from); lower != 0 {
		msgs = append(msgs, passingRoute(lower, unix.RTM_NEWROUTE), passingRoute(lower, unix.RTM_DELROUTE))
	}
	if err := errors.Join(o.conn.batch(msgs)...); err != nil {
		return fmt.Errorf("overlay: move tunnels from %s to %s: %w", from, to, err)
	}
	return nil
}

// lowerOf is the device under the tunnels that begin at an address; 0 when there are none.
func lowerOf(links []Link, local netip.Addr) int {
	for _, l := range links {
		if _, ok := l.ours(); ok && l.Kind == "vxlan" && l.Local == local {
			return l.Lower
		}
	}
	return 0
}

// passingMetric is that of a route that nothing uses.
const passingMetric = 1<<31 + Group

// passingRoute adds or removes a route to link-local addresses. A VXLAN port remembers for each destination the route and
// the source address that it last used, also when its own address has changed meanwhile; a change in the table makes the
// kernel look them up again.
func passingRoute(device int, kind uint16) message {
	prefix := netip.MustParsePrefix("fe80::/64")
	b := []byte{unix.AF_INET6, byte(prefix.Bits()), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0}
	b = appendAttr(b, unix.RTA_DST, prefix.Addr().AsSlice())
	b = appendAttr(b, unix.RTA_OIF, u32(uint32(device)))
	b = appendAttr(b, unix.RTA_PRIORITY, u32(passingMetric))
	if kind == unix.RTM_DELROUTE {
		return message{kind, 0, b}
	}
	return message{kind, unix.NLM_F_CREATE, b}
}

// closePlain deletes the tunnel of an encrypted network that is not encrypted: one that a berth made which did not know the
// option yet.
func (o *Overlay) closePlain(n *Network, have *Dump) error {
	if t := have.Tunnel; n.Encrypted && t.Index != 0 && t.Kind == "vxlan" && !t.Local.IsLinkLocalUnicast() {
		return o.deleteLink(t.Index)
	}
	return nil
}
