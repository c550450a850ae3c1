package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"berth/placement"
)

// choose finds hosts for bundles that have none. What wants to be beside another service goes after that; then those with
// fewest hosts to choose from first, then large ones, then by service and number. It returns what no host takes.
func (u *upper) choose(free []*bundle) []*bundle {
	u.weigh(free)
	follow(free)
	slices.SortStableFunc(free, func(a, b *bundle) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.admits, b.admits), -cmp.Compare(a.size, b.size),
			compareTasks(a.tasks[0].Task, b.tasks[0].Task))
	})
	u.packTogether(free)
	var refused []*bundle
	var hosts []int32
	for _, b := range free {
		u.pinNew(b, free)
		u.explain(b)
		left := b.tasks
		for left = u.without(b, left); len(left) > 0; {
			hosts = u.fill(b, left, hosts[:0])
			if len(hosts) == 0 {
				break
			}
			pins := u.pins
			left = u.settleOn(b, left, hosts)
			if pins == u.pins {
				break // it was asked for all of them; else for one, which has tied the others now
			}
		}
		if left = u.lingering(b, left); len(left) > 0 {
			rest := &bundle{apart: b.apart, tasks: left}
			u.refuse(rest)
			refused = append(refused, rest)
		}
	}
	return refused
}

// without is the tasks that have no host yet.
func (u *upper) without(b *bundle, tasks []*task) []*task {
	if tasks[0].host() == "" {
		return tasks
	}
	if !b.apart {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(tasks), func(t *task) bool { return t.host() != "" })
}

// lingering lets tasks stay on a drained host that no other host takes, and returns those that have no host for another
// reason. Until a host takes them it is better that they run.
func (u *upper) lingering(b *bundle, tasks []*task) []*task {
	if len(tasks) == 0 {
		return nil
	}
	var rest []*task
	(&bundle{apart: b.apart, tasks: tasks}).pieces(func(piece []*task) {
		t := piece[0]
		there := func(x *task) bool { return x.old != nil && t.old != nil && x.old.Host == t.old.Host }
		if !t.stuck || slices.ContainsFunc(piece, func(x *task) bool { return !there(x) }) || !u.board.OnlyDrained(u.ask(b), u.w.order(t.old.Host)) {
			rest = append(rest, piece...)
			return
		}
		why := ""
		for _, r := range u.board.Reasons(u.ask(b)) {
			if r.Host != t.old.Host && why == "" {
				why = fmt.Sprintf(" (%s: %s)", r.Host, r.Text)
			}
		}
		for _, x := range piece {
			u.warn("%s stays on host %s, which is drained: no other host takes it%s", x.Task, t.old.Host, why)
		}
		u.assign(piece, t.old.Host)
	})
	return rest
}

// settleOn gives the first tasks of a bundle the hosts that were found, one each if they are apart, and returns the others.
func (u *upper) settleOn(b *bundle, tasks []*task, hosts []int32) []*task {
	if !b.apart {
		u.assign(tasks, u.o.Hosts[hosts[0]].Name)
		return nil
	}
	st := tasks[0].set
	if last := len(tasks) - 1; &tasks[last] == &st.tasks[len(st.tasks)-1] { // the end of all tasks, of which none has to be looked at
		at := st.hosts[len(st.tasks)-len(tasks):]
		for i, h := range hosts {
			at[i] = h + 1
		}
	} else {
		for i, h := range hosts {
			st.hosts[tasks[i].rank] = h + 1
		}
	}
	u.assign(tasks[:1], tasks[0].host())
	return tasks[len(hosts):]
}

// most is how many tasks are packed at once; with more the search would be no better than filling host after host.
const most = 20_000

// packTogether packs all bundles of the strategy binpack at once or, when a first attempt has refused tasks, all bundles of
// any strategy: what spreading has no room for, packing may.
func (u *upper) packTogether(free []*bundle) {
	var chosen []*bundle
	var batches []placement.Batch
	tasks := 0
	for _, b := range free {
		s := b.tasks[0].set.service
		soft := slices.ContainsFunc(s.Constraints, func(c placement.Constraint) bool { return c.Soft })
		if b.only() != "" || u.ties(b) || !u.packing && (s.Strategy != placement.Binpack || soft) {
			continue
		}
		n := 1
		if b.apart {
			n = len(b.tasks)
		}
		r := u.ask(b)
		r.Names = func(i int) placement.Task { return b.tasks[i].Task }
		chosen, batches, tasks = append(chosen, b), append(batches, placement.Batch{Request: r, Count: n}), tasks+n
	}
	if len(batches) == 0 || tasks > most || !u.o.Cluster {
		return
	}
	for _, b := range chosen {
		u.explain(b)
	}
	for i, hosts := range u.board.Pack(batches) {
		if len(hosts) > 0 {
			u.settleOn(chosen[i], chosen[i].tasks, hosts)
		}
	}
}

// ties reports whether a bundle mounts a volume that is going to tie others to the host that it gets.
func (u *upper) ties(b *bundle) bool {
	return slices.ContainsFunc(b.services(), func(s *placement.Service) bool { return len(u.needs.Free(s)) > 0 })
}

// follow ranks bundles: one that wants to be beside a service goes after the bundles of that. In a ring the one that comes
// first otherwise begins.
func follow(free []*bundle) {
	var followers []*bundle
	for _, b := range free {
		b.rank = 0
		if slices.ContainsFunc(b.services(), func(s *placement.Service) bool { return slices.ContainsFunc(s.Constraints, follows) }) {
			followers = append(followers, b)
		}
	}
	for range followers { // the longest chain
		for _, b := range followers {
			for _, s := range b.services() {
				for _, c := range s.Constraints {
					for _, o := range free {
						if o != b && follows(c) && slices.ContainsFunc(o.services(), func(s *placement.Service) bool { return c.MatchValue(s.Name) }) {
							b.rank = max(b.rank, o.rank+1)
						}
					}
				}
			}
		}
	}
}

// follows reports whether a rule wants a task to be beside a service, be it hard or soft.
func follows(c placement.Constraint) bool {
	return c.Kind() == placement.AboutService && !c.Negated()
}

// weigh says of each bundle how hard it is to find a host for.
func (u *upper) weigh(free []*bundle) {
	largest := placement.Reservation{CPU: 1, Memory: 1}
	for i := range u.o.Hosts {
		largest.CPU = max(largest.CPU, u.o.Hosts[i].Capacity.CPU)
		largest.Memory = max(largest.Memory, u.o.Hosts[i].Capacity.Memory)
	}
	for _, b := range free {
		b.admits = 1
		if b.only() == "" {
			b.admits = u.board.Admitted(u.ask(b))
		}
		var sum placement.Reservation
		for _, t := range b.tasks {
			if sum = sum.Add(t.set.service.Reservation); b.apart {
				break
			}
		}
		b.size = max(sum.CPU*1_000_000/largest.CPU, (sum.Memory>>10)*1_000_000/max(largest.Memory>>10, 1))
	}
}

// fill finds hosts for tasks of a bundle, all of them if they may be apart, and appends them to hosts.
func (u *upper) fill(b *bundle, tasks []*task, hosts []int32) []int32 {
	r := u.ask(b)
	if only := b.only(); only != "" {
		h := u.w.order(only)
		if !u.board.Admits(r, h) || !u.board.Fits(r, h) {
			return hosts
		}
		u.board.Put(h, r)
		return append(hosts, int32(h))
	}
	n := 1
	if b.apart && len(u.needs.Free(b.tasks[0].set.service)) == 0 {
		n = len(tasks)
	}
	r.Names = func(i int) placement.Task { return tasks[i].Task }
	return u.board.Fill(r, n, hosts)
}

// pinNew chooses one host for a volume that no host has yet, with room for all tasks that mount it (and the volumes
// that those mount); where no host has room for all, the tasks go one by one to the first's.
func (u *upper) pinNew(b *bundle, free []*bundle) {
	volumes := map[string]bool{}
	add := func(b *bundle) bool {
		grew := false
		for _, s := range b.services() {
			for _, v := range u.needs.Free(s) {
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
		return slices.ContainsFunc(x.services(), func(s *placement.Service) bool {
			return slices.ContainsFunc(u.needs.Free(s), func(v *placement.VolumeSpec) bool { return volumes[v.Name] })
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
	if h, ok := u.board.Best(u.ask(together)); ok {
		for _, v := range u.p.Volumes {
			if volumes[v.Name] {
				u.pin(v, u.o.Hosts[h].Name)
			}
		}
	}
}

// services are those of the bundle's tasks.
func (b *bundle) services() []*placement.Service {
	if b.apart {
		return []*placement.Service{b.tasks[0].set.service}
	}
	var all []*placement.Service
	for _, t := range b.tasks {
		if !slices.Contains(all, t.set.service) {
			all = append(all, t.set.service)
		}
	}
	return all
}

// refuse records that a bundle has no host, and why. What runs of it goes on as it is.
func (u *upper) refuse(b *bundle) {
	refusal := u.board.Refusal(u.ask(b))
	if only := b.tasks[0].only(); only != "" {
		refusal.Reasons = slices.DeleteFunc(refusal.Reasons, func(r Reason) bool { return r.Host != only })
		refusal.Counts, refusal.Nearest = nil, nil
	}
	for _, t := range b.tasks {
		u.plan.Unplaced = append(u.plan.Unplaced, Unplaced{t.Task, refusal})
	}
}
