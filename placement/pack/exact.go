package pack

import (
	"cmp"
	"slices"
)

// exact is a branch and bound over all packings. Items are placed in a fixed order, equal ones on hosts in rising order,
// and of hosts that do not differ the first empty one only, so that each packing is looked at once.
type exact struct {
	*state
	order    []int32 // the class of each item
	rest     []int64 // by position in order and resource: demand from there on
	twin     []int   // the host before that does not differ, -1
	largest  []int64 // by resource: the largest host not in use
	inUse    []int64 // by resource: what hosts in use and opened ones have free
	total    []int64 // by resource: what all hosts have free
	usable   []int64 // scratch
	starts   []int   // by position in order: the first with the same class
	at       []int32 // by item: its host, -1
	best     []int32
	unplaced int // of best
	opened   int // of best
	bound    int // no packing opens fewer hosts, if it places all
	end      int // of the steps
}

// newExact prepares the search for packings that are better than one with so many items unplaced and hosts opened. The
// state must be empty.
func newExact(s *state, possible []bool, bound, unplaced, opened, end int) *exact {
	x := &exact{
		state: s, unplaced: unplaced, opened: opened, bound: bound, end: end,
		largest: make([]int64, s.d), inUse: make([]int64, s.d), total: make([]int64, s.d), twin: make([]int, len(s.used)),
	}
	for _, c := range s.inOrder(possible) {
		for range s.classes[c].count {
			x.order = append(x.order, c)
		}
	}
	x.at = make([]int32, len(x.order))
	x.usable = make([]int64, s.d)
	x.starts = make([]int, len(x.order))
	for i := range x.order {
		if x.starts[i] = i; i > 0 && x.order[i] == x.order[i-1] {
			x.starts[i] = x.starts[i-1]
		}
	}
	x.rest = make([]int64, (len(x.order)+1)*s.d)
	for i := len(x.order) - 1; i >= 0; i-- {
		for j, d := range s.classes[x.order[i]].demand {
			x.rest[i*s.d+j] = x.rest[(i+1)*s.d+j] + d
		}
	}
	for h, used := range s.used {
		x.twin[h] = -1
		if h > 0 && s.same(h-1, h) {
			x.twin[h] = h - 1
		}
		for j := range s.d {
			free := max(s.free[h*s.d+j], 0)
			x.total[j] += free
			if used {
				x.inUse[j] += free
			} else {
				x.largest[j] = max(x.largest[j], free)
			}
		}
	}
	return x
}

// inOrder is the order in which classes are placed: what others need first, then what has few hosts to choose from,
// then what is large.
func (s *state) inOrder(possible []bool) []int32 {
	var order []int32
	for c := range s.classes {
		if possible[c] {
			order = append(order, int32(c))
		}
	}
	level := make([]int, len(s.classes)) // how long the chain of needs is
	for range order {
		for _, c := range order {
			for _, o := range order {
				if o != c && overlap(s.classes[c].needs, s.classes[o].has) {
					level[c] = min(max(level[c], level[o]+1), len(order))
				}
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		x, y := &s.classes[a], &s.classes[b]
		return cmp.Or(cmp.Compare(level[a], level[b]), cmp.Compare(x.hosts, y.hosts), cmp.Compare(y.weight, x.weight))
	})
	return order
}

func overlap(a, b []Key) bool {
	return slices.ContainsFunc(a, func(k Key) bool { return slices.Contains(b, k) })
}

// same reports whether two hosts do not differ in anything that packing looks at.
func (s *state) same(a, b int) bool {
	p, q := &s.problem.Hosts[s.order[a]], &s.problem.Hosts[s.order[b]]
	if s.used[a] != s.used[b] || !slices.Equal(s.free[a*s.d:(a+1)*s.d], s.free[b*s.d:(b+1)*s.d]) ||
		!slices.Equal(p.Has, q.Has) || !slices.Equal(p.Avoids, q.Avoids) {
		return false
	}
	for c := range s.classes {
		k := &s.classes[c]
		if k.allowed.Has(a) != k.allowed.Has(b) || k.present != nil && k.present[a] != k.present[b] {
			return false
		}
	}
	return true
}

// run looks through all packings and reports whether it came to the end. best is nil when none is better.
func (x *exact) run() bool { return x.place(0, 0, 0) }

// place decides about the items from position i on. It returns false when the steps are spent.
func (x *exact) place(i, unplaced, opened int) bool {
	if !x.better(i, unplaced, opened) {
		return true
	}
	if i == len(x.order) {
		x.best = append(x.best[:0], x.at...)
		x.unplaced, x.opened = unplaced, opened
		return true
	}
	c := x.order[i]
	first, again := 0, i > 0 && x.order[i-1] == c
	if again {
		first = int(x.at[i-1])
	}
	if first >= 0 { // else its equals have no place either
		for h := first; h < len(x.used); h++ {
			x.steps++
			if x.twin[h] >= 0 && len(x.items[x.twin[h]]) == 0 || !x.fits(h, c) {
				continue
			}
			if x.steps > x.end {
				return false
			}
			if !x.on(h, i, unplaced, opened) {
				return false
			}
			if x.done() {
				return true
			}
		}
	}
	x.at[i] = -1
	return x.place(i+1, unplaced+1, opened)
}

// on puts item i on a host, decides about the rest, and takes the item off again.
func (x *exact) on(h, i, unplaced, opened int) bool {
	c := x.order[i]
	x.at[i] = int32(h)
	fresh := !x.used[h] && len(x.items[h]) == 0
	x.account(h, c, fresh, 1)
	x.put(h, c)
	more := opened
	if fresh {
		more++
	}
	ended := x.place(i+1, unplaced, more)
	x.takeLast(h)
	x.account(h, c, fresh, -1)
	return ended
}

// account keeps inUse and total in step with an item that comes (sign 1; before put) or goes (-1; after takeLast).
func (x *exact) account(h int, c int32, fresh bool, sign int64) {
	for j, d := range x.classes[c].demand {
		x.inUse[j] -= sign * d
		x.total[j] -= sign * d
		if fresh {
			x.inUse[j] += sign * max(x.free[h*x.d+j], 0)
		}
	}
}

// done reports whether nothing better can exist.
func (x *exact) done() bool { return x.unplaced == 0 && x.opened <= x.bound }

// better reports whether what is decided so far could still become better than the best.
func (x *exact) better(i, unplaced, opened int) bool {
	rest := x.rest[i*x.d : (i+1)*x.d]
	all := x.enough(i)
	if !all {
		unplaced++ // one more at least
	}
	if unplaced != x.unplaced {
		return unplaced < x.unplaced
	}
	if opened >= x.opened {
		return false
	}
	for j, d := range rest {
		over := d - x.inUse[j]
		if all && over > 0 && opened+int((over+x.largest[j]-1)/max(x.largest[j], 1)) >= x.opened {
			return false // all the rest must be placed, on so many more hosts
		}
	}
	return true
}

// enough reports whether the hosts have the room for all items from position i on, as far as sums tell. What a host has
// free counts only when some of the items could go there.
func (x *exact) enough(i int) bool {
	rest := x.rest[i*x.d : (i+1)*x.d]
	for j, d := range rest {
		if d > x.total[j] {
			return false
		}
	}
	if i == len(x.order) {
		return true
	}
	usable := x.usable
	clear(usable)
	for h := range x.used {
		for k := len(x.order) - 1; k >= i; k = x.starts[k] - 1 {
			x.steps++
			if !x.hasRoom(h, x.order[k]) {
				continue
			}
			for j := range usable {
				usable[j] += max(x.free[h*x.d+j], 0)
			}
			break
		}
	}
	for j, d := range rest {
		if d > usable[j] {
			return false
		}
	}
	return true
}

// takeLast takes the item off a host that was put there last.
func (s *state) takeLast(h int) {
	last := len(s.items[h]) - 1
	c := s.items[h][last]
	s.items[h] = s.items[h][:last]
	s.release(h, c)
}
