package pack

import (
	"cmp"
	"math/bits"
	"slices"
)

// unit is what the size of the largest host is in scaled amounts. Scaled amounts only steer choices; what fits is asked
// of the exact ones.
const unit = 1 << 16

// class is all the items that are alike for packing: those of one kind, or of several that differ in nothing.
type class struct {
	demand  []int64
	scaled  []int64 // the demand in parts of unit, at least 1 where there is any
	weight  int64   // how much of what is scarce an item takes: the sum of its scaled demands, times the scarcity
	allowed Set     // by position in state.order
	hosts   int     // how many hosts are allowed
	kinds   []int   // in the problem, in its order
	count   int
	special bool // anything below is set
	perHost int32
	present []int32
	has     []Key
	avoids  []Key
	needs   []Key
}

// state is a packing in the making. Hosts are numbered in an order of their own, so that the order in which the problem
// lists them makes no difference.
type state struct {
	problem *Problem
	dims    []int // the resources that any item wants
	d       int   // how many those are
	order   []int // host → index in the problem
	used    []bool
	classes []class
	free    []int64 // by host and resource
	room    []int64 // the same, scaled, never below 0
	size    []int64 // scaled free amounts at the start
	scarce  []int64 // how scarce each resource is: demand of all items in 1024ths of what all hosts have free
	items   [][]int32
	left    []int32 // items without a host, by class
	keyed   bool    // some class is special
	keys    []held
	steps   int
	random  uint64
}

// held counts the keys of what is on a host.
type held struct {
	has, avoids []keyCount
}

type keyCount struct {
	key   Key
	count int32
}

func newState(p *Problem) *state {
	s := &state{problem: pruned(p), random: 1}
	s.resources()
	s.sortHosts()
	s.sortClasses()
	s.weigh()
	return s
}

// resources finds those that matter.
func (s *state) resources() {
	n := 0
	for i := range s.problem.Kinds {
		n = max(n, len(s.problem.Kinds[i].Demand))
	}
	for r := range n {
		for i := range s.problem.Kinds {
			k := &s.problem.Kinds[i]
			if k.Count > 0 && amount(k.Demand, r) > 0 {
				s.dims = append(s.dims, r)
				break
			}
		}
	}
	s.d = len(s.dims)
}

// amount is one resource of a vector that may be shorter than others.
func amount(v []int64, resource int) int64 {
	if resource < len(v) {
		return v[resource]
	}
	return 0
}

// sortHosts brings them into the order in which they are filled: those in use first, then the larger ones. What is left
// equal by all that the packing looks at stays in the problem's order.
func (s *state) sortHosts() {
	p := s.problem
	largest := make([]int64, s.d)
	for i := range p.Hosts {
		for j, r := range s.dims {
			largest[j] = max(largest[j], amount(p.Hosts[i].Free, r))
		}
	}
	prints := s.fingerprints()
	s.order = make([]int, len(p.Hosts))
	total := make([]int64, len(p.Hosts))
	for h := range s.order {
		s.order[h] = h
		for j, r := range s.dims {
			total[h] += scale(amount(p.Hosts[h].Free, r), largest[j])
		}
	}
	slices.SortStableFunc(s.order, func(x, y int) int {
		a, b := &p.Hosts[x], &p.Hosts[y]
		if a.Used != b.Used {
			if a.Used {
				return -1
			}
			return 1
		}
		if c := cmp.Compare(total[y], total[x]); c != 0 {
			return c
		}
		for _, r := range s.dims {
			if c := cmp.Compare(amount(b.Free, r), amount(a.Free, r)); c != 0 {
				return c
			}
		}
		return cmp.Compare(prints[x], prints[y])
	})
	s.used = make([]bool, len(p.Hosts))
	s.free = make([]int64, len(p.Hosts)*s.d)
	s.room = make([]int64, len(p.Hosts)*s.d)
	s.items = make([][]int32, len(p.Hosts))
	for h, i := range s.order {
		s.used[h] = p.Hosts[i].Used
		for j, r := range s.dims {
			f := amount(p.Hosts[i].Free, r)
			s.free[h*s.d+j] = f
			s.room[h*s.d+j] = scale(max(f, 0), largest[j])
		}
	}
	s.size = slices.Clone(s.room)
	s.scarce = make([]int64, s.d)
	for j := range s.scarce {
		s.scarce[j] = largest[j] // weigh needs it, and puts the scarcity there
	}
}

// fingerprints tell hosts apart by the kinds that they admit, and by what they hold. It would make no difference to the
// rules if two were equal by chance.
func (s *state) fingerprints() []uint64 {
	p := s.problem
	prints := make([]uint64, len(p.Hosts))
	for h := range prints {
		for _, key := range p.Hosts[h].Has {
			prints[h] = mix(prints[h] + uint64(key) + 1)
		}
		prints[h] = mix(prints[h])
		for _, key := range p.Hosts[h].Avoids {
			prints[h] = mix(prints[h] + uint64(key) + 1)
		}
	}
	for n, i := range s.sortedKinds() {
		k := &p.Kinds[i]
		for h := range prints {
			if k.Allowed != nil && k.Allowed.Has(h) {
				prints[h] += mix(2*uint64(n) + 1)
			}
			if k.Present != nil {
				prints[h] += mix(2*uint64(n)+2) * uint64(k.Present[h])
			}
		}
	}
	return prints
}

// scale is an amount in parts of unit of a whole, from 0 to 16 units.
func scale(amount, whole int64) int64 {
	if amount <= 0 || whole <= 0 {
		return 0
	}
	const most = 16 * unit // no host could ever meet such a demand
	high, low := bits.Mul64(uint64(amount), unit)
	if high >= uint64(whole) {
		return most
	}
	q, _ := bits.Div64(high, low, uint64(whole))
	return int64(min(q, most))
}

// sortedKinds are the indexes of the kinds with items, in an order that does not depend on the problem's where they
// differ in any way other than by which hosts they allow.
func (s *state) sortedKinds() []int {
	p := s.problem
	kinds := make([]int, 0, len(p.Kinds))
	for i := range p.Kinds {
		if p.Kinds[i].Count > 0 {
			kinds = append(kinds, i)
		}
	}
	slices.SortStableFunc(kinds, func(x, y int) int {
		a, b := &p.Kinds[x], &p.Kinds[y]
		for _, r := range s.dims {
			if c := cmp.Compare(amount(b.Demand, r), amount(a.Demand, r)); c != 0 {
				return c
			}
		}
		return cmp.Or(
			cmp.Compare(a.PerHost, b.PerHost),
			slices.Compare(a.Needs, b.Needs), slices.Compare(a.Has, b.Has), slices.Compare(a.Avoids, b.Avoids),
			cmp.Compare(a.Allowed.within(len(p.Hosts)), b.Allowed.within(len(p.Hosts))),
			cmp.Compare(b.Count, a.Count),
		)
	})
	return kinds
}
