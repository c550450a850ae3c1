package scheduler

import (
	"net/netip"
	"slices"

	"berth/placement"
)

// starts starts what does not run, each task after what it depends on, and ends with the waits of --wait.
func (u *upper) starts(m *made) {
	freed, leavers := u.frees(), u.leavers()
	for _, st := range u.order {
		if !st.inScope || st.oneOff {
			continue
		}
		blocked := u.blocked(st)
		for _, t := range st.tasks {
			if t.host() == "" || t.away {
				if t.unplaced() && t.old != nil && up(t.old) {
					u.plan.Running = append(u.plan.Running, *t.old)
				}
				continue
			}
			u.start(m, t, blocked, freed, leavers)
		}
	}
	if u.opts.Wait {
		u.waitAll(m)
	}
}

// blocked names a required dependency of which nothing runs or is going to: only a partial plan has that.
func (u *upper) blocked(st *set) string {
	for _, d := range st.service.DependsOn {
		dep := u.byName[d.Service]
		if dep == nil || !dep.inScope || !d.Required || len(dep.tasks) == 0 {
			continue
		}
		if !slices.ContainsFunc(dep.tasks, func(t *task) bool { return t.away || t.started != none || t.old != nil && up(t.old) || t.finished() }) {
			return d.Service
		}
	}
	return ""
}

// strand finds services with a required dependency of which nothing has a host: their tasks would be stopped to be made anew,
// and not started. It reports whether there are any more than those that are known, whose containers stay then.
func (u *upper) strand() bool {
	more := false
	runs := map[*set]bool{} // something of it does, or is going to
	for _, st := range u.order {
		if !st.inScope {
			continue
		}
		lacks := ""
		for _, d := range st.service.DependsOn {
			if dep := u.byName[d.Service]; lacks == "" && dep != nil && dep.inScope && d.Required && len(dep.tasks) > 0 && !runs[dep] {
				lacks = d.Service
			}
		}
		there := func(t *task) bool { return t.old != nil && up(t.old) }
		runs[st] = slices.ContainsFunc(st.tasks, func(t *task) bool {
			return t.away || there(t) || t.finished() || t.host() != "" && lacks == ""
		})
		anew := slices.ContainsFunc(st.service.SharesWith, func(name string) bool { // it cannot outlive what it shares
			p := u.byName[name]
			return p != nil && p.inScope && p.lacks == ""
		})
		if lacks != "" && st.lacks == "" && !anew && slices.ContainsFunc(st.tasks, there) {
			st.lacks, more = lacks, true
		}
	}
	return more
}

func (u *upper) start(m *made, t *task, blocked string, freed map[string][]freedPort, leavers map[address]int) {
	s := t.step(Start, t.host())
	switch {
	case t.fresh():
		if t.old == nil || t.moves() {
			s.Why = ""
		}
	case t.restart:
		s.ContainerID, s.Why = t.old.ID, "a dependency is recreated"
	case t.finished():
		return
	case t.stopped != none:
		s.ContainerID, s.Why = t.old.ID, "network "+t.rejoins+" changed"
	case !up(t.old):
		s.ContainerID, s.Why = t.old.ID, "is "+t.old.State
	default:
		u.plan.Running = append(u.plan.Running, *t.old)
		return
	}
	if blocked != "" {
		u.plan.Failures = append(u.plan.Failures, t.String()+" is not started: nothing of service "+blocked+" runs, which it depends on")
		return
	}
	t.started = u.g.add(s, u.beforeStart(m, t, freed, leavers)...)
}

// beforeStart are the steps that a start waits for.
func (u *upper) beforeStart(m *made, t *task, freed map[string][]freedPort, leavers map[address]int) []int {
	after := append([]int{t.named, t.stopped, t.removed}, t.joins...)
	after = append(after, u.called(t.set.service.DependsOn)...)
	for _, d := range t.set.drops {
		if d.c.Task.Number == t.Number {
			after = append(after, d.removed) // a duplicate elsewhere has the same address
		}
	}
	for _, p := range u.providers(t) {
		after = append(after, p.started)
	}
	for _, d := range t.set.service.DependsOn {
		after = append(after, u.dependency(m, d)...)
	}
	for _, p := range t.set.service.Ports {
		for _, f := range freed[t.host()] {
			if p.Conflicts(f.port) {
				after = append(after, f.step)
			}
		}
	}
	for _, e := range t.endpoints {
		for _, ip := range []netip.Addr{e.IP, e.IP6} {
			if step, ok := leavers[address{e.Network, ip}]; ok && ip.IsValid() {
				after = append(after, step)
			}
		}
	}
	return after
}

// dependency gives the steps that a start waits for because of one entry of depends_on: the starts of the
// dependency's tasks, or waits for them to be healthy or completed. A task that runs unchanged and is healthy is not
// waited for, one on a host that does not answer cannot be.
func (u *upper) dependency(m *made, d placement.Dependency) []int {
	dep := u.byName[d.Service]
	if dep == nil || !dep.inScope {
		return nil
	}
	var after []int
	for _, t := range dep.tasks {
		if t.away || t.host() == "" {
			continue
		}
		if d.Condition == placement.Started || t.met(d.Condition) {
			after = append(after, t.started)
			continue
		}
		after = append(after, u.wait(m, t, d.Condition, !d.Required, false))
	}
	return after
}

// met reports whether a task's container, untouched by the plan, meets a condition already.
func (t *task) met(c placement.Condition) bool {
	if t.started != none || t.old == nil || t.fresh() {
		return false
	}
	switch c {
	case placement.Healthy:
		return t.old.Running() && t.old.Health == "healthy" || t.finished() // it was, and will not be again
	case placement.Completed:
		return t.old.State == "exited" && t.old.ExitCode == 0
	}
	return t.old.Running()
}

// wait makes a wait step, or finds the one that another dependent made.
func (u *upper) wait(m *made, t *task, c placement.Condition, optional, running bool) int {
	w := wait{t, c, optional}
	if running {
		w.condition += " (up --wait)"
	}
	if id, ok := m.waits[w]; ok {
		return id
	}
	s := t.step(Wait, t.host())
	s.Service, s.Condition, s.Optional, s.Running = nil, c, optional, running
	if !t.fresh() && t.old != nil {
		s.ContainerID = t.old.ID
	}
	m.waits[w] = u.g.add(s, t.started)
	return m.waits[w]
}

// waitAll waits for every task to run, or to be healthy if it has a health check; jobs, and one-shot services, which
// others wait for to complete, have to complete (as docker compose has it).
func (u *upper) waitAll(m *made) {
	oneShot := map[string]bool{}
	for _, st := range u.sets {
		for _, d := range st.service.DependsOn {
			if st.inScope && d.Condition == placement.Completed {
				oneShot[d.Service] = true
			}
		}
	}
	for _, t := range u.placed() {
		switch {
		case t.started == none && (t.old == nil || t.fresh() || !up(t.old)) && !t.met(placement.Completed): // not going to run: a dependency is missing
		case oneShot[t.Service] || t.set.service.Job:
			if !t.met(placement.Completed) {
				u.wait(m, t, placement.Completed, false, false)
			}
		case t.started == none && t.old != nil && t.old.Running() && (t.old.Health == "" || t.old.Health == "healthy"):
		default:
			u.wait(m, t, placement.Started, false, true)
		}
	}
}

// freedPort is a fixed port that a host gets back in this plan.
type freedPort struct {
	port placement.Port
	step int
}

// frees lists the fixed ports that containers give up in this plan: who wants one waits for the stop.
func (u *upper) frees() map[string][]freedPort {
	all := map[string][]freedPort{}
	note := func(c *placement.Container, step int) {
		for _, p := range c.Ports {
			if p.Published != 0 && step != none {
				all[c.Host] = append(all[c.Host], freedPort{p, step})
			}
		}
	}
	for _, d := range u.drops() {
		note(d.c, d.removed)
	}
	for _, t := range u.placed() {
		if t.old != nil && t.fresh() {
			note(t.old, t.removed)
		}
	}
	return all
}

// address is one address on one network.
type address struct {
	network string
	ip      netip.Addr
}

// leavers finds, by address, the removal of the container that has it and goes in this plan.
func (u *upper) leavers() map[address]int {
	removal := map[string]int{} // by container name
	for _, t := range u.placed() {
		if t.old != nil && t.fresh() {
			removal[t.name] = t.removed
		}
	}
	for _, d := range u.drops() {
		if _, ok := removal[d.c.Name]; !ok {
			removal[d.c.Name] = d.removed
		}
	}
	all := map[address]int{}
	for _, e := range u.o.Endpoints {
		if step, ok := removal[e.Container]; ok && step != none {
			all[address{e.Network, e.IP}], all[address{e.Network, e.IP6}] = step, step
		}
	}
	return all
}
