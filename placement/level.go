package placement

import (
	"cmp"
	"slices"
	"strings"
)

// group is hosts that share the values of the first preferences. It gives out its hosts in the order of spread: with a
// further preference, from the groups within it, else fewest tasks of the service, lowest load, inventory order.
type group struct {
	best   int32    // host to be filled next, noHost when none has room any more
	tasks  int64    // of the service on all of its hosts, full ones included
	weight int64    // its share beside the groups next to it
	inner  []*group // a heap, best first; those without room are not in it
	parent *group

	// Of a group without inner ones:
	turn  []int32 // hosts whose turn it is, best first; up to at they had it
	at    int
	later []int32 // hosts that were met and have more tasks of the service
}

// spreader gives hosts to groups on demand, in order of load, so that a few tasks do not cost a look at all hosts.
type spreader struct {
	*filler
	tree   *tree
	leaves []group
	cursor int32 // host to give next; noHost when all were given
	met    set   // hosts that were given: they come again when they are filled and move back in the queue
}

// spreadOver fills the group with the fewest tasks for its share, and within it likewise.
func (f *filler) spreadOver() {
	b := f.b
	s := spreader{filler: f, tree: b.tree(f.r.preferences), cursor: b.queue.lowest(0), met: newSet(len(b.hosts))}
	s.leaves = make([]group, s.tree.leaves)
	leaf := 0
	root := s.plant(&s.tree.root, &leaf)
	for _, h := range b.services[f.r.parts[0].index].on {
		if b.ready(h) && (f.admitted == nil || f.admitted.has(h)) {
			for g := &s.leaves[s.tree.of[h]]; g != nil; g = g.parent {
				g.tasks++
			}
		}
	}
	s.grow(root)
	for root.best != noHost && f.n > 0 {
		f.take(root.best)
		if f.put {
			s.filled(root)
		}
	}
}

// plant makes the groups of a node.
func (s *spreader) plant(n *node, leaf *int) *group {
	if n.inner == nil {
		g := &s.leaves[*leaf]
		g.weight = 1
		*leaf++
		return g
	}
	g := &group{weight: 1, inner: make([]*group, len(n.inner))}
	for i := range n.inner {
		g.inner[i] = s.plant(&n.inner[i], leaf)
		g.inner[i].parent = g
	}
	return g
}

// grow finds the best host of each group.
func (s *spreader) grow(g *group) {
	if g.inner == nil {
		g.best = s.next(g)
		return
	}
	g.inner = slices.DeleteFunc(g.inner, func(i *group) bool { s.grow(i); return i.best == noHost })
	for i := len(g.inner)/2 - 1; i >= 0; i-- {
		s.sink(g, i)
	}
	g.choose()
}

func (g *group) choose() {
	g.best = noHost
	if len(g.inner) > 0 {
		g.best = g.inner[0].best
	}
}

// filled says that the best host of a group got one more.
func (s *spreader) filled(g *group) {
	g.tasks += int64(s.r.parts[0].count)
	if g.inner == nil {
		g.at++
		g.best = s.next(g)
		return
	}
	first := g.inner[0]
	if s.filled(first); first.best == noHost {
		last := len(g.inner) - 1
		g.inner[0] = g.inner[last]
		g.inner = g.inner[:last]
		if last == 0 {
			g.best = noHost
			return
		}
	}
	s.sink(g, 0)
	g.choose()
}

// next is the host of a group that is to be filled next, noHost when none has room any more.
func (s *spreader) next(g *group) int32 {
	for {
		for ; g.at < len(g.turn); g.at++ {
			if h := g.turn[g.at]; s.fits(h) {
				return h
			}
		}
		if !s.meet(g) && !s.round(g) {
			return noHost
		}
	}
}

// meet goes on through the hosts until the group has got one without a task of the service; false when there are no more.
func (s *spreader) meet(g *group) bool {
	b := s.b
	for s.cursor != noHost {
		h := s.cursor
		s.cursor = b.queue.after(h)
		if s.met.has(h) {
			continue
		}
		s.met.add(int(h))
		owner := &s.leaves[s.tree.of[h]]
		if b.counts[h] > 0 {
			owner.later = append(owner.later, h)
			continue
		}
		if owner.turn = append(owner.turn, h); owner == g {
			return true
		}
	}
	return false
}

// round begins the next one: with the hosts that have the fewest tasks of the service and have room.
func (s *spreader) round(g *group) bool {
	b := s.b
	all := append(g.turn, g.later...)
	all = slices.DeleteFunc(all, func(h int32) bool { return !s.fits(h) })
	at := b.queue.at
	slices.SortFunc(all, func(x, y int32) int {
		return cmp.Or(cmp.Compare(b.counts[x], b.counts[y]), cmp.Compare(at[x], at[y]), cmp.Compare(x, y))
	})
	n := 0
	for n < len(all) && b.counts[all[n]] == b.counts[all[0]] {
		n++
	}
	g.turn, g.later, g.at = all[:n:n], all[n:], 0
	return n > 0
}

// less orders groups: fewest tasks for their share, then by their best hosts.
func (s *spreader) less(g, o *group) bool {
	if x, y := (g.tasks+1)*o.weight, (o.tasks+1)*g.weight; x != y {
		return x < y
	}
	b := s.b
	return cmp.Or(cmp.Compare(b.counts[g.best], b.counts[o.best]), cmp.Compare(b.queue.at[g.best], b.queue.at[o.best]),
		cmp.Compare(g.best, o.best)) < 0
}

// sink lets the inner group at i find its place below.
func (s *spreader) sink(g *group, i int) {
	for {
		child := 2*i + 1
		if child >= len(g.inner) {
			return
		}
		if child+1 < len(g.inner) && s.less(g.inner[child+1], g.inner[child]) {
			child++
		}
		if !s.less(g.inner[child], g.inner[i]) {
			return
		}
		g.inner[i], g.inner[child] = g.inner[child], g.inner[i]
		i = child
	}
}

// tree is the values of some preferences, each within those of the one before.
type tree struct {
	root   node
	leaves int
	of     []int32 // by host: its leaf, in the order of a walk through the tree
}

type node struct {
	value string
	inner []node // nil for a leaf
}

// tree is worked out once for all services with the same preferences.
func (b *Board) tree(preferences []Preference) *tree {
	keys := make([]string, len(preferences))
	for i, p := range preferences {
		keys[i] = p.Spread
	}
	name := strings.Join(keys, " ") // no key has a space
	if t := b.trees[name]; t != nil {
		return t
	}
	t := &tree{of: make([]int32, len(b.hosts))}
	hosts := make([]int32, len(b.hosts))
	for h := range hosts {
		hosts[h] = int32(h)
	}
	t.root = b.branch(t, hosts, keys)
	b.trees[name] = t
	return t
}

// branch sorts hosts by the values of the first key, in order of first appearance, and those of each by the next one.
func (b *Board) branch(t *tree, hosts []int32, keys []string) node {
	if len(keys) == 0 {
		for _, h := range hosts {
			t.of[h] = int32(t.leaves)
		}
		t.leaves++
		return node{}
	}
	var values []string
	by := map[string][]int32{}
	for _, h := range hosts {
		value, _ := attribute(&b.hosts[h], keys[0])
		if _, ok := by[value]; !ok {
			values = append(values, value)
		}
		by[value] = append(by[value], h)
	}
	n := node{inner: make([]node, len(values))}
	for i, v := range values {
		n.inner[i] = b.branch(t, by[v], keys[1:])
		n.inner[i].value = v
	}
	return n
}
