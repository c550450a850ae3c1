package overlay

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ensureGateway gives the bridge an address that the engine gave it once; a bridge that was deleted by hand and made
// anew lacks it, and the engine does not look again before its next start.
func (o *Overlay) ensureGateway(vni uint32, gateway netip.Prefix, have *Dump) error {
	ip := gateway.Addr()
	if !gateway.IsValid() || have.Addresses[ip] {
		return nil
	}
	b := []byte{family(ip), byte(gateway.Bits()), 0, unix.RT_SCOPE_UNIVERSE}
	if ip.Is6() {
		b[2] = unix.IFA_F_NODAD // the store has seen to it that nobody else has it
		allowIPv6(BridgeName(vni))
	}
	b = order.AppendUint32(b, uint32(have.Bridge.Index))
	b = appendAttr(b, unix.IFA_LOCAL, ip.AsSlice())
	b = appendAttr(b, unix.IFA_ADDRESS, ip.AsSlice())
	if ip.Is4() {
		b = appendAttr(b, unix.IFA_BROADCAST, broadcast(gateway).AsSlice())
	}
	if err := o.conn.one(message{unix.RTM_NEWADDR, replace, b}); err != nil {
		return fmt.Errorf("overlay: give %s the address %s: %w", BridgeName(vni), gateway, err)
	}
	return nil
}

// allowIPv6 lets a link have IPv6 addresses on a host where new links have none by default, as the engine does. Where it
// cannot, giving the address fails and says so.
func allowIPv6(link string) {
	path := "/proc/sys/net/ipv6/conf/" + link + "/disable_ipv6"
	if value, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(value)) == "1" {
		_ = os.WriteFile(path, []byte("0"), 0)
	}
}

// engineLinkLocal is the address that Engine 20.10 puts on every bridge. On one network that spans hosts it is there
// twice, and duplicate address detection complains for ever.
var engineLinkLocal = netip.MustParseAddr("fe80::1")

func (o *Overlay) dropLinkLocal(have *Dump) {
	if !have.Addresses[engineLinkLocal] {
		return
	}
	b := []byte{unix.AF_INET6, 64, 0, 0}
	b = order.AppendUint32(b, uint32(have.Bridge.Index))
	b = appendAttr(b, unix.IFA_LOCAL, engineLinkLocal.AsSlice())
	if err := o.conn.one(message{unix.RTM_DELADDR, 0, b}); err != nil {
		o.log.Debug("remove fe80::1", "bridge", have.Bridge.Name, "err", err)
	}
}

// broadcast is the highest address of an IPv4 prefix.
func broadcast(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}
