package scheduler

import (
	"cmp"
	"slices"

	"berth/placement"
)

// gather empties a host of which the packing has no need: all that is on it are tasks that are packed, and the other hosts
// that are in use have room for all of them. It takes the one with the
// fewest tasks, then the one that they reserve least of.
func (r *rebalancer) gather() bool {
	packed := make([][]*piece, len(r.o.Hosts))
	for _, b := range r.bundles {
		for _, x := range r.pieces[b] {
			if r.packs(x) {
				packed[x.at] = append(packed[x.at], x)
			}
		}
	}
	var candidates []int
	used := make([]bool, len(packed))
	global := r.globals()
	for h := range packed {
		host, n := &r.o.Hosts[h], 0
		for _, x := range packed[h] {
			n += len(x.tasks)
		}
		other := r.board.Tasks(h)-n-global[h] > 0 || len(host.Ports) > 0 || host.Reserved != placement.Reservation{}
		if used[h] = n > 0 || other; n > 0 && !other && host.Availability != placement.Pause {
			candidates = append(candidates, h)
		}
	}
	slices.SortFunc(candidates, func(g, h int) int {
		return cmp.Or(cmp.Compare(len(packed[g]), len(packed[h])), cmp.Compare(r.board.Used(g).CPU, r.board.Used(h).CPU), -cmp.Compare(g, h))
	})
	for _, h := range candidates {
		others := slices.Clone(used)
		if others[h] = false; r.empty(packed[h], placement.Need{Hosts: others}) {
			return true
		}
	}
	return false
}

// packs reports whether a piece is one that is packed: soft rules say more of its place than the packing.
func (r *rebalancer) packs(x *piece) bool {
	s := x.tasks[0].set.service
	return s.Strategy == placement.Binpack && x.stays == "" && x.twice() && !r.needed(s.Name, x.at, len(r.o.Containers)) &&
		!slices.ContainsFunc(s.Constraints, func(c placement.Constraint) bool { return c.Soft })
}

// globals is by host how many tasks of global services it has: they keep no host in use.
func (r *rebalancer) globals() []int {
	all := make([]int, len(r.o.Hosts))
	for _, st := range r.sets {
		if st.service.Mode == placement.Global {
			for h, n := range r.board.Counts(st.service.Name) {
				all[h] += int(n)
			}
		}
	}
	return all
}

// empty moves pieces, large ones first, to hosts among some: all of them or none.
func (r *rebalancer) empty(pieces []*piece, among placement.Need) bool {
	pieces = slices.Clone(pieces)
	slices.SortStableFunc(pieces, func(x, y *piece) int {
		a, b := x.tasks[0].set.service.Reservation, y.tasks[0].set.service.Reservation
		return cmp.Or(-cmp.Compare(a.CPU, b.CPU), -cmp.Compare(a.Memory, b.Memory))
	})
	from := pieces[0].at
	for i, x := range pieces {
		h, ok := r.board.Best(r.ask(x.bundle).Within(among))
		if !ok {
			for _, y := range pieces[:i] {
				r.put(y, from)
			}
			return false
		}
		r.put(x, h)
	}
	return true
}
