package placement

import (
	"cmp"
	"slices"
)

// level gives hosts in the order of spread: fewest tasks of the service, lowest load, inventory order.
type level struct {
	f     *filler
	hosts []int32 // all of them that had room when the round began
	turn  []int32 // that have the fewest tasks of the service, best first
	at    int     // in turn
}

// next is the host to be filled next, noHost when none has room any more. It stays that until filled is called.
func (l *level) next() int32 {
	for {
		for ; l.at < len(l.turn); l.at++ {
			if h := l.turn[l.at]; l.f.fits(h) {
				return h
			}
		}
		if !l.begin() {
			return noHost
		}
	}
}

// filled says that the host which was next got one more.
func (l *level) filled() { l.at++ }

// begin begins a round; false when no host has room.
func (l *level) begin() bool {
	b := l.f.b
	l.hosts = slices.DeleteFunc(l.hosts, func(h int32) bool { return !l.f.fits(h) })
	fewest := endless
	for _, h := range l.hosts {
		fewest = min(fewest, b.counts[h])
	}
	l.turn, l.at = l.turn[:0], 0
	for _, h := range l.hosts {
		if b.counts[h] == fewest {
			l.turn = append(l.turn, h)
		}
	}
	at := b.queue.at
	slices.SortFunc(l.turn, func(x, y int32) int { return cmp.Or(cmp.Compare(at[x], at[y]), cmp.Compare(x, y)) })
	return len(l.turn) > 0
}

// group is hosts that share a preference's value: with a further preference groups of them, else the hosts themselves.
type group struct {
	level
	tasks  int64    // of the service on all of its hosts, full ones included
	weight int64    // its share beside that of the groups next to it
	inner  []*group // a heap, best first; those without room are not in it
	best   int32    // host to be filled next, noHost when there is none
}

// spreadOver fills the group with the fewest tasks for its share, and within it likewise.
func (f *filler) spreadOver() {
	var hosts []int32
	if f.admitted != nil {
		hosts = make([]int32, 0, f.admitted.len())
		f.admitted.each(func(h int32) { hosts = append(hosts, h) })
	} else {
		hosts = make([]int32, 0, len(f.b.hosts))
		for h := range f.b.hosts {
			if f.b.ready(int32(h)) {
				hosts = append(hosts, int32(h))
			}
		}
	}
	root := f.group(hosts, f.r.preferences, 1)
	for root.best != noHost && f.n > 0 {
		f.take(root.best)
		if f.put {
			root.filled(f)
		}
	}
}

// group sorts hosts by the values of the first preference, those of each by the next one.
func (f *filler) group(hosts []int32, preferences []Preference, weight int64) *group {
	g := &group{weight: weight}
	if len(preferences) == 0 {
		for _, h := range hosts {
			g.tasks += int64(f.b.counts[h])
		}
		g.level = level{f: f, hosts: hosts}
		g.best = g.next()
		return g
	}
	by := f.b.grouping(preferences[0].Spread)
	starts := make([]int32, len(by.values)+1)
	for _, h := range hosts {
		starts[by.of[h]+1]++
	}
	for v := range by.values {
		starts[v+1] += starts[v]
	}
	sorted, end := make([]int32, len(hosts)), slices.Clone(starts)
	for _, h := range hosts {
		v := by.of[h]
		sorted[end[v]] = h
		end[v]++
	}
	for v := range by.values {
		if members := sorted[starts[v]:starts[v+1]]; len(members) > 0 {
			inner := f.group(members, preferences[1:], 1)
			g.tasks += inner.tasks
			if inner.best != noHost {
				g.inner = append(g.inner, inner)
			}
		}
	}
	for i := len(g.inner)/2 - 1; i >= 0; i-- {
		g.sink(f, i)
	}
	g.choose()
	return g
}

func (g *group) choose() {
	g.best = noHost
	if len(g.inner) > 0 {
		g.best = g.inner[0].best
	}
}

// filled says that the best host got one more.
func (g *group) filled(f *filler) {
	g.tasks += int64(f.r.parts[0].count)
	if g.f != nil {
		g.level.filled()
		g.best = g.next()
		return
	}
	first := g.inner[0]
	first.filled(f)
	if first.best == noHost {
		last := len(g.inner) - 1
		g.inner[0] = g.inner[last]
		g.inner = g.inner[:last]
	}
	g.sink(f, 0)
	g.choose()
}

// less orders groups: fewest tasks for their weight, then by their best hosts.
func (g *group) less(f *filler, o *group) bool {
	if x, y := (g.tasks+1)*o.weight, (o.tasks+1)*g.weight; x != y {
		return x < y
	}
	b := f.b
	return cmp.Or(cmp.Compare(b.counts[g.best], b.counts[o.best]), cmp.Compare(b.queue.at[g.best], b.queue.at[o.best]),
		cmp.Compare(g.best, o.best)) < 0
}

// sink lets the group at i find its place below.
func (g *group) sink(f *filler, i int) {
	for {
		child := 2*i + 1
		if child >= len(g.inner) {
			return
		}
		if child+1 < len(g.inner) && g.inner[child+1].less(f, g.inner[child]) {
			child++
		}
		if !g.inner[child].less(f, g.inner[i]) {
			return
		}
		g.inner[i], g.inner[child] = g.inner[child], g.inner[i]
		i = child
	}
}

// grouping tells hosts apart by the value of a key.
type grouping struct {
	of     []int32 // by host: index in values
	values []string
}

// grouping is worked out once for all services that spread over a key. Values are in order of first appearance.
func (b *Board) grouping(key string) grouping {
	if g, ok := b.groups[key]; ok {
		return g
	}
	g := grouping{of: make([]int32, len(b.hosts))}
	numbers := map[string]int32{}
	for h := range b.hosts {
		value, _ := attribute(&b.hosts[h], key)
		n, ok := numbers[value]
		if !ok {
			n = int32(len(g.values))
			numbers[value] = n
			g.values = append(g.values, value)
		}
		g.of[h] = n
	}
	b.groups[key] = g
	return g
}
