package scheduler

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"

	"berth/placement"
)

// carve gives each host that gets a task on the network, or answers a port for one, its block, from the top of the
// subnet downward.
func (u *upper) carve(v *overlay, users []*task) error {
	endpoints := map[netip.Addr]bool{}
	for _, e := range slices.Concat(u.o.Endpoints, u.o.Guests) {
		if e.Network == v.Name {
			endpoints[e.IP] = true
		}
	}
	reachable := 0
	for i := range u.o.Hosts {
		if u.o.Hosts[i].State == placement.Ready {
			reachable++
		}
	}
	size := blockSize(v.Subnet, reachable)
	needed := map[string]bool{}
	for _, t := range users {
		needed[t.host()] = true
	}
	for i := range u.o.Hosts {
		if h := &u.o.Hosts[i]; u.answers(h, v.Name) {
			needed[h.Name] = true
		}
	}
	for i := range u.o.Hosts {
		host := u.o.Hosts[i].Name
		if _, ok := v.Blocks[host]; ok || !needed[host] {
			continue
		}
		r, ok := v.freeBlock(size, endpoints)
		if !ok {
			return fmt.Errorf("no block of %d addresses is free in the subnet %s for host %s; use a larger subnet", size, v.Subnet, host)
		}
		v.Blocks[host] = v.block(r)
		v.changed = true
	}
	for host, b := range v.Blocks {
		for ip := b.Range.Addr(); b.Range.Contains(ip); ip = ip.Next() {
			v.used[ip] = "the engine of host " + host + " (its block is " + b.Range.String() + ")"
		}
	}
	return nil
}

// blockSize is the largest power of two up to maxBlock that leaves half of the subnet to the tasks.
func blockSize(subnet netip.Prefix, hosts int) int {
	total := 1 << (32 - subnet.Bits())
	size := maxBlock
	for size > minBlock && size*hosts > total/2 {
		size /= 2
	}
	return size
}

// freeBlock finds the highest aligned range that holds nothing, outside the file's ip_range if possible. It never
// looks twice at the same range: what was occupied stays so.
func (v *overlay) freeBlock(size int, endpoints map[netip.Addr]bool) (netip.Prefix, bool) {
	prefix := 32 - bits.TrailingZeros(uint(size))
	if prefix < v.Subnet.Bits() {
		return netip.Prefix{}, false
	}
	lowest, top := uint64(toUint(v.Subnet.Addr())), uint64(toUint(last(v.Subnet)))+1
	if v.above == 0 {
		v.above = top
	}
	for {
		for v.above >= lowest+uint64(size) {
			v.above -= uint64(size)
			p := netip.PrefixFrom(fromUint(uint32(v.above)), prefix)
			if v.pool != v.Subnet && !v.intoRange && p.Overlaps(v.pool) || v.occupied(p, endpoints) {
				continue
			}
			return p, true
		}
		if v.pool == v.Subnet || v.intoRange {
			return netip.Prefix{}, false
		}
		v.intoRange, v.above = true, top
	}
}

// occupied reports whether something has an address in p. The broadcast address at the top does not count: no engine
// hands it out.
func (v *overlay) occupied(p netip.Prefix, endpoints map[netip.Addr]bool) bool {
	for _, b := range v.Blocks {
		if b.Range.Overlaps(p) {
			return true
		}
	}
	for ip := p.Addr(); p.Contains(ip); ip = ip.Next() {
		if _, ok := v.reserved[ip]; ok || endpoints[ip] {
			return true
		}
		if who, ok := v.used[ip]; ok && who != "broadcast" {
			return true
		}
	}
	return false
}
