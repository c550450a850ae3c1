package scheduler

import (
	"berth/placement"
)

// made is the steps that several tasks wait for.
type made struct {
	record   int
	networks map[key]int // host, network name → the step after which it is there
	volumes  map[key]int // host, volume name
	images   map[key]int // host, reference
	waits    map[wait]int
}

type wait struct {
	task      *task
	condition placement.Condition
	optional  bool
}

// build turns what was decided into steps.
func (u *upper) build() error {
	m := &made{record: none, networks: map[key]int{}, volumes: map[key]int{}, images: map[key]int{}, waits: map[wait]int{}}
	if !u.change.Empty() {
		m.record = u.g.add(Step{Kind: Record})
		u.plan.Change = u.change
	}
	u.provide()
	u.lacking()
	tasks := u.placed()
	if err := u.needFiles(tasks); err != nil {
		return err
	}
	u.restartStops(tasks)
	for _, d := range u.drops() {
		u.remove(d)
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
		if !t.set.oneOff {
			u.containerSteps(m, t)
		}
	}
	u.dropSeeds(tasks)
	if u.opts.NoStart {
		for _, t := range tasks {
			if t.old != nil && !t.fresh() && up(t.old) && t.stopped == none {
				u.plan.Running = append(u.plan.Running, *t.old)
			}
		}
	} else {
		u.starts(m)
	}
	u.oneOffSteps(m)
	u.provideAfter(m)
	u.publishes(m)
	withdraw(&u.g, u.w)
	u.forgetStep()
	var err error
	if u.plan.Steps, err = u.g.sorted(); err != nil && u.callSooner() {
		u.plan.Steps, err = u.g.sorted()
	}
	return err
}

// step fills in what all steps about a task's container have in common.
func (t *task) step(kind Kind, host string) Step {
	return Step{Kind: kind, Host: host, Task: t.Task, Name: t.name, Service: t.set.service}
}

// onOld is a step about the container that is there.
func (t *task) onOld(kind Kind) Step {
	s := t.step(kind, t.old.Host)
	s.Name, s.ContainerID = t.old.Name, t.old.ID
	return s
}

// restartStops stops the tasks that are restarted, before what they depend on is replaced.
func (u *upper) restartStops(tasks []*task) {
	for _, t := range tasks {
		if t.restart {
			s := t.onOld(Stop)
			s.Why, s.Timeout = "a dependency is recreated", u.opts.Timeout
			t.stopped = u.g.add(s)
		}
	}
}

// remove stops and removes a container.
func (u *upper) remove(d *drop) {
	s := Step{Kind: Stop, Host: d.c.Host, Task: d.c.Task, Name: d.c.Name, ContainerID: d.c.ID, Service: d.service, Why: d.why, Timeout: u.opts.Timeout}
	stop := none
	if up(d.c) {
		stop = u.g.add(s)
	}
	s.Kind, s.Timeout, s.Service = Remove, nil, nil
	d.removed = u.g.add(s, stop)
}

// containerSteps makes, replaces or names a task's container.
func (u *upper) containerSteps(m *made, t *task) {
	if !t.fresh() {
		if t.old.Name != t.name && temporary(t.old) {
			s := t.onOld(Rename)
			s.To, s.Why = t.name, "left by an interrupted recreate"
			t.named = u.g.add(s, u.cleared(t)...)
		}
		return
	}
	create := t.step(Create, t.host())
	create.Endpoints, create.Resolvers, create.Why = t.endpoints, t.resolvers, t.why
	create.Record = placement.ContainerRecord{Pins: u.pinsOf(t), Ports: u.portsOf(t)}
	image := u.supplyOf(u.p.ImageName(t.set.service), t.host())
	if create.ImageID = image.wanted; image.pending {
		create.ImageID = "" // what the plan's steps bring
	}
	before := append(u.cleared(t), m.record)
	before = append(before, u.called(t.set.service.DependsOn)...)
	if id, ok := m.images[key{t.host(), image.ref}]; ok {
		before = append(before, id)
	}
	for _, a := range t.set.service.Networks {
		if n := u.networks[a.Network]; n != nil {
			id, ok := m.networks[key{t.host(), n.Name}]
			switch {
			case ok && u.isOverlay(n):
				// Engines look a network up when a container starts (moby, updateContainerNetworkSettings ignores a
				// missing one at creation): so containers are made while the agents make their networks.
				t.joins = append(t.joins, id)
			case ok:
				before = append(before, id)
			}
		}
	}
	for _, mount := range t.set.service.Mounts {
		if v := u.volumes[mount.Source]; v != nil && mount.Type == "volume" {
			if id, ok := m.volumes[key{t.host(), v.Name}]; ok {
				before = append(before, id)
			}
		}
	}
	for _, p := range u.providers(t) {
		if create.ShareWith == nil {
			create.ShareWith = map[string]string{}
		}
		create.ShareWith[p.Service] = p.name
		before = append(before, p.named)
	}
	switch {
	case t.old == nil:
		t.created = u.g.add(create, before...)
		t.named = t.created
	case t.moves():
		create.Why = "moves from " + t.old.Host
		t.created = u.g.add(create, before...)
		t.named = t.created
		u.removeOld(t, create.Why)
		if len(inherited(t.set.service, t.old)) > 0 {
			u.warn("%s moves from host %s to %s; its anonymous volumes stay behind", t.Task, t.old.Host, t.host())
		}
	default:
		if create.Why = t.recreate; !u.opts.RenewAnonVolumes || !t.set.selected {
			create.Inherit = inherited(t.set.service, t.old)
		}
		if t.renews {
			t.created = u.g.add(create, append(before, t.removed)...)
			t.named = t.created
			return
		}
		create.Name, create.Replaces = temporaryName(t.old, t.name), t.old.Name
		t.created = u.g.add(create, before...)
		if t.stopped != none {
			u.g.need(t.created, t.stopped)
		}
		u.removeOld(t, t.recreate)
		rename := t.step(Rename, t.host())
		rename.Name, rename.To = create.Name, t.name
		t.named = u.g.add(rename, t.created, t.removed)
	}
}

// removeOld takes the container that is there away, once its successor is made if there is a step for that yet, and
// after those who depend on it are stopped.
func (u *upper) removeOld(t *task, why string) {
	if t.removed != none {
		return
	}
	u.stopOld(t, why, append([]int{t.created}, t.joins...)...)
	s := t.onOld(Remove)
	s.Why, s.Service = why, nil
	t.removed = u.g.add(s, t.created, t.stopped)
}

// stopOld stops the container that is there, if it runs and no step does that yet, after those who depend on it are
// stopped.
func (u *upper) stopOld(t *task, why string, after ...int) {
	if t.stopped == none && up(t.old) {
		s := t.onOld(Stop)
		s.Why, s.Timeout = why, u.opts.Timeout
		t.stopped = u.g.add(s, after...)
	}
	for _, st := range u.order {
		for _, d := range st.service.DependsOn {
			if !d.Restart || d.Service != t.Service {
				continue
			}
			for _, x := range st.tasks {
				if x.restart {
					u.g.need(t.stopped, x.stopped)
				}
			}
		}
	}
}

// cleared are the removals of leftovers that bear the task's number or name on its host: they hold the name that its
// container gets.
func (u *upper) cleared(t *task) []int {
	var all []int
	for _, d := range t.set.drops {
		if d.c.Host == t.host() && (d.c.Task.Number == t.Number || d.c.Name == t.name) {
			all = append(all, d.removed)
		}
	}
	for _, d := range u.orphaned {
		if d.c.Host == t.host() && d.c.Name == t.name {
			all = append(all, d.removed)
		}
	}
	return all
}

// forgetStep drops records once all that goes has gone.
func (u *upper) forgetStep() {
	if u.forget.Empty() {
		return
	}
	u.plan.Forget = u.forget
	var after []int
	for i := range u.g.steps {
		switch u.g.steps[i].Kind {
		case Record, Remove:
			after = append(after, i)
		}
	}
	id := u.g.add(Step{Kind: Forget})
	u.g.steps[id].After = after
}
