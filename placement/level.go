package placement

import (
	"cmp"
	"slices"
	"strings"
)

// group is hosts that share the values of the first preferences. It gives out its hosts in the order of spread: with a
// further preference, from the groups within it, else fewest tasks of the service, lowest load, inventory order.
// Groups are numbers in a tree, so that what is moved about has no pointers.
type group struct {
	best   int32   // host to be filled next, noHost when none has room any more
	parent int32   // -1 for the root
	tasks  int64   // of the service on all of its hosts, full ones included
	weight int64   // its share beside the groups next to it
	within []int32 // the groups in it, in order of their first hosts; nil for a leaf
	inner  []int32 // the same as a heap, best first; those without room are not in it

	// Of a leaf:
	turn  []int32 // hosts whose turn it is, best first; up to at they had it
	at    int
	later []int32 // hosts that were met and have more tasks of the service
}

// tree is the groups of some preferences, worked out once for all services that have these.
type tree struct {
	groups []group // the root first
	of     []int32 // by host: its leaf
	met    set     // hosts that were given to their leaf: they come again when they are filled and move back in the queue
}

// spreader is a Fill with preferences. It gives hosts to leaves on demand, in order of load, so that a few tasks do not
// cost a look at all hosts.
type spreader struct {
	*filler
	*tree
	cursor int32 // host to give next; noHost when all were given
}

// spreadOver fills the group with the fewest tasks for its share, and within it likewise.
func (f *filler) spreadOver() {
	b := f.b
	s := spreader{filler: f, tree: b.tree(f.r.preferences), cursor: b.queue.lowest(0)}
	s.reset()
	for _, h := range b.services[f.r.parts[0].index].on {
		if b.keeps(h) && (f.lasting == nil || f.lasting.has(h)) {
			for g := s.of[h]; g >= 0; g = s.groups[g].parent {
				s.groups[g].tasks++
			}
		}
	}
	s.grow(0)
	for root := &s.groups[0]; root.best != noHost && f.n > 0; {
		f.take(root.best)
		if f.put {
			s.filled(0)
		}
	}
}

// reset forgets what an earlier Fill left.
func (t *tree) reset() {
	clear(t.met)
	for i := range t.groups {
		g := &t.groups[i]
		g.tasks, g.inner = 0, append(g.inner[:0], g.within...)
		g.turn, g.at, g.later = g.turn[:0], 0, g.later[:0]
	}
}

// grow finds the best host of each group.
func (s *spreader) grow(n int32) {
	g := &s.groups[n]
	if g.within == nil {
		g.best = s.next(n)
		return
	}
	g.inner = slices.DeleteFunc(g.inner, func(i int32) bool { s.grow(i); return s.groups[i].best == noHost })
	for i := len(g.inner)/2 - 1; i >= 0; i-- {
		s.sink(g, i)
	}
	s.choose(g)
}

func (s *spreader) choose(g *group) {
	g.best = noHost
	if len(g.inner) > 0 {
		g.best = s.groups[g.inner[0]].best
	}
}

// filled says that the best host of a group got one more.
func (s *spreader) filled(n int32) {
	g := &s.groups[n]
	g.tasks += int64(s.r.parts[0].count)
	if g.within == nil {
		g.at++
		g.best = s.next(n)
		return
	}
	first := g.inner[0]
	if s.filled(first); s.groups[first].best == noHost {
		last := len(g.inner) - 1
		g.inner[0] = g.inner[last]
		g.inner = g.inner[:last]
	}
	s.sink(g, 0)
	s.choose(g)
}

// next is the host of a leaf that is to be filled next, noHost when none has room any more.
func (s *spreader) next(leaf int32) int32 {
	g := &s.groups[leaf]
	for {
		for ; g.at < len(g.turn); g.at++ {
			if h := g.turn[g.at]; s.fits(h) {
				return h
			}
		}
		if !s.meet(leaf) && !s.round(g) {
			return noHost
		}
	}
}

// meet goes on through the hosts until the leaf has got one without a task of the service; false when there are no more.
func (s *spreader) meet(leaf int32) bool {
	b := s.b
	for s.cursor != noHost {
		h := s.cursor
		s.cursor = b.queue.after(h)
		if s.met.has(h) {
			continue
		}
		s.met.add(int(h))
		owner := &s.groups[s.of[h]]
		if b.counts[h] > 0 {
			owner.later = append(owner.later, h)
			continue
		}
		if owner.turn = append(owner.turn, h); s.of[h] == leaf {
			return true
		}
	}
	return false
}

// round begins the next one: with the hosts that have the fewest tasks of the service and have room.
func (s *spreader) round(g *group) bool {
	b := s.b
	all := slices.Concat(g.turn, g.later)
	all = slices.DeleteFunc(all, func(h int32) bool { return !s.fits(h) })
	at := b.queue.at
	slices.SortFunc(all, func(x, y int32) int {
		return cmp.Or(cmp.Compare(b.counts[x], b.counts[y]), cmp.Compare(at[x], at[y]), cmp.Compare(x, y))
	})
	n := 0
	for n < len(all) && b.counts[all[n]] == b.counts[all[0]] {
		n++
	}
	g.turn, g.later, g.at = append(g.turn[:0], all[:n]...), append(g.later[:0], all[n:]...), 0
	return n > 0
}

// less orders groups: fewest tasks for their share, then by their best hosts.
func (s *spreader) less(x, y int32) bool {
	g, o := &s.groups[x], &s.groups[y]
	if x, y := (g.tasks+1)*o.weight, (o.tasks+1)*g.weight; x != y {
		return x < y
	}
	b := s.b
	if x, y := b.counts[g.best], b.counts[o.best]; x != y {
		return x < y
	}
	if x, y := b.queue.at[g.best], b.queue.at[o.best]; x != y {
		return x < y
	}
	return g.best < o.best
}

// sink lets the inner group at i find its place below.
func (s *spreader) sink(g *group, i int) {
	heap := g.inner
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && s.less(heap[child+1], heap[child]) {
			child++
		}
		if !s.less(heap[child], heap[i]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// tree finds or makes the groups of some preferences.
func (b *Board) tree(preferences []Preference) *tree {
	names := make([]string, len(preferences))
	for i, p := range preferences {
		names[i] = p.String()
	}
	name := strings.Join(names, "\n")
	if t := b.trees[name]; t != nil {
		return t
	}
	t := &tree{of: make([]int32, len(b.hosts)), met: newSet(len(b.hosts))}
	hosts := make([]int32, len(b.hosts))
	for h := range hosts {
		hosts[h] = int32(h)
	}
	b.branch(t, hosts, preferences, -1, 1)
	b.trees[name] = t
	return t
}

// branch makes the group of some hosts: those within it have the values of the first preference, in order of first
// appearance. It returns its number.
func (b *Board) branch(t *tree, hosts []int32, preferences []Preference, parent int32, weight int64) int32 {
	n := int32(len(t.groups))
	t.groups = append(t.groups, group{parent: parent, weight: weight})
	if len(preferences) == 0 {
		for _, h := range hosts {
			t.of[h] = n
		}
		return n
	}
	var values []string
	by := map[string][]int32{}
	for _, h := range hosts {
		value, _ := attribute(&b.hosts[h], preferences[0].Spread)
		if _, ok := by[value]; !ok {
			values = append(values, value)
		}
		by[value] = append(by[value], h)
	}
	within := make([]int32, len(values))
	for i, v := range values {
		within[i] = b.branch(t, by[v], preferences[1:], n, int64(preferences[0].Share(v)))
	}
	t.groups[n].within = within
	return n
}
