package pack

import (
	"cmp"
	"slices"
)

// The budget of a search that is given none, in steps. A step is one item looked at for one host, about 30 ns of CPU on
// a server of 2023; 5,000 items get about 1 s.
const (
	stepsPerItem  = 6_000
	stepsAtLeast  = 20_000
	stepsAtMost   = 30_000_000
	stepsToAdmit  = 8_000_000 // at least, before an item is refused that there could be room for
	fewItems      = 16        // items, for which all packings are looked at before anything else
	exactAtMost   = 64        // items, for the search of all packings
	hostsToExact  = 64        // hosts, for the same
	attemptsShare = 4         // one attempt to do without a host may take this part of what is left of the budget
)

// balances are the weights of balance beside size that are tried, in eighths, best first on data that look like compose
// projects.
var balances = []int64{8, 12, 16, 4, 24, 2, 0, 48}

// Batch packs all items at once: first on as few hosts as possible without an item, then, of those packings, on as few
// hosts as possible that were not in use. budget is how many steps the search may take beyond a first packing; 0 is a
// default for the number of items. The same problem gives the same result on every run and platform.
func Batch(p *Problem, budget int) Result {
	s := newState(p)
	b := &batch{state: s, possible: s.possible(), bound: s.bound()}
	for c := range s.classes {
		if b.possible[c] {
			b.asked += s.classes[c].count
		} else {
			b.refused += s.classes[c].count
			s.left[c] = 0
		}
	}
	b.budget, b.admit = budget, budget
	if budget == 0 {
		b.budget = min(max(b.asked*stepsPerItem, stepsAtLeast), stepsAtMost)
		b.admit = b.budget
		if b.enough(b.every()) {
			b.admit = max(b.budget, stepsToAdmit)
		}
	}
	b.construct()
	s.steps = 0
	b.placeAll()
	if !b.good() {
		b.reduce(b.budget)
	}
	return b.result()
}

// batch is the course of a Batch.
type batch struct {
	*state
	possible []bool // by class: some host could hold an item
	asked    int    // items of possible classes
	refused  int    // items of the others
	bound    int    // of opened hosts
	budget   int    // steps to do without hosts
	admit    int    // steps to place all
	proven   bool
}

// good reports whether the packing cannot be better.
func (b *batch) good() bool { return b.proven || b.waiting() == 0 && b.opened() <= b.bound }

// waiting is the number of possible items without a host.
func (s *state) waiting() int {
	n := 0
	for _, l := range s.left {
		n += int(l)
	}
	return n
}

// opened is the number of hosts with items that were not in use.
func (s *state) opened() int {
	n := 0
	for h, used := range s.used {
		if !used && len(s.items[h]) > 0 {
			n++
		}
	}
	return n
}

// construct packs in several ways and keeps the best.
func (b *batch) construct() {
	var best [][]int32
	var unplaced, opened int
	for i, balance := range balances {
		b.clearAll()
		b.state.construct(balance)
		u, o := b.waiting(), b.opened()
		if i == 0 || u < unplaced || u == unplaced && o < opened {
			best, unplaced, opened = b.snapshot(), u, o
		}
		if u == 0 && o <= b.bound {
			return
		}
		if b.steps > b.budget {
			break // many thousands of items: one way is as much as there is time for
		}
	}
	if unplaced > 0 && !b.enough(b.every()) {
		b.clearAll()
		b.smallFirst()
		if b.waiting() < unplaced {
			return
		}
	}
	b.restore(best)
}

// placeAll looks for a packing without waiting items: by destroy and repair, for small problems by looking at all.
func (b *batch) placeAll() {
	if b.waiting() > 0 && b.asked <= fewItems && len(b.used) <= hostsToExact {
		if b.tryAll(b.admit / 8); b.good() {
			return
		}
	}
	b.repair(b.admit/4, 0)
	if !b.good() && b.asked <= exactAtMost && len(b.used) <= hostsToExact {
		end := b.budget / 2
		if b.waiting() > 0 {
			end = b.admit / 2
		}
		b.tryAll(end)
	}
	if !b.proven {
		b.repair(b.admit*3/4, 64)
		b.repair(b.admit, 0)
	}
}

// repair is destroy and repair on all hosts while items wait.
func (b *batch) repair(end, patience int) {
	if b.waiting() == 0 {
		return
	}
	weights := make([]int64, len(b.classes))
	for c := range weights {
		weights[c] = b.classes[c].weight
	}
	if !b.enough(b.every()) {
		for c := range b.classes {
			b.classes[c].weight = 1 // then it is the number that counts
		}
	}
	start := b.snapshot()
	x := newSearch(b.state, b.every(), patience)
	if !x.run(end) {
		if x.best == nil {
			x.best = start
		}
		b.restore(x.best)
	}
	for c := range weights {
		b.classes[c].weight = weights[c]
	}
}

// every is all hosts.
func (b *batch) every() []int32 {
	all := make([]int32, len(b.used))
	for h := range all {
		all[h] = int32(h)
	}
	return all
}

// tryAll looks at all packings that are better than this one.
func (b *batch) tryAll(end int) {
	now := b.snapshot()
	unplaced, opened := b.waiting(), b.opened()
	b.clearAll()
	x := newExact(b.state, b.possible, b.bound, unplaced, opened, end)
	b.proven = x.run()
	if x.best == nil {
		b.restore(now)
		return
	}
	for i, h := range x.best {
		if h >= 0 {
			b.put(int(h), x.order[i])
		}
	}
}

// reduce does without one opened host after the other, the emptiest first.
func (b *batch) reduce(end int) {
	for b.waiting() == 0 && b.opened() > b.bound {
		before := b.snapshot()
		if !b.closeOne(before, end) {
			b.restore(before)
			return
		}
	}
}

// closeOne finds a place elsewhere for all that is on some opened host.
func (b *batch) closeOne(before [][]int32, end int) bool {
	b.steps += b.asked / 16
	var active, opened []int32
	weight := make([]int64, len(b.used))
	for h, used := range b.used {
		for _, c := range b.items[h] {
			weight[h] += b.classes[c].weight
		}
		if used || len(b.items[h]) > 0 {
			active = append(active, int32(h))
		}
		if !used && len(b.items[h]) > 0 {
			opened = append(opened, int32(h))
		}
	}
	slices.SortStableFunc(opened, func(x, y int32) int { return cmp.Compare(weight[x], weight[y]) })
	for i, h := range opened {
		share := (end - b.steps) / attemptsShare
		if i > 0 {
			b.restore(before)
		}
		if share < stepsAtLeast/attemptsShare/4 {
			return false
		}
		others := slices.DeleteFunc(slices.Clone(active), func(a int32) bool { return a == h })
		if !b.enough(others) {
			continue
		}
		b.clear(int(h))
		if newSearch(b.state, others, 0).run(b.steps + share) {
			return true
		}
	}
	return false
}

// enough reports whether hosts have the room for all items, as far as sums tell.
func (b *batch) enough(hosts []int32) bool {
	for j := range b.d {
		var room int64
		for _, h := range hosts {
			room += max(b.free[int(h)*b.d+j], 0)
			for _, c := range b.items[h] {
				room += b.classes[c].demand[j]
			}
		}
		for c := range b.classes {
			if b.possible[c] {
				room -= b.classes[c].demand[j] * int64(b.classes[c].count)
			}
		}
		if room < 0 {
			return false
		}
	}
	return true
}
