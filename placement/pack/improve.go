package pack

import "slices"

// search is destroy and repair: a few hosts are emptied and filled anew together with the items that have no place. A
// change that leaves no more weight without a place is kept, and so is one that leaves a little more than the least so
// far, so that the search does not get stuck.
type search struct {
	*state
	active []int32 // hosts that may be used
	wanted []int64 // of all items, see recipe
	// patience is how many changes may be tried without getting better before the items that are left gain weight: what
	// is hard to place comes first then. 0 is any number.
	patience int
	fewest   int       // items left at best
	best     [][]int32 // the packing that leaves so few; nil for the one at the start

	pool    []int32 // classes with items left
	first   int32   // the one of them that the first host is to get
	hosts   []int32 // that are emptied
	buffer  []int32
	saved   []int32 // what was on the emptied hosts: their items, -1 after each host
	touched []bool  // by class: is in pool
}

// newSearch prepares the search. Only active hosts are looked at.
func newSearch(s *state, active []int32, patience int) *search {
	x := &search{
		state: s, active: active, patience: patience, fewest: s.waiting(),
		wanted: make([]int64, s.d), touched: make([]bool, len(s.classes)),
	}
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
	waiting, idle := x.fewest, 0
	for current > 0 && x.steps < end && len(x.active) > 0 {
		x.choose()
		weight, items := x.empty()
		more, placed := x.refill()
		idle++
		if now := current + weight - more; now <= current || now <= least+least/64 {
			if now < least {
				least, idle = now, 0
			}
			current = now
			waiting += items - placed
			if waiting < x.fewest {
				x.fewest, x.best = waiting, x.snapshot()
			}
		} else {
			x.restoreHosts()
		}
		if x.patience > 0 && idle > x.patience {
			x.press()
			current = x.weightLeft()
			least, idle = current, 0
		}
	}
	return current == 0
}

// press gives more weight to what is left.
func (x *search) press() {
	const most = 1 << 40
	for c, n := range x.left {
		if k := &x.classes[c]; n > 0 && k.weight < most {
			k.weight += k.weight/8 + 1
		}
	}
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
	x.first = x.pool[x.below(len(x.pool))]
	wanting := &x.classes[x.first]
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

// empty empties the chosen hosts and returns the weight and number of what was there.
func (x *search) empty() (weight int64, items int) {
	x.saved = x.saved[:0]
	for _, h := range x.hosts {
		for _, c := range x.items[h] {
			if !x.touched[c] {
				x.touched[c] = true
				x.pool = append(x.pool, c)
			}
			weight += x.classes[c].weight
		}
		items += len(x.items[h])
		x.saved = append(append(x.saved, x.items[h]...), -1)
		x.clear(int(h))
	}
	return weight, items
}

// refill fills the chosen hosts again and returns the weight and number of what is there then. Every other time the
// first host gets the item that had no place, whatever goes for it.
func (x *search) refill() (weight int64, items int) {
	r := recipe{wanted: x.wanted, noise: 16, balance: balances[x.below(4)]}
	for i, h := range x.hosts {
		if i == 0 && x.below(2) == 0 && x.fits(int(h), x.first) {
			x.put(int(h), x.first)
		}
		x.buffer = append(x.buffer[:0], x.pool...)
		x.fill(int(h), x.buffer, &r)
		for _, c := range x.items[h] {
			weight += x.classes[c].weight
		}
		items += len(x.items[h])
	}
	return weight, items
}

// restoreHosts undoes empty and refill.
func (x *search) restoreHosts() {
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
