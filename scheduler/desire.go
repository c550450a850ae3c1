package scheduler

import (
	"cmp"
	"slices"

	"berth/placement"
)

// desire brings the number of tasks to what the service wants.
func (u *upper) desire(st *set) {
	if st.service.Mode == placement.Global {
		u.desireGlobal(st)
	} else {
		u.desireReplicas(st)
	}
	st.arrange()
}

// desireReplicas scales: down by dropping what is obsolete first and then the highest numbers, as docker compose
// does, up by new numbers.
func (u *upper) desireReplicas(st *set) {
	want := st.service.Replicas
	if excess := len(st.tasks) - want; excess > 0 {
		order := slices.Clone(st.tasks)
		obsolete := map[*task]bool{}
		for _, t := range order {
			obsolete[t] = t.old != nil && u.diverged(st.service, t.old) != ""
		}
		slices.SortFunc(order, func(a, b *task) int {
			if obsolete[a] != obsolete[b] {
				if obsolete[a] {
					return -1
				}
				return 1
			}
			return -cmp.Compare(a.Number, b.Number)
		})
		for _, t := range order[:excess] {
			if t.away {
				u.away[t.host()] = append(u.away[t.host()], t.Task)
			} else {
				st.drops = append(st.drops, &drop{c: t.old, service: st.service, why: "scaled down", removed: none})
			}
		}
		out := map[*task]bool{}
		for _, t := range order[:excess] {
			out[t] = true
		}
		st.tasks = slices.DeleteFunc(st.tasks, func(t *task) bool { return out[t] })
	}
	if missing := want - len(st.tasks); missing > 0 {
		st.tasks, st.hosts = slices.Grow(st.tasks, missing), slices.Grow(st.hosts, missing)
		fresh := make([]task, missing)
		for i := range fresh {
			fresh[i] = task{Task: placement.Task{Service: st.service.Name, Number: st.next()}, set: st, rank: int32(len(st.hosts))}
			st.tasks, st.hosts = append(st.tasks, &fresh[i]), append(st.hosts, 0)
		}
	}
	byNumber := func(a, b *task) int { return cmp.Compare(a.Number, b.Number) }
	if !slices.IsSortedFunc(st.tasks, byNumber) {
		slices.SortFunc(st.tasks, byNumber)
	}
}

// desireGlobal wants one task on each host that the lasting filters admit.
func (u *upper) desireGlobal(st *set) {
	r := u.board.NewRequest(st.service, placement.Task{Service: st.service.Name}, u.needs.Of(st.service)...)
	on := map[string]*task{}
	var kept []*task
	for _, t := range st.tasks {
		switch {
		case t.away:
			on[t.host()] = t
			kept = append(kept, t)
		case !u.board.Admits(r, u.w.order(t.old.Host)):
			st.drops = append(st.drops, &drop{c: t.old, service: st.service, removed: none,
				why: "host not admitted: " + u.board.Explain(r, u.w.order(t.old.Host))})
		case on[t.old.Host] != nil:
			st.drops = append(st.drops, &drop{c: t.old, service: st.service, removed: none,
				why: "second task of a global service on its host"})
		default:
			u.bind(t, t.old.Host)
			on[t.old.Host] = t
			kept = append(kept, t)
		}
	}
	st.tasks = kept
	for i := range u.o.Hosts {
		h := &u.o.Hosts[i]
		if on[h.Name] == nil && h.Availability != placement.Pause && u.board.Admits(r, i) {
			t := st.newTask(st.nextOn(h.Name, u.o.Recorded))
			u.bind(t, h.Name)
			st.tasks = append(st.tasks, t)
		}
	}
	slices.SortFunc(st.tasks, func(a, b *task) int { return cmp.Compare(a.Number, b.Number) })
}
