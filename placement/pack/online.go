package pack

import (
	"slices"
)

// Online places items one at a time, each for good. It keeps the hosts in grids by what they have free, and for each
// item looks for the host with the best score. That is a matter of a microsecond with thousands of hosts, for items that
// are asked of CPU and memory only; where anything else matters, all hosts are gone through.
//
// Hosts are opened before the others are full when an item would leave too much stranded there, but only while the
// others have less than a quarter free of what all items take. An Online is not safe for concurrent use.
type Online struct {
	hosts  []onlineHost
	free   []int64 // by host and resource
	d      int     // resources
	grids  []*grid
	scales [2]int64 // the largest size of a host
	load   [2]int64 // scaled: what all items on the hosts take
	room   [2]int64 // scaled: what the hosts in use have free
	keys   []held   // nil while no host and no item has any
}

type onlineHost struct {
	grid, at int32 // where it is
	used     bool
}

// shapes is how many sizes of hosts are told apart.
const shapes = 8

// NewOnline sets up the hosts. granule is the measure of which most demands of the first two resources are multiples:
// 50 millicores and 64 MiB; it is doubled until a host has no more than 256.
func NewOnline(hosts []Host, granule [2]int64) *Online {
	o := &Online{hosts: make([]onlineHost, len(hosts)), d: 2}
	for i := range hosts {
		o.d = max(o.d, len(hosts[i].Free))
		for j := range o.scales {
			o.scales[j] = max(o.scales[j], hosts[i].size(j))
		}
	}
	o.free = make([]int64, len(hosts)*o.d)
	for i := range hosts {
		h := &hosts[i]
		copy(o.free[i*o.d:], h.Free)
		if len(h.Has)+len(h.Avoids) > 0 {
			o.hold(int32(i), h.Has, h.Avoids)
		}
		o.hosts[i].used = h.Used
		o.hosts[i].grid = o.gridOf(h, granule)
		for j := range o.load {
			if h.Used {
				o.load[j] += scale(h.size(j)-amount(h.Free, j), o.scales[j])
				o.room[j] += scale(amount(h.Free, j), o.scales[j])
			}
		}
		o.enter(int32(i))
	}
	return o
}

func (h *Host) size(resource int) int64 {
	if h.Size == nil {
		return max(amount(h.Free, resource), 0)
	}
	return max(amount(h.Size, resource), 0)
}

// gridOf is the grid for hosts of that size that are in use or not.
func (o *Online) gridOf(h *Host, granule [2]int64) int32 {
	var size, step, grain [2]int64
	for j := range size {
		grain[j] = max(granule[j], 1)
		for h.size(j)/grain[j] >= cells {
			grain[j] *= 2
		}
		size[j] = scale(h.size(j), o.scales[j])
		step[j] = max(scale(grain[j], o.scales[j]), 1)
	}
	alike := -1
	for i, g := range o.grids {
		if g.grain == grain {
			alike = i &^ 1
			if near(g.size[0], size[0]) && near(g.size[1], size[1]) {
				break
			}
		}
	}
	fits := alike >= 0 && near(o.grids[alike].size[0], size[0]) && near(o.grids[alike].size[1], size[1])
	if !fits && (alike < 0 || len(o.grids) < 2*shapes) {
		alike = len(o.grids)
		o.grids = append(o.grids, newGrid(false, size, step, grain), newGrid(true, size, step, grain))
	}
	if h.Used {
		return int32(alike + 1)
	}
	return int32(alike)
}

// near reports whether two sizes differ by less than an eighth.
func near(a, b int64) bool { return max(a-b, b-a) <= max(a, b)/8 }

// enter puts a host into the cell that it belongs to.
func (o *Online) enter(host int32) {
	h := &o.hosts[host]
	g := o.grids[h.grid]
	h.at = g.at(o.free[int(host)*o.d], o.free[int(host)*o.d+1])
	g.add(h.at, host)
}

// Place puts one item of a kind on the best host and returns it; ok is false when none has room. Count is of no
// interest here, and it is for the caller to add to Present.
func (o *Online) Place(k *Kind) (host int, ok bool) {
	plain := k.Allowed == nil && k.PerHost == 0 && len(k.Needs) == 0 && (o.keys == nil || len(k.Has)+len(k.Avoids) == 0)
	for j := 2; j < len(k.Demand); j++ {
		plain = plain && k.Demand[j] == 0
	}
	var best int32
	if plain {
		best = o.search(k)
	}
	if !plain || best < 0 {
		best = o.scan(k) // also finds hosts that have just enough of a demand that is no multiple of the granule
	}
	if best < 0 {
		return 0, false
	}
	o.put(best, k, 1)
	if len(k.Has)+len(k.Avoids) > 0 {
		o.hold(best, k.Has, k.Avoids)
	}
	return int(best), true
}

// Release takes an item of a kind off a host. The host stays in use.
func (o *Online) Release(host int, k *Kind) {
	o.put(int32(host), k, -1)
	if o.keys != nil {
		for _, key := range k.Has {
			remove(o.keys[host].has, key)
		}
		for _, key := range k.Avoids {
			remove(o.keys[host].avoids, key)
		}
	}
}

func (o *Online) hold(host int32, has, avoids []Key) {
	if o.keys == nil {
		o.keys = make([]held, len(o.hosts))
	}
	for _, key := range has {
		o.keys[host].has = add(o.keys[host].has, key)
	}
	for _, key := range avoids {
		o.keys[host].avoids = add(o.keys[host].avoids, key)
	}
}

// put accounts for an item that comes (sign 1) or goes (-1).
func (o *Online) put(host int32, k *Kind, sign int64) {
	h := &o.hosts[host]
	free := o.free[int(host)*o.d : int(host)*o.d+o.d]
	o.grids[h.grid].leave(h.at)
	if !h.used {
		h.used = true
		h.grid |= 1
		for j := range o.room {
			o.room[j] += scale(free[j], o.scales[j])
		}
	}
	for j, d := range k.Demand {
		if d == 0 {
			continue
		}
		if j < 2 {
			o.load[j] += sign * scale(d, o.scales[j])
			o.room[j] -= scale(free[j], o.scales[j]) - scale(free[j]-sign*d, o.scales[j])
		}
		free[j] -= sign * d
	}
	o.enter(host)
}

// scorer is the score for a kind as things are.
func (o *Online) scorer(k *Kind) score {
	var s score
	most := max(o.load[0], o.load[1]) + unit
	for j := range s.g {
		s.g[j] = (o.load[j] + unit) * full / most
		s.demand[j] = scale(amount(k.Demand, j), o.scales[j])
	}
	return s
}

// mayOpen reports whether a host may be opened that need not be.
func (o *Online) mayOpen() bool {
	j := 0
	if o.load[1] > o.load[0] {
		j = 1
	}
	return o.room[j] < o.load[j]/4
}

// fits reports whether an item of a kind may go on a host.
func (o *Online) fits(host int, k *Kind) bool {
	free := o.free[host*o.d : host*o.d+o.d]
	for j, d := range k.Demand {
		if d > 0 && (j >= len(free) || d > free[j]) {
			return false
		}
	}
	if !k.Allowed.Has(host) || k.PerHost > 0 && k.Present != nil && int(k.Present[host]) >= k.PerHost {
		return false
	}
	if o.keys == nil {
		return len(k.Needs) == 0
	}
	there := &o.keys[host]
	return !slices.ContainsFunc(k.Avoids, func(key Key) bool { return counts(there.has, key) }) &&
		!slices.ContainsFunc(k.Has, func(key Key) bool { return counts(there.avoids, key) }) &&
		!slices.ContainsFunc(k.Needs, func(key Key) bool { return !counts(there.has, key) })
}
