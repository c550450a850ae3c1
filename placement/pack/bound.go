package pack

import (
	"cmp"
	"slices"
)

// LowerBound is a number of hosts that any packing of all items must open, hosts in use not counted. It is the largest of
//
//   - for each resource, the total demand less what the hosts in use have free, over the sizes of the other hosts, largest
//     first (for equal hosts: total demand over host size, rounded up);
//   - for each resource, the bound L2 for large items (Martello and Toth, 1990): items of more than half a host never
//     share one, and what is left beside them is filled by the smaller ones; hosts in use are taken off it;
//   - for kinds with a limit of items a host, and for keys that items have and avoid at once, the number of hosts that
//     those items need.
//
// Items that no host could ever hold are left out. A bound says nothing about whether a packing exists.
func LowerBound(p *Problem) int { return newState(p).bound() }

func (s *state) bound() int {
	possible := s.possible()
	used := 0
	for _, u := range s.used {
		if u {
			used++
		}
	}
	bound := 0
	for j := range s.d {
		bound = max(bound, s.volumeBound(j, possible), s.largeBound(j, possible)-used)
	}
	return max(bound, s.companyBound(possible, used))
}

// possible says for each class whether there is a host that could hold an item if it were alone.
func (s *state) possible() []bool {
	possible := make([]bool, len(s.classes))
	for c := range s.classes {
		k := &s.classes[c]
		for h := range s.order {
			fits := k.allowed.Has(h)
			for j, d := range k.demand {
				fits = fits && (d == 0 || d <= s.free[h*s.d+j])
			}
			if fits {
				possible[c] = true
				break
			}
		}
	}
	return possible
}

// volumeBound is the first of the bounds.
func (s *state) volumeBound(j int, possible []bool) int {
	var total int64
	for c := range s.classes {
		if possible[c] {
			total += s.classes[c].demand[j] * int64(s.classes[c].count)
		}
	}
	var sizes []int64
	for h, used := range s.used {
		switch free := max(s.free[h*s.d+j], 0); {
		case used:
			total -= free
		default:
			sizes = append(sizes, free)
		}
	}
	slices.SortFunc(sizes, func(a, b int64) int { return cmp.Compare(b, a) })
	n := 0
	for ; total > 0 && n < len(sizes); n++ {
		total -= sizes[n]
	}
	return n
}

// largeBound is L2 for hosts of the largest size, those in use counted.
func (s *state) largeBound(j int, possible []bool) int {
	var size int64
	for h := range s.order {
		size = max(size, s.free[h*s.d+j])
	}
	type large struct{ demand, count int64 }
	var items []large // descending
	for c := range s.classes {
		if k := &s.classes[c]; possible[c] && k.demand[j] > 0 {
			items = append(items, large{k.demand[j], int64(k.count)})
		}
	}
	slices.SortFunc(items, func(a, b large) int { return cmp.Compare(b.demand, a.demand) })
	best := int64(0)
	for _, t := range append(items, large{}) {
		least := t.demand // the smaller items that are looked at
		if least > size/2 {
			continue
		}
		var alone, half, spare, small int64
		for _, i := range items {
			switch {
			case i.demand > size-least:
				alone += i.count
			case i.demand > size/2:
				half += i.count
				spare += (size - i.demand) * i.count
			case i.demand >= least:
				small += i.demand * i.count
			}
		}
		bound := alone + half
		if over := small - spare; over > 0 && size > 0 {
			bound += (over + size - 1) / size
		}
		best = max(best, bound)
	}
	return int(best)
}

// companyBound is the last of the bounds.
func (s *state) companyBound(possible []bool, used int) int {
	bound := 0
	alone := map[Key]int{}
	for c := range s.classes {
		k := &s.classes[c]
		if !possible[c] {
			continue
		}
		if k.perHost > 0 && k.present == nil {
			bound = max(bound, min((k.count+int(k.perHost)-1)/int(k.perHost), len(s.order))-used)
		}
		for _, key := range k.has {
			if slices.Contains(k.avoids, key) {
				alone[key] += k.count
				bound = max(bound, min(alone[key], len(s.order))-used)
			}
		}
	}
	return bound
}
