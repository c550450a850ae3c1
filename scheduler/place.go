package scheduler

import (
	"fmt"
	"slices"

	"berth/placement"
)

// place decides a host for every task in scope. What is left without one is tried once more with all that is free packed at
// once: that is not as even, but better than to refuse what there is room for.
func (u *upper) place() {
	all := u.bundles()
	u.said, u.packing = len(u.plan.Warnings), false
	refused := u.placeAll(all)
	if refused == 0 || !u.o.Cluster {
		return
	}
	u.packing = true
	if packed := u.placeAll(all); packed < refused {
		u.warn("tasks are packed more tightly than their strategy wants: otherwise %s would have no room", count(refused-packed, "task"))
		return
	}
	u.packing = false
	u.placeAll(all)
}

// count is a number of things: "1 task", "2 tasks".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// placeAll places all bundles and returns how many tasks have no host: tasks that are there stay where the filters still
// admit them, then the others are chosen for. A task that must leave its host and finds no other goes on where it is; the
// room it holds there was perhaps given away by then, so the decision is made again with that room held.
func (u *upper) placeAll(all []*bundle) (refused int) {
	for clean := true; ; clean = false {
		u.board, u.needs = u.newBoard(), placement.NewNeeds(u.p, u.o)
		u.pins++ // requests belong to a board
		u.plan.Unplaced, refused = nil, 0
		u.plan.Warnings = u.plan.Warnings[:u.said] // those of an attempt that was given up are not true any more
		clear(u.scores)
		again := false
		for _, b := range u.attempt(all, clean) {
			refused += len(b.tasks)
			b.pieces(func(tasks []*task) {
				if !tasks[0].stuck && slices.ContainsFunc(tasks, func(t *task) bool { return t.old != nil }) {
					again = true
					for _, t := range tasks {
						t.stuck = true
					}
				}
			})
		}
		if !again {
			return refused
		}
	}
}

// attempt places all bundles and returns what has no host. With clean nothing is stuck yet.
func (u *upper) attempt(all []*bundle, clean bool) []*bundle {
	for _, b := range all {
		if b.apart && !b.tasks[0].set.known { // none of them is there, so none is stuck
			clear(b.tasks[0].set.hosts)
			continue
		}
		for _, t := range b.tasks {
			u.send(t, "")
			t.stuck = t.stuck && !clean
			if t.stuck && t.old != nil {
				u.board.Hold(u.w.order(t.old.Host), t.Task, t.old.Reservation, t.old.Ports)
				u.board.HoldResources(u.w.order(t.old.Host), t.old.Resources)
			}
		}
	}
	u.holdOthers()
	u.pinExisting()
	var changed, free []*bundle
	for _, b := range all {
		if !u.knows(b) {
			free = append(free, b)
			continue
		}
		rest := &bundle{apart: b.apart}
		b.pieces(func(tasks []*task) {
			switch host, ok := u.anchor(b, tasks); {
			case !ok || tasks[0].stuck:
				rest.tasks = append(rest.tasks, tasks...)
			case u.settled(tasks, host):
				u.settle(tasks, host)
			default:
				changed = append(changed, &bundle{apart: b.apart, tasks: tasks})
			}
		})
		if len(rest.tasks) > 0 {
			free = append(free, rest)
		}
	}
	for _, b := range changed {
		host, ok := u.anchor(b, b.tasks) // asked again: a volume may have been pinned since
		if r := u.ask(b); ok && u.board.Fits(r, u.w.order(host)) {
			u.board.Put(u.w.order(host), r)
			u.assign(b.tasks, host)
			continue
		}
		if last := len(free) - 1; b.apart && last >= 0 && free[last].apart && free[last].tasks[0].set == b.tasks[0].set {
			free[last].tasks = append(free[last].tasks, b.tasks...)
		} else {
			free = append(free, b)
		}
	}
	return u.choose(free)
}

// holdOthers puts on the board what runs and is not up for decision: services out of scope, orphans, one-offs.
func (u *upper) holdOthers() {
	if len(u.w.containers) == 0 {
		return
	}
	decided := map[*placement.Container]bool{}
	for _, st := range u.sets {
		if !st.inScope {
			for _, t := range st.tasks {
				if t.old != nil {
					u.send(t, t.old.Host)
				}
			}
			continue
		}
		for _, t := range st.tasks {
			if t.old != nil {
				decided[t.old] = true
			}
		}
		for _, d := range st.drops {
			decided[d.c] = true
		}
	}
	for _, d := range u.orphaned {
		decided[d.c] = true
	}
	for i := range u.w.containers {
		c := &u.w.containers[i]
		if h, ok := u.w.hosts[c.Host]; ok && !decided[c] && up(c) {
			holder := c.Task
			if c.OneOff {
				holder.Service = c.Name // no task of its service: max_replicas_per_node does not count it
			}
			u.board.Hold(h, holder, c.Reservation, c.Ports)
			u.board.HoldResources(h, c.Resources)
		}
	}
}

// pinExisting gives volumes that are new in the file the host of their service's first task, so that the service's
// other tasks join it there.
func (u *upper) pinExisting() {
	for _, st := range u.order {
		if !st.inScope {
			continue
		}
		free := u.needs.Free(st.service)
		if len(free) == 0 {
			continue
		}
		for _, t := range st.tasks {
			if t.old == nil && !t.away {
				continue
			}
			host := t.host()
			if t.old != nil {
				host = t.old.Host
				r := u.board.NewRequest(st.service, t.Task, u.needs.Of(st.service)...)
				if !u.board.Admits(r, u.w.order(host)) {
					continue
				}
			}
			for _, v := range free {
				u.pin(v, host)
			}
			break
		}
	}
}

// knows reports whether any task of a bundle was there before.
func (u *upper) knows(b *bundle) bool {
	if b.apart || len(u.o.Recorded) > 0 {
		return b.tasks[0].set.known || len(u.o.Recorded) > 0
	}
	return slices.ContainsFunc(b.tasks, func(t *task) bool { return t.set.known })
}

// anchor is the host that tasks of a bundle are on already and may stay on: that of the first that has a container, else
// the one that the store says it was put on (a command that was cut short is taken up where it was).
func (u *upper) anchor(b *bundle, tasks []*task) (string, bool) {
	for _, t := range tasks {
		if t.old != nil {
			// One that is left alone is where it is, whatever the file says now; what comes beside it has to be admitted there.
			there := func(x *task) bool { return x.old != nil && x.old.Host == t.old.Host }
			if u.keeps(t) && !slices.ContainsFunc(tasks, func(x *task) bool { return !there(x) }) || u.board.Admits(u.ask(b), u.w.order(t.old.Host)) {
				return t.old.Host, true
			}
			break
		}
	}
	if len(u.o.Recorded) == 0 {
		return "", false
	}
	for _, t := range tasks {
		if known, ok := u.o.Recorded[t.Task]; ok && u.w.ready(known.Host) && (t.only() == "" || t.only() == known.Host) {
			return known.Host, u.board.Admits(u.ask(b), u.w.order(known.Host))
		}
	}
	return "", false
}

// settled reports whether all of the tasks run on the host and nothing about what they reserve or publish changes:
// they stay without asking for room.
func (u *upper) settled(tasks []*task, host string) bool {
	for _, t := range tasks {
		if t.old == nil || t.old.Host != host || !up(t.old) && (!t.finished() || u.runsAgain(t)) {
			return false
		}
		if !u.configured(t.set.service, t.old) && (!u.keeps(t) || u.volumeRenewed(t.old)) {
			return false
		}
	}
	return true
}

// runsAgain reports whether a job that has ended is made anew all the same, and needs room for that.
func (u *upper) runsAgain(t *task) bool {
	if u.volumeRenewed(t.old) {
		return true
	}
	return !u.keeps(t) && (u.forced(t) != "" || t.set.selected && u.opts.RenewAnonVolumes ||
		u.diverged(t.set.service, t.old) != "" || u.lostNetwork(t.set.service, t.old.Host) != "")
}

// settle holds the place of tasks that stay: what the file says of them or, of those left alone, what their containers have.
func (u *upper) settle(tasks []*task, host string) {
	h := u.w.order(host)
	for _, t := range tasks {
		switch s := t.set.service; {
		case !up(t.old): // a finished job holds nothing
		case u.configured(s, t.old):
			u.board.Hold(h, t.Task, s.Reservation, s.Ports)
			u.board.HoldResources(h, s.Resources)
		default:
			u.board.Hold(h, t.Task, t.old.Reservation, t.old.Ports)
			u.board.HoldResources(h, t.old.Resources)
		}
	}
	u.assign(tasks, host)
}

// assign decides for a host, and ties the volumes of the tasks to it.
func (u *upper) assign(tasks []*task, host string) {
	var of *set
	for _, t := range tasks {
		u.send(t, host)
		if t.set == of {
			continue
		}
		of = t.set
		for _, v := range u.needs.Free(t.set.service) { // one that is on several hosts is tied to none by a guess
			u.pin(v, host)
		}
	}
}

// send says which host a task goes to, "" for none yet.
func (u *upper) send(t *task, host string) { t.set.hosts[t.rank] = u.number(host) }

// bind says which host a task must be on.
func (u *upper) bind(t *task, host string) { t.bound = u.number(host) }

// number is a host of the inventory as set.hosts has it.
func (u *upper) number(host string) int32 {
	if i, ok := u.w.hosts[host]; ok {
		return int32(i) + 1
	}
	return 0
}

// pin ties a volume to a host, which narrows the choice of all that mount it.
func (u *upper) pin(v *placement.VolumeSpec, host string) {
	u.needs.Pin(v.Name, host)
	u.pins++
}
