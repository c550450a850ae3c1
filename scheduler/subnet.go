package scheduler

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// overlap names what a subnet overlaps: another overlay or a host's route; "" when nothing.
func (u *upper) overlap(subnet netip.Prefix, taken map[netip.Prefix]string) string {
	clash := ""
	for p, name := range taken {
		if p.Overlaps(subnet) && (clash == "" || name < clash) {
			clash = name
		}
	}
	if clash != "" {
		return "network " + clash
	}
	for i := range u.o.Hosts {
		for _, r := range u.o.Hosts[i].Routes {
			if r.Bits() > 0 && r.Overlaps(subnet) && !u.leaves(u.o.Hosts[i].Name, r) {
				return fmt.Sprintf("route %s of host %s", r, u.o.Hosts[i].Name)
			}
		}
	}
	return ""
}

// warnOfRoutes tells of routes that came to lie over a network that stands already.
func (u *upper) warnOfRoutes(v *overlay) {
	for i := range u.o.Hosts {
		h := &u.o.Hosts[i]
		if _, on := v.Blocks[h.Name]; !on {
			continue
		}
		for _, r := range h.Routes {
			for _, subnet := range []netip.Prefix{v.Subnet, v.Subnet6} {
				if subnet.IsValid() && r.Bits() > 0 && r.Overlaps(subnet) && !u.leaves(h.Name, r) {
					u.warn("network %s: a route %s of host %s lies over its subnet %s, so addresses of one of them are not reached; remove the route, or run berth down and up for another subnet",
						v.Name, r, h.Name, subnet)
				}
			}
		}
	}
}

// wantedBits is the prefix length of a network that berth chooses: the tasks fit into one half, and the smallest
// blocks of all hosts into the other.
func wantedBits(tasks, hosts int) int {
	bits := subnetBits
	for bits > 12 && 2*max(tasks, hosts*minBlock) > 1<<(32-bits) {
		bits--
	}
	return bits
}

// freeSubnet is the lowest free subnet of the pool with so many bits, or of all of a pool's prefix that is smaller.
func (u *upper) freeSubnet(bits int, taken map[netip.Prefix]string) (netip.Prefix, error) {
	clash := ""
	for _, pool := range u.o.Pool {
		if !pool.Addr().Is4() {
			continue
		}
		size := max(bits, pool.Bits())
		for p := netip.PrefixFrom(pool.Masked().Addr(), size); p.IsValid() && pool.Contains(p.Addr()); {
			if clash = u.overlap(p, taken); clash == "" {
				return p, nil
			}
			next := last(p).Next()
			if !next.IsValid() {
				break
			}
			p = netip.PrefixFrom(next, size)
		}
	}
	if clash == "" {
		return netip.Prefix{}, fmt.Errorf("the pool of subnets is empty; set networks.pool in the inventory")
	}
	return netip.Prefix{}, fmt.Errorf("no subnet of the pool %v is free (the last one overlaps %s); set networks.pool in the inventory", u.o.Pool, clash)
}

func firstIPv4(all []netip.Prefix) netip.Prefix {
	for _, p := range all {
		if p.Addr().Is4() {
			return p.Masked()
		}
	}
	return netip.Prefix{}
}

// last is the highest address of an IPv4 prefix.
func last(p netip.Prefix) netip.Addr {
	return fromUint(toUint(p.Masked().Addr()) | uint32(1<<(32-p.Bits())-1))
}

func toUint(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func fromUint(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
