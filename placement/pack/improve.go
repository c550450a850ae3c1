package pack

import "slices"

// search is destroy and repair: a few hosts are emptied and filled anew together with the items that have no place. A
// change that leaves no more weight without a place is kept, and so is one that leaves a little more than the least so
// far, so that the search does not get stuck.
type search struct {
	*state
	active  []int32 // hosts that may be used
	wanted  []int64 // of all items, see recipe
	pool    []int32 // classes with items left
	hosts   []int32 // that are emptied
	buffer  []int32
	saved   []int32 // what was on the emptied hosts: their items, -1 after each host
	touched []bool  // by class: is in pool
}

// newSearch prepares the search. Only active hosts are looked at.
func newSearch(s *state, active []int32) *search {
	x := &search{state: s, active: active, wanted: make([]int64, s.d), touched: make([]bool, len(s.classes))}
	for c := range s.classes {
		for j, d := range s.classes[c].scaled {
			x.wanted[j] = min(x.wanted[j]+d*int64(s.classes[c].count)<<10, 1<<60)
		}
	}
	return x
}

// run searches until no item is left or the steps are spent, and reports whether none is left.
func (x *search) run(end int) bool {
	current := x.weightLeft()
	least := current
	for current > 0 && x.steps < end && len(x.active) > 0 {
		x.choose()
		before := x.empty()
		after := x.refill()
		if now := current + before - after; now <= current || now <= least+least/64 {
			current = now
			least = min(least, current)
			continue
		}
		x.restore()
	}
	return current == 0
}

// weightLeft is what all items without a place weigh.
func (s *state) weightLeft() int64 {
	var w int64
	for c, n := range s.left {
		w += int64(n) * s.classes[c].weight
	}
	return w
}

// choose picks the hosts that are emptied: up to four, the first of which may have an item that is left.
func (x *search) choose() {
	x.pool = x.pool[:0]
	clear(x.touched)
	for c, n := range x.left {
		if n > 0 {
			x.pool = append(x.pool, int32(c))
			x.touched[c] = true
		}
	}
	x.steps += 1 + len(x.left)/8
	x.hosts = x.hosts[:0]
	wanting := &x.classes[x.pool[x.below(len(x.pool))]]
	for try := 0; try < 8 && len(x.hosts) == 0; try++ {
		if h := x.active[x.below(len(x.active))]; wanting.allowed.Has(int(h)) {
			x.hosts = append(x.hosts, h)
		}
	}
	for n := 1 + x.below(4); n > len(x.hosts); n-- {
		if h := x.active[x.below(len(x.active))]; !slices.Contains(x.hosts, h) {
			x.hosts = append(x.hosts, h)
		}
	}
}

// empty empties the chosen hosts and returns what was on them weighs.
func (x *search) empty() int64 {
	var weight int64
	x.saved = x.saved[:0]
	for _, h := range x.hosts {
		for _, c := range x.items[h] {
			if !x.touched[c] {
				x.touched[c] = true
				x.pool = append(x.pool, c)
			}
			weight += x.classes[c].weight
		}
		x.saved = append(append(x.saved, x.items[h]...), -1)
		x.clear(int(h))
	}
	return weight
}

// refill fills the chosen hosts again and returns what is on them then.
func (x *search) refill() int64 {
	var weight int64
	r := recipe{wanted: x.wanted, noise: 16, balance: balances[x.below(4)]}
	for _, h := range x.hosts {
		x.buffer = append(x.buffer[:0], x.pool...)
		x.fill(int(h), x.buffer, &r)
		for _, c := range x.items[h] {
			weight += x.classes[c].weight
		}
	}
	return weight
}

// restore undoes empty and refill.
func (x *search) restore() {
	for _, h := range x.hosts {
		x.clear(int(h))
	}
	i := 0
	for _, c := range x.saved {
		if c < 0 {
			i++
			continue
		}
		x.put(int(x.hosts[i]), c)
	}
}
