package scheduler

import (
	"cmp"
	"slices"

	"berth/placement"
)

// evens reports whether a bundle's tasks are spread evenly: soft rules about what is beside a task come before that, and
// change with each move.
func (r *rebalancer) evens(b *bundle) bool {
	s := b.tasks[0].set.service
	return b.apart && s.Strategy != placement.Binpack && s.Strategy != placement.Random &&
		!slices.ContainsFunc(s.Constraints, func(c placement.Constraint) bool { return c.Soft && c.Kind() != placement.AboutHost })
}

// even moves the tasks of a service from hosts that have too many to those that have too few.
func (r *rebalancer) even(b *bundle) bool {
	if len(r.pieces[b]) == 0 {
		return false
	}
	have := r.board.Counts(b.tasks[0].Service)
	stay, movable := r.standing(b, have)
	target := r.board.Even(r.ask(b), stay)
	var wanting []int
	for h := range target {
		for n := have[h]; n < target[h]; n++ {
			wanting = append(wanting, h)
		}
	}
	moved := len(wanting) > 0
	for h, here := range movable {
		for excess := have[h] - target[h]; excess > 0; excess-- {
			x := here[0]
			here = here[1:]
			to := max(slices.Index(wanting, x.from), 0) // home, if that wants one
			r.put(x, wanting[to])
			wanting = slices.Delete(wanting, to, to+1)
		}
	}
	return moved
}

// standing is, by host, how many of a bundle's tasks stay there whatever is better, and the others, in the order in which
// they go: what is on its way already, what is not healthy, then the highest numbers.
func (r *rebalancer) standing(b *bundle, have []int32) ([]int32, [][]*piece) {
	stay, movable := slices.Clone(have), make([][]*piece, len(have))
	for _, x := range r.pieces[b] {
		if x.stays == "" {
			movable[x.at] = append(movable[x.at], x)
			stay[x.at]--
		}
	}
	service := b.tasks[0].set.service.Name
	for h, here := range movable {
		slices.SortFunc(here, func(x, y *piece) int {
			return cmp.Or(cmp.Compare(x.rank(), y.rank()), -cmp.Compare(x.tasks[0].Number, y.tasks[0].Number))
		})
		if len(here) > 0 && stay[h] == 0 && r.needed(service, h, int(have[h])) && r.may(here[0]) {
			stay[h], movable[h] = 1, here[:len(here)-1]
		}
	}
	return stay, movable
}

func (x *piece) rank() int {
	c := x.tasks[0].old
	switch {
	case x.at != x.from:
		return 0
	case c.Health != "" && c.Health != "healthy":
		return 1
	}
	return 2
}
