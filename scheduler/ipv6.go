package scheduler

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"

	"berth/placement"
)

// A network with IPv6 gives each address of its IPv4 subnet a twin, at the same distance from the start of the IPv6
// subnet. So one bookkeeping serves both: what is unique, in a block or reserved in one family is so in the other. A
// static ipv6_address keeps the place of the IPv4 address whose twin it is, as far as it is one.

// wantsIPv6 reports whether the file gives a network IPv6: it says so, or gives a subnet of it.
func wantsIPv6(n *placement.NetworkSpec) bool {
	return firstIPv6(n.Subnets).IsValid() || n.Spec != nil && n.Spec.EnableIPv6 != nil && *n.Spec.EnableIPv6
}

func firstIPv6(all []netip.Prefix) netip.Prefix {
	for _, p := range all {
		if p.Addr().Is6() {
			return p.Masked()
		}
	}
	return netip.Prefix{}
}

// subnet6 is the IPv6 subnet of a new network beside its IPv4 subnet: the one in the file, or a free one of the cluster's
// unique local addresses; zero without IPv6.
func (u *upper) subnet6(n *placement.NetworkSpec, subnet netip.Prefix, taken map[netip.Prefix]string) (netip.Prefix, error) {
	given := firstIPv6(n.Subnets)
	switch {
	case !wantsIPv6(n):
		return netip.Prefix{}, nil
	case !given.IsValid():
		return u.freeSubnet6(taken)
	case 128-given.Bits() < 32-subnet.Bits():
		return netip.Prefix{}, fmt.Errorf("the IPv6 subnet %s has less room than the IPv4 subnet %s; make it a /%d or larger", given, subnet, 128-(32-subnet.Bits()))
	}
	if clash := u.overlap(given, taken); clash != "" {
		return netip.Prefix{}, fmt.Errorf("subnet %s overlaps %s; choose another ipam subnet", given, clash)
	}
	return given, nil
}

// freeSubnet6 is the lowest free /64 of the cluster's own /48: a unique local prefix (RFC 4193) whose 40 random bits are
// a hash of the first host's engine, so that clusters differ and one plan made twice does not.
func (u *upper) freeSubnet6(taken map[netip.Prefix]string) (netip.Prefix, error) {
	seed := ""
	if len(u.o.Hosts) > 0 {
		seed = u.o.Hosts[0].EngineID
	}
	sum := sha256.Sum256([]byte("berth\x00" + seed))
	b := [16]byte{0xfd}
	copy(b[1:6], sum[:5])
	clash := ""
	for id := uint16(1); id != 0; id++ {
		binary.BigEndian.PutUint16(b[6:8], id)
		p := netip.PrefixFrom(netip.AddrFrom16(b), 64)
		if clash = u.overlap(p, taken); clash == "" {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("no IPv6 subnet is free (the last one overlaps %s); set one in ipam.config.subnet", clash)
}

// checkIPv6 refuses to use a network whose record and file differ in IPv6.
func (v *overlay) checkIPv6(n *placement.NetworkSpec) error {
	switch given := firstIPv6(n.Subnets); {
	case wantsIPv6(n) && !v.Subnet6.IsValid():
		return fmt.Errorf("it exists without IPv6 and the file wants it; run berth down first")
	case !wantsIPv6(n) && v.Subnet6.IsValid():
		return fmt.Errorf("it exists with IPv6 and the file does not want it; run berth down first")
	case given.IsValid() && given != v.Subnet6:
		return fmt.Errorf("it exists with subnet %s and the file says %s; run berth down first", v.Subnet6, given)
	}
	return nil
}

// twin is the IPv6 address that goes with an IPv4 address of the network; zero without IPv6.
func (v *overlay) twin(ip netip.Addr) netip.Addr {
	if !v.Subnet6.IsValid() {
		return netip.Addr{}
	}
	b := v.Subnet6.Addr().As16()
	at := binary.BigEndian.Uint32(b[12:]) + toUint(ip) - toUint(v.Subnet.Addr())
	binary.BigEndian.PutUint32(b[12:], at)
	return netip.AddrFrom16(b)
}

// place is the IPv4 address that an address of either family keeps from others; ok is false for one of IPv6 that is
// nobody's twin.
func (v *overlay) place(ip netip.Addr) (netip.Addr, bool) {
	if ip.Is4() || !v.Subnet6.IsValid() {
		return ip, ip.Is4()
	}
	b, base := ip.As16(), v.Subnet6.Addr().As16()
	offset := binary.BigEndian.Uint32(b[12:]) - binary.BigEndian.Uint32(base[12:])
	four := fromUint(toUint(v.Subnet.Addr()) + offset)
	return four, v.Subnet.Contains(four) && v.twin(four) == ip
}

// block is a host's part of the network.
func (v *overlay) block(r netip.Prefix) placement.Block {
	b := placement.Block{Range: r, Gateway: r.Addr().Next()}
	if v.Subnet6.IsValid() {
		b.Range6, b.Gateway6 = netip.PrefixFrom(v.twin(r.Addr()), 128-(32-r.Bits())), v.twin(b.Gateway)
	}
	return b
}
