package scheduler

import (
	"slices"

	"berth/placement"
)

// place decides a host for every task in scope: tasks that are there stay where the filters still admit them, then
// the others are chosen for. A task that must leave its host and finds no other goes on where it is; the room it holds
// there was perhaps given away by then, so the decision is made again with that room held.
func (u *upper) place() {
	all := u.bundles()
	for {
		u.board, u.needs = u.newBoard(), placement.NewNeeds(u.p, u.o)
		u.plan.Unplaced = nil
		again := false
		for _, b := range u.attempt(all) {
			if !b.stuck && slices.ContainsFunc(b.tasks, func(t *task) bool { return t.old != nil }) {
				b.stuck, again = true, true
			}
		}
		if !again {
			return
		}
	}
}

// attempt places all bundles and returns those that have no host.
func (u *upper) attempt(all []*bundle) []*bundle {
	for _, b := range all {
		for _, t := range b.tasks {
			t.host, t.unplaced = "", false
			if b.stuck && t.old != nil {
				u.board.Hold(u.w.order(t.old.Host), t.Task, t.old.Reservation, t.old.Ports)
				u.board.HoldResources(u.w.order(t.old.Host), t.old.Resources)
			}
		}
	}
	u.holdOthers()
	u.pinExisting()
	var changed, free []*bundle
	for _, b := range all {
		switch host, ok := u.anchor(b); {
		case !ok || b.stuck:
			free = append(free, b)
		case u.settled(b, host):
			u.settle(b, host)
		default:
			changed = append(changed, b)
		}
	}
	for _, b := range changed {
		host, ok := u.anchor(b) // asked again: a volume may have been pinned since
		if r := u.ask(b); ok && u.board.Fits(r, u.w.order(host)) {
			u.board.Put(u.w.order(host), r)
			u.assign(b, host)
		} else {
			free = append(free, b)
		}
	}
	return u.choose(free)
}

// holdOthers puts on the board what runs and is not up for decision: services out of scope, orphans, one-offs.
func (u *upper) holdOthers() {
	decided := map[*placement.Container]bool{}
	for _, st := range u.sets {
		if !st.inScope {
			for _, t := range st.tasks {
				if t.old != nil {
					t.host = t.old.Host
				}
			}
			continue
		}
		for _, t := range st.tasks {
			decided[t.old] = true
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
			host := t.host
			if t.old != nil {
				host = t.old.Host
				r := u.board.NewRequest(st.service, t.Task, u.needs.Of(st.service)...)
				if !u.board.Admits(r, u.w.order(host)) {
					continue
				}
			}
			for _, v := range free {
				u.needs.Pin(v.Name, host)
			}
			break
		}
	}
}

// anchor is the host that a bundle is on already and may stay on: that of its first task that has a container, else
// the one that the store says it was put on (a command that was cut short is taken up where it was).
func (u *upper) anchor(b *bundle) (string, bool) {
	r := u.ask(b)
	for _, t := range b.tasks {
		if t.old != nil {
			// --no-recreate leaves it where it is, whatever the file says now.
			if u.opts.NoRecreate || u.board.Admits(r, u.w.order(t.old.Host)) {
				return t.old.Host, true
			}
			break
		}
	}
	for _, t := range b.tasks {
		if known, ok := u.o.Recorded[t.Task]; ok && u.w.ready(known.Host) {
			return known.Host, u.board.Admits(r, u.w.order(known.Host))
		}
	}
	return "", false
}

// settled reports whether all of a bundle runs on its host and nothing about what it reserves or publishes changes:
// it stays without asking for room.
func (u *upper) settled(b *bundle, host string) bool {
	for _, t := range b.tasks {
		if t.old == nil || t.old.Host != host || !up(t.old) && !t.finished() {
			return false
		}
		if !u.opts.NoRecreate && t.old.ConfigHash != t.set.service.ConfigHash && !t.old.Same {
			return false
		}
	}
	return true
}

// settle holds the place of a bundle that stays.
func (u *upper) settle(b *bundle, host string) {
	for _, t := range b.tasks {
		if up(t.old) { // a finished job holds nothing
			u.board.Hold(u.w.order(host), t.Task, t.set.service.Reservation, t.set.service.Ports)
			u.board.HoldResources(u.w.order(host), t.set.service.Resources)
		}
	}
	u.assign(b, host)
}

// assign decides for a host. It reports whether that pinned a volume, which narrows the choice of others.
func (u *upper) assign(b *bundle, host string) (pinned bool) {
	for _, t := range b.tasks {
		t.host = host
		for _, v := range u.needs.Sticky(t.set.service) {
			if u.needs.Pinned(v.Name) == "" {
				u.needs.Pin(v.Name, host)
				pinned = true
			}
		}
	}
	return pinned
}
