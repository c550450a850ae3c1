package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"berth/placement"
)

// sequence puts what moves into an order in which there is room for each on its new host when those before it have left
// their old ones. It begins with a new board, on which all is where it is now.
func (r *rebalancer) sequence() {
	var open []*piece
	for _, b := range r.bundles {
		for _, x := range r.pieces[b] {
			if x.at != x.from {
				open = append(open, x)
			}
		}
	}
	if len(open) == 0 {
		return
	}
	r.hold()
	for fits := true; fits; {
		fits = false
		open = slices.DeleteFunc(open, func(x *piece) bool {
			if !r.fits(x) {
				return false
			}
			to := x.at
			x.at = x.from
			r.put(x, to)
			r.moves = append(r.moves, x)
			fits = true
			return true
		})
	}
	if len(open) > 0 {
		r.warn("%s would need room that these only make; run the same command again", count(len(open), "more move"))
	}
}

// fits reports whether a piece may move to its new host now.
func (r *rebalancer) fits(x *piece) bool {
	q := r.ask(x.bundle)
	if !r.board.Admits(q, x.at) || !r.board.Fits(q, x.at) {
		return false
	}
	return !r.board.Admits(q, x.from) || !slices.ContainsFunc(x.tasks, func(t *task) bool { return r.needed(t.Service, x.from, 1) })
}

// build turns the moves into steps.
func (r *rebalancer) build() error {
	u := r.upper
	for _, st := range u.order {
		for _, t := range st.tasks {
			if st.inScope && !t.away {
				u.send(t, "") // what does not move is no part of the plan
			}
		}
	}
	for _, x := range r.moves {
		host := u.o.Hosts[x.at].Name
		if why := x.first(); why != "" {
			for _, t := range x.tasks {
				u.send(t, host)
			}
			u.warn("%s: stopped on host %s before it starts on %s, because %s cannot be there twice",
				shorten(x.names()), u.o.Hosts[x.from].Name, host, why)
			continue
		}
		t := x.tasks[0]
		st := t.set
		st.highest++
		x.next = st.newTask(st.highest)
		u.send(x.next, host)
		st.tasks = append(st.tasks, x.next)
	}
	u.furnish()
	for _, x := range r.moves {
		if t := x.tasks[0]; x.next != nil {
			x.next.why = fmt.Sprintf("in place of %s on %s", t.Task, t.old.Host)
			t.set.drops = append(t.set.drops, &drop{c: t.old, service: t.set.service, removed: none, why: fmt.Sprintf("%s on %s takes its place", x.next.Task, x.next.host())})
			if len(inherited(t.set.service, t.old)) > 0 {
				u.warn("%s gives way to %s on host %s; its anonymous volumes stay behind on %s", t.Task, x.next.Task, x.next.host(), t.old.Host)
			}
		}
	}
	if err := u.allocate(); err != nil {
		return err
	}
	r.record()
	return r.steps()
}

// record works out what the store has to learn before the moves, and to forget after them.
func (r *rebalancer) record() {
	u := r.upper
	for _, x := range r.moves {
		tasks := x.tasks
		if x.next != nil {
			tasks = []*task{x.next}
		}
		for _, t := range tasks {
			record := placement.TaskRecord{Host: t.host(), Container: t.name, Hash: t.set.service.ConfigHash}
			if x.next != nil {
				u.forget.Tasks[t.Task] = record
				record.Instead = x.tasks[0].Number
				r.drop(x.tasks[0].Task, x.tasks[0].old.Name)
			}
			u.change.Tasks[t.Task] = record
		}
	}
	for _, d := range r.ended {
		r.drop(d.c.Task, d.c.Name)
	}
	for _, t := range u.w.recorded { // what an earlier command recorded, and was cut short before it forgot
		st, known := u.byName[t.Service], u.o.Recorded[t]
		if st == nil || !st.inScope || known.Instead == 0 || u.w.unreachable(known.Host) || u.forget.Tasks[t].Host != "" {
			continue
		}
		there := func(n int) bool {
			return slices.ContainsFunc(st.tasks, func(x *task) bool { return x.Number == n && (x.old != nil || x.away) })
		}
		switch {
		case !there(t.Number):
			r.drop(t, known.Container)
		case !there(known.Instead):
			old := placement.Task{Service: t.Service, Number: known.Instead}
			r.drop(old, cmp.Or(u.o.Recorded[old].Container, u.p.ContainerName(st.service, old.Number)))
			if known.Instead = 0; !slices.Contains(u.forget.DropTasks, t) {
				u.forget.Tasks[t] = known
			}
		}
	}
	slices.SortFunc(u.forget.DropTasks, compareTasks)
	u.forget.DropTasks = slices.Compact(u.forget.DropTasks)
	slices.SortFunc(u.forget.DropEndpoint, compareEndpoints)
}

// drop lets the store forget a task and the addresses of its container.
func (r *rebalancer) drop(t placement.Task, container string) {
	if _, ok := r.o.Recorded[t]; ok {
		r.forget.DropTasks = append(r.forget.DropTasks, t)
	}
	for _, e := range r.o.Endpoints {
		if e.Project == r.p.Name && e.Container == container && !slices.ContainsFunc(r.forget.DropEndpoint, func(x placement.Endpoint) bool { return compareEndpoints(x, e) == 0 }) {
			r.forget.DropEndpoint = append(r.forget.DropEndpoint, e)
		}
	}
}

// steps makes the containers, and moves task after task into them.
func (r *rebalancer) steps() error {
	u := r.upper
	m := &made{record: none, networks: map[key]int{}, volumes: map[key]int{}, images: map[key]int{}, waits: map[wait]int{}}
	if !u.change.Empty() {
		m.record = u.g.add(Step{Kind: Record})
		u.plan.Change = u.change
	}
	for _, d := range r.ended {
		u.remove(d)
		r.gone(d.c.Host, d.removed)
	}
	tasks := u.placed()
	u.calls = nil // but for what moves
	for _, t := range tasks {
		for _, d := range t.set.service.DependsOn {
			if p := u.p.Provider(d.Service); p != nil {
				if err := u.includeProvider(p); err != nil {
					return err
				}
			}
		}
	}
	u.provide()
	if err := u.needFiles(tasks); err != nil {
		return err
	}
	for _, t := range tasks { // the image stays the one that the others run
		sp := u.supplyOf(u.p.ImageName(t.set.service), t.host())
		sp.settled = sp.wanted != ""
	}
	if err := u.bringImages(m, tasks); err != nil {
		return err
	}
	if err := u.needNetworks(m, tasks); err != nil {
		return err
	}
	u.needVolumes(m)
	u.seedVolumes(m, tasks)
	for _, t := range tasks {
		u.containerSteps(m, t)
	}
	arrived := map[string][]int{} // by host: starts, as far as others want to be beside them
	for _, x := range r.moves {
		var waits []int
		for _, t := range x.starts() {
			room := slices.Concat(r.removed[t.host()], arrived[t.host()])
			t.started = u.g.add(t.step(Start, t.host()), r.beforeMove(m, t, room)...)
			waits = append(waits, u.wait(m, t, placement.Started, false, true))
		}
		for _, t := range x.tasks {
			if x.next != nil {
				r.replaced(x, waits)
			}
			r.gone(t.old.Host, t.removed)
		}
		if r.company {
			arrived[u.o.Hosts[x.at].Name] = append(arrived[u.o.Hosts[x.at].Name], waits...)
		}
	}
	u.dropSeeds(tasks)
	withdraw(&u.g, u.w)
	u.forgetStep()
	var err error
	u.plan.Steps, err = u.g.sorted()
	return err
}

// starts are the tasks of a move that start.
func (x *piece) starts() []*task {
	if x.next != nil {
		return []*task{x.next}
	}
	return x.tasks
}

// gone notes the step after which a host has room again.
func (r *rebalancer) gone(host string, removed int) {
	r.removed[host] = append(r.removed[host], removed)
}

// needed reports whether so many tasks of a service cannot leave a host because of what is beside them.
func (r *rebalancer) needed(service string, host, leave int) bool {
	return r.company && r.board.Needed(service, host, leave)
}

// wantCompany reports whether some service has a hard rule to be beside another.
func wantCompany(p *placement.Project) bool {
	return slices.ContainsFunc(p.Services, func(s *placement.Service) bool {
		return slices.ContainsFunc(s.Constraints, func(c placement.Constraint) bool {
			return !c.Soft && c.Kind() == placement.AboutService && !c.Negated()
		})
	})
}

// beforeMove are the steps that a start waits for: those that make room for it, and what it depends on, as far as that
// moves before it.
func (r *rebalancer) beforeMove(m *made, t *task, room []int) []int {
	after := slices.Concat([]int{t.named, t.stopped, t.removed}, t.joins, room)
	for _, p := range r.providers(t) {
		after = append(after, p.started)
	}
	for _, d := range t.set.service.DependsOn {
		if dep := r.byName[d.Service]; dep != nil && dep.inScope {
			for _, x := range dep.tasks {
				if x.host() != "" && !x.away && x.started != none && x.set != t.set {
					after = append(after, r.wait(m, x, placement.Started, false, true))
				}
			}
		}
	}
	return after
}

// replaced stops and removes what a successor has taken the place of.
func (r *rebalancer) replaced(x *piece, waits []int) {
	t := x.tasks[0]
	i := slices.IndexFunc(t.set.drops, func(d *drop) bool { return d.c == t.old })
	d := t.set.drops[i]
	s := t.onOld(Stop)
	s.Why, s.Timeout = d.why, r.opts.Timeout
	stop := r.g.add(s, waits...)
	if r.company {
		r.g.need(stop, r.removed[t.old.Host]...)
	}
	s.Kind, s.Timeout, s.Service = Remove, nil, nil
	d.removed = r.g.add(s, stop)
	t.removed = d.removed
}

// endMoves ends moves that were cut short: of two that are there, the successor stays if it runs and is healthy, else the
// other.
func (u *upper) endMoves(st *set) {
	if len(u.o.Recorded) == 0 {
		return
	}
	for _, next := range slices.Clone(st.tasks) {
		instead := u.o.Recorded[next.Task].Instead
		i := slices.IndexFunc(st.tasks, func(t *task) bool { return t.Number == instead && t.old != nil })
		if instead == 0 || i < 0 || next.old == nil {
			continue
		}
		goes, why := next, "its move was cut short"
		if c := next.old; c.State == "running" && (c.Health == "" || c.Health == "healthy") {
			goes, why = st.tasks[i], fmt.Sprintf("%s on %s takes its place", next.Task, c.Host)
		}
		st.drops = append(st.drops, &drop{c: goes.old, service: st.service, why: why, removed: none, moved: true})
		st.tasks = slices.DeleteFunc(st.tasks, func(t *task) bool { return t == goes })
	}
}
