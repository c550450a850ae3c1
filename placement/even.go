package placement

import (
	"cmp"
	"slices"
)

// Even says how many tasks of the request's service each host is to have for them to be as even as Fill would make them,
// when so many of them stay where they are (by host): the fewest tasks leave their host for it. The request is for one
// task. The sum is that of the tasks that are on the board.
//
// At each level of the preferences no group has a task that another of them, where there is room, should have by its
// share; within the last level no host has two tasks more than another that has room. Hosts that do not admit the request
// any more give their tasks away as far as others have room; those that are paused neither give nor take. Soft rules
// about hosts come first, as they do for Fill: tasks are evened out among hosts that agree with as much of them.
func (b *Board) Even(r *Request, stay []int32) []int32 {
	service := r.parts[0].index
	b.count(service)
	defer b.forget()
	have := slices.Clone(b.counts)
	target := slices.Clone(have)
	admitted := b.admitted(r)
	keeps := func(h int) bool { return b.keeps(int32(h)) && (admitted == nil || admitted.has(int32(h))) }
	var leave, free, most int64
	for h, n := range have {
		free += int64(n - stay[h])
		most = max(most, int64(n))
		if !keeps(h) {
			leave += int64(n - stay[h])
			target[h] = stay[h]
		}
	}
	if leave > 0 || len(r.preferences) > 0 {
		most = free + most // no host gets as much
	}
	branches := make([]*branch, len(have))
	for h := range have {
		if !keeps(h) {
			continue
		}
		n := int64(have[h])
		branches[h] = &branch{host: int32(h), have: n, low: n, high: n, weight: 1, load: b.slots[h].load()}
		if b.open(int32(h)) {
			branches[h].low = int64(stay[h])
			branches[h].high += b.room(r, h, min(free, most-n))
		}
	}
	for _, tier := range b.tiers(r, branches) {
		root := b.grow(b.tree(r.preferences), tier)
		more := min(leave, root.high-root.have)
		leave -= more
		root.assign(root.have+more, target)
	}
	for h := range have { // those for which there is no room stay
		if n := min(leave, int64(have[h]-target[h])); !keeps(h) && n > 0 {
			target[h] += int32(n)
			leave -= n
		}
	}
	return target
}

// room is how many more of a request a host has room for, up to most.
func (b *Board) room(r *Request, host int, most int64) int64 {
	n := int64(0)
	for n < most && b.Fits(r, host) {
		b.Put(host, r)
		n++
	}
	for range n {
		b.Take(host, r)
	}
	return n
}

// tiers sorts hosts by how much they agree with the soft rules, the most first; nil hosts are left out.
func (b *Board) tiers(r *Request, hosts []*branch) [][]*branch {
	scores := b.scores(r)
	by := map[int32][]*branch{}
	for h, x := range hosts {
		if x != nil {
			score := int32(0)
			if scores != nil {
				score = scores[h]
			}
			by[score] = append(by[score], x)
		}
	}
	var all [][]*branch
	for score := range by {
		all = append(all, by[score])
	}
	slices.SortFunc(all, func(x, y []*branch) int {
		if scores == nil {
			return 0
		}
		return -cmp.Compare(scores[x[0].host], scores[y[0].host])
	})
	return all
}

// branch is a host, or hosts that share the values of the first preferences, while tasks are evened out.
type branch struct {
	host      int32
	inner     []*branch // nil for a host
	have      int64     // tasks that are there
	low, high int64     // tasks that may be there: those that stay, those that there is room for
	weight    int64
	load      int32           // of its least loaded host
	costs     map[int64]int64 // what cost has worked out
}

// grow makes the tree of some hosts out of the board's.
func (b *Board) grow(t *tree, hosts []*branch) *branch {
	groups := make([]*branch, len(t.groups))
	for i := range groups {
		groups[i] = &branch{host: noHost, weight: t.groups[i].weight, load: maxLoad, costs: map[int64]int64{}}
	}
	for _, h := range hosts {
		leaf := t.of[h.host]
		groups[leaf].inner = append(groups[leaf].inner, h)
		for g := leaf; g >= 0; g = t.groups[g].parent {
			x := groups[g]
			x.have, x.low, x.high, x.load = x.have+h.have, x.low+h.low, x.high+h.high, min(x.load, h.load)
		}
	}
	for i := range groups {
		for _, w := range t.groups[i].within {
			if groups[w].inner != nil || t.groups[w].within != nil {
				groups[i].inner = append(groups[i].inner, groups[w])
			}
		}
	}
	return groups[0]
}

// divide gives out n tasks among the inner branches: each to the one that has the fewest for its share, as Fill does it.
// Of those that are equal in that, the ones get it that lose fewer tasks by it, then those with less load.
func (g *branch) divide(n int64) []int64 {
	shares := make([]int64, len(g.inner))
	for i, x := range g.inner {
		shares[i] = x.low
		n -= x.low
	}
	var equal []int
	for n > 0 {
		equal = equal[:0]
		for i, x := range g.inner {
			if shares[i] >= x.high {
				continue
			}
			if len(equal) > 0 {
				first := equal[0]
				mine, other := (shares[i]+1)*g.inner[first].weight, (shares[first]+1)*x.weight
				if mine > other {
					continue
				}
				if mine < other {
					equal = equal[:0]
				}
			}
			equal = append(equal, i)
		}
		if len(equal) == 0 {
			break
		}
		if int64(len(equal)) > n {
			saves := make([]int64, len(g.inner))
			for _, i := range equal {
				saves[i] = g.inner[i].cost(shares[i]+1) - g.inner[i].cost(shares[i])
			}
			slices.SortFunc(equal, func(i, j int) int {
				return cmp.Or(cmp.Compare(saves[i], saves[j]), cmp.Compare(g.inner[i].load, g.inner[j].load), cmp.Compare(i, j))
			})
			equal = equal[:n]
		}
		for _, i := range equal {
			shares[i]++
			n--
		}
	}
	return shares
}

// cost is how many tasks leave hosts of the branch when it is to have n.
func (g *branch) cost(n int64) int64 {
	if g.inner == nil {
		return max(g.have-n, 0)
	}
	if c, ok := g.costs[n]; ok {
		return c
	}
	sum := int64(0)
	for i, share := range g.divide(n) {
		sum += g.inner[i].cost(share)
	}
	g.costs[n] = sum
	return sum
}

// assign writes how many of n tasks each host of the branch is to have.
func (g *branch) assign(n int64, target []int32) {
	if g.inner == nil {
		if g.host != noHost {
			target[g.host] = int32(n)
		}
		return
	}
	for i, share := range g.divide(n) {
		g.inner[i].assign(share, target)
	}
}
