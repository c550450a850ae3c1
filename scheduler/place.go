package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"berth/placement"
)

// bundle is tasks that must be on one host: replica i of services that share namespaces or volumes_from. Most
// bundles are one task.
type bundle struct {
	tasks  []*task // providers before those who share with them
	admits int     // hosts that the lasting filters admit
	size   int64   // reservation in millionths of the largest host
	stuck  bool    // has no other host: what runs of it holds its place
}

// bundles joins the tasks of services in scope into bundles, in the order of services and numbers.
func (u *upper) bundles() []*bundle {
	parent := map[*task]*task{}
	var find func(t *task) *task
	find = func(t *task) *task {
		p, ok := parent[t]
		if !ok || p == t {
			return t
		}
		root := find(p)
		parent[t] = root
		return root
	}
	for _, st := range u.sets {
		if !st.inScope {
			continue
		}
		for _, t := range st.tasks {
			for _, provider := range u.providers(t) {
				if provider.set.inScope && !provider.away && !t.away {
					parent[find(t)] = find(provider)
				}
			}
		}
	}
	byRoot := map[*task]*bundle{}
	var all []*bundle
	for _, st := range u.order {
		if !st.inScope {
			continue
		}
		for _, t := range st.tasks {
			if t.away {
				continue
			}
			root := find(t)
			b := byRoot[root]
			if b == nil {
				b = &bundle{}
				byRoot[root] = b
				all = append(all, b)
			}
			b.tasks = append(b.tasks, t)
		}
	}
	return all
}

// providers are the tasks whose namespaces or volumes a task uses: replica i of each service where there is one, else
// its first.
func (u *upper) providers(t *task) []*task {
	var all []*task
	for _, name := range t.set.service.SharesWith {
		st := u.byName[name]
		if st == nil || len(st.tasks) == 0 {
			continue
		}
		p := st.tasks[0]
		if t.only != "" && st.service.Mode == placement.Global {
			if i := slices.IndexFunc(st.tasks, func(x *task) bool { return x.only == t.only }); i >= 0 {
				p = st.tasks[i]
			}
		} else if t.rank < len(st.tasks) {
			p = st.tasks[t.rank]
		}
		all = append(all, p)
	}
	return all
}

// ask makes the bundle's request anew: pins may have come since the last time.
func (u *upper) ask(b *bundle) *placement.Request {
	var r *placement.Request
	for _, t := range b.tasks {
		needs := u.needs.Of(t.set.service)
		if t.only != "" {
			needs = append(needs, u.needs.Only(t.only, "this task of the global service belongs to "+t.only))
		}
		for _, p := range u.providers(t) {
			if p.away || !p.set.inScope && p.host != "" {
				needs = append(needs, u.needs.Only(p.host, fmt.Sprintf("shares with %s on %s", p.Task, p.host)))
			}
		}
		for _, taken := range u.staticTaken(t) {
			needs = append(needs, u.needs.Only("", taken))
		}
		if r == nil {
			r = u.board.NewRequest(t.set.service, t.Task, needs...)
		} else {
			u.board.Add(r, t.set.service, t.Task, needs...)
		}
	}
	return r
}

// staticTaken says which static addresses of a service another of its tasks has: an address serves one task.
func (u *upper) staticTaken(t *task) []string {
	if t.rank == 0 {
		return nil
	}
	var all []string
	for _, a := range t.set.service.Networks {
		if a.IPv4 != "" {
			all = append(all, fmt.Sprintf("address %s on network %s is taken by %s", a.IPv4, a.Network, t.set.tasks[0].Task))
		}
	}
	return all
}

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
			u.board.Hold(h, c.Task, c.Reservation, c.Ports)
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
		if t.old == nil || t.old.Host != host || !up(t.old) {
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
		u.board.Hold(u.w.order(host), t.Task, t.set.service.Reservation, t.set.service.Ports)
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

// choose finds hosts for bundles that have none. Those with fewest hosts to choose from go first, then large ones,
// then by service and number; equal tasks share one picker. It returns the bundles that no host takes.
func (u *upper) choose(free []*bundle) []*bundle {
	largest := placement.Reservation{CPU: 1, Memory: 1}
	for i := range u.o.Hosts {
		largest.CPU = max(largest.CPU, u.o.Hosts[i].Capacity.CPU)
		largest.Memory = max(largest.Memory, u.o.Hosts[i].Capacity.Memory)
	}
	admits := map[*placement.Service]int{}
	for _, b := range free {
		service := b.tasks[0].set.service
		if n, ok := admits[service]; ok && plain(b) {
			b.admits = n
		} else {
			b.admits = u.board.Admitted(u.ask(b))
			if plain(b) {
				admits[service] = b.admits
			}
		}
		var sum placement.Reservation
		for _, t := range b.tasks {
			sum = sum.Add(t.set.service.Reservation)
		}
		b.size = max(sum.CPU*1_000_000/largest.CPU, (sum.Memory>>10)*1_000_000/max(largest.Memory>>10, 1))
	}
	slices.SortStableFunc(free, func(a, b *bundle) int {
		return cmp.Or(cmp.Compare(a.admits, b.admits), -cmp.Compare(a.size, b.size),
			compareTasks(a.tasks[0].Task, b.tasks[0].Task))
	})
	var refused []*bundle
	var picker *placement.Picker
	var of *placement.Service // the service that picker chooses for
	var reasons []Reason      // why picker's service has no place any more
	for _, b := range free {
		u.pinNew(b, free)
		service := b.tasks[0].set.service
		if !plain(b) || service != of {
			picker, of, reasons = u.board.Picker(u.ask(b)), nil, nil
			if plain(b) {
				of = service
			}
		}
		if h, ok := picker.Next(b.tasks[0].Task); ok {
			if u.assign(b, u.o.Hosts[h].Name) {
				of = nil
			}
			continue
		}
		if reasons == nil {
			reasons = u.reasons(b)
		}
		u.refuse(b, reasons)
		refused = append(refused, b)
	}
	return refused
}

// plain reports whether a bundle is like all others of its service: one task with no wishes of its own.
func plain(b *bundle) bool {
	if len(b.tasks) != 1 || b.tasks[0].only != "" || len(b.tasks[0].set.service.SharesWith) > 0 {
		return false
	}
	for _, a := range b.tasks[0].set.service.Networks {
		if a.IPv4 != "" {
			return false
		}
	}
	return true
}

// pinNew chooses one host for a volume that no host has yet, with room for all tasks that mount it (and the volumes
// that those mount); where no host has room for all, the tasks go one by one to the first's.
func (u *upper) pinNew(b *bundle, free []*bundle) {
	volumes := map[string]bool{}
	add := func(b *bundle) bool {
		grew := false
		for _, t := range b.tasks {
			for _, v := range u.needs.Free(t.set.service) {
				grew = grew || !volumes[v.Name]
				volumes[v.Name] = true
			}
		}
		return grew
	}
	if !add(b) {
		return
	}
	touches := func(x *bundle) bool {
		return slices.ContainsFunc(x.tasks, func(t *task) bool {
			return slices.ContainsFunc(u.needs.Free(t.set.service), func(v *placement.VolumeSpec) bool { return volumes[v.Name] })
		})
	}
	for grew := true; grew; {
		grew = false
		for _, x := range free {
			if touches(x) && add(x) {
				grew = true
			}
		}
	}
	together := &bundle{tasks: slices.Clone(b.tasks)}
	for _, x := range free {
		if x != b && touches(x) {
			together.tasks = append(together.tasks, x.tasks...)
		}
	}
	if h, ok := u.board.Picker(u.ask(together)).Peek(); ok {
		for _, v := range u.p.Volumes {
			if volumes[v.Name] {
				u.needs.Pin(v.Name, u.o.Hosts[h].Name)
			}
		}
	}
}

// refuse records that a bundle has no host, and why. What runs of it goes on as it is.
func (u *upper) refuse(b *bundle, reasons []Reason) {
	for _, t := range b.tasks {
		t.unplaced = true
		u.plan.Unplaced = append(u.plan.Unplaced, Unplaced{Task: t.Task, Reasons: reasons})
	}
}

// reasons asks each host why it refuses a bundle; for a global service's task only its own host.
func (u *upper) reasons(b *bundle) []Reason {
	all := u.board.Reasons(u.ask(b))
	if only := b.tasks[0].only; only != "" {
		all = slices.DeleteFunc(all, func(r Reason) bool { return r.Host != only })
	}
	return all
}
