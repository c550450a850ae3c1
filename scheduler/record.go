package scheduler

import (
	"cmp"
	"slices"
	"strings"

	"berth/placement"
)

// record works out what the store has to learn before the plan's steps, and forget after them.
func (u *upper) record() error {
	if !u.o.Cluster {
		return nil
	}
	for _, t := range u.placed() {
		r := placement.TaskRecord{Host: t.host(), Container: t.name, Hash: t.set.service.ConfigHash}
		if t.old != nil && !t.fresh() && !t.old.Same {
			r.Hash = t.old.ConfigHash
		}
		if !t.set.oneOff && u.o.Recorded[t.Task] != r {
			u.change.Tasks[t.Task] = r
		}
		for _, v := range u.needs.Sticky(t.set.service) {
			if host := u.needs.Pinned(v.Name); host != "" && u.o.Pins[v.Name] != host {
				u.change.Pins[v.Name] = host
			}
		}
	}
	u.forgetTasks()
	u.forgetEndpoints()
	u.recordPorts()
	return nil
}

// pinsOf names the volumes that tie a task to the host where it is placed.
func (u *upper) pinsOf(t *task) []string {
	if !u.o.Cluster {
		return nil
	}
	var names []string
	for _, v := range u.needs.Sticky(t.set.service) {
		if u.needs.Pinned(v.Name) == t.host() {
			names = append(names, v.Name)
		}
	}
	return names
}

// forgetTasks drops the records of tasks that are gone: scaled down, orphaned and removed, or lost.
func (u *upper) forgetTasks() {
	for _, t := range u.w.recorded {
		if u.w.unreachable(u.o.Recorded[t].Host) || u.kept(t) {
			continue
		}
		u.forget.DropTasks = append(u.forget.DropTasks, t)
	}
}

// kept reports whether the plan leaves a task alone or wants it.
func (u *upper) kept(t placement.Task) bool {
	if st := u.byName[t.Service]; st != nil {
		return !st.inScope || st.wants(t.Number)
	}
	if slices.Contains(u.p.Disabled, t.Service) {
		return true
	}
	removed := func(c *placement.Container) bool {
		return slices.ContainsFunc(u.orphaned, func(d *drop) bool { return d.c == c })
	}
	for i := range u.w.containers {
		if c := &u.w.containers[i]; !c.OneOff && c.Task == t && !removed(c) {
			return true
		}
	}
	return false
}

// forgetEndpoints drops the addresses of tasks that are gone, and those on networks that a service has left.
func (u *upper) forgetEndpoints() {
	wanted := map[key]bool{}
	open := map[string]bool{} // tasks whose addresses are decided
	names := map[placement.Task]*task{}
	for _, t := range u.placed() {
		open[t.name], names[t.Task] = true, t
		for _, e := range t.endpoints {
			wanted[key{e.Network, e.Container}] = true
		}
		if u.untouched(t) {
			for n := range t.old.Networks {
				wanted[key{n, t.name}] = true
			}
		}
	}
	for _, e := range u.o.Endpoints {
		if e.Project != u.p.Name || u.w.unreachable(e.Host) || wanted[key{e.Network, e.Container}] {
			continue
		}
		t := placement.Task{Service: e.Service, Number: e.Number}
		if e.Number <= 0 { // a one-off's
			if u.present(e.Container, e.Host) {
				continue // the command that runs it drops them
			}
		} else if now := names[t]; !open[e.Container] && u.kept(t) && (now == nil || now.old != nil && !now.fresh()) {
			continue // but for a task whose container gets another name
		}
		u.forget.DropEndpoint = append(u.forget.DropEndpoint, e)
	}
	slices.SortFunc(u.forget.DropEndpoint, compareEndpoints)
}

// present reports whether a host has a container of that name, which this plan leaves there.
func (u *upper) present(name, host string) bool {
	return slices.ContainsFunc(u.w.containers, func(c placement.Container) bool {
		return c.Name == name && c.Host == host && !slices.ContainsFunc(u.orphaned, func(d *drop) bool { return d.c.ID == c.ID })
	})
}

func compareEndpoints(a, b placement.Endpoint) int {
	return cmp.Or(strings.Compare(a.Network, b.Network), strings.Compare(a.Container, b.Container))
}
