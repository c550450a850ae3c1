package scheduler

import (
	"cmp"
	"slices"

	"berth/placement"
)

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
	return b.tasks[0].set.service.HostPath() == ""
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
