package pack

import "slices"

func (s *state) clearAll() {
	for h := range s.items {
		s.clear(h)
	}
}

// snapshot is where all items are.
func (s *state) snapshot() [][]int32 {
	all := make([][]int32, len(s.items))
	for h := range s.items {
		all[h] = slices.Clone(s.items[h])
	}
	return all
}

// restore goes back to a snapshot.
func (s *state) restore(items [][]int32) {
	s.clearAll()
	for h := range items {
		for _, c := range items[h] {
			s.put(h, c)
		}
	}
}

// result names hosts and items as the problem does.
func (b *batch) result() Result {
	r := Result{Hosts: make([][]int32, len(b.problem.Kinds)), Opened: b.opened(), Unplaced: b.waiting() + b.refused, Steps: b.steps, Proven: b.good()}
	places := make([][]int32, len(b.classes))
	for h, items := range b.items {
		for _, c := range items {
			places[c] = append(places[c], int32(b.order[h]))
		}
	}
	for c := range b.classes {
		slices.Sort(places[c])
		slices.Sort(b.classes[c].kinds)
		for _, i := range b.classes[c].kinds {
			hosts := make([]int32, b.problem.Kinds[i].Count)
			n := copy(hosts, places[c])
			places[c] = places[c][n:]
			for ; n < len(hosts); n++ {
				hosts[n] = -1
			}
			r.Hosts[i] = hosts
		}
	}
	return r
}
