package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"berth/placement"
)

// Start plans to start what does not run of the services and of those that they depend on: each container after its
// dependencies, and after waits for them to be healthy or completed. wait ends the plan with waiting until all of them
// run or are healthy. A service without a container is an error, and nothing is done.
func (x *Present) Start(wait bool) (*Plan, error) {
	if x.p == nil && len(x.w.containers) == 0 && len(x.w.memory()) == 0 {
		return nil, fmt.Errorf("start: no container found for project %q", x.plan.Project)
	}
	scope := x.named()
	must := map[string]bool{} // without what is only an optional dependency
	for s := range scope {
		must[s] = true
	}
	reach(must, x.below(func(d placement.Dependency) bool { return d.Required }))
	reach(scope, x.below(func(placement.Dependency) bool { return true }))
	if err := x.complete(x.without(must)); err != nil {
		return nil, err
	}
	s := x.starter()
	containers := x.containers(scope)
	for _, c := range containers {
		s.tasks[c.Task.Service] = append(s.tasks[c.Task.Service], c)
	}
	for _, c := range containers {
		s.start(c)
	}
	if wait {
		s.waitAll(containers)
	}
	return x.finish(scope), nil
}

// below gives what a service depends on.
func (x *Present) below(admit func(placement.Dependency) bool) func(string) []string {
	return func(service string) []string {
		var names []string
		for _, d := range x.deps[service] {
			if admit(d) {
				names = append(names, d.Service)
			}
		}
		return names
	}
}

// without leaves out the services that have no container, where all are meant and some have one: "up web", "stop" and
// "start" bring web back, as with docker compose. What a container waits for is not left out.
func (x *Present) without(services map[string]bool) map[string]bool {
	if x.p == nil || len(x.services) > 0 {
		return services
	}
	need := map[string]bool{}
	for i := range x.w.containers {
		if c := &x.w.containers[i]; !c.OneOff {
			need[c.Task.Service] = true
		}
	}
	if len(need) == 0 {
		return services
	}
	reach(need, x.below(func(d placement.Dependency) bool { return d.Required && d.Condition != placement.Started }))
	kept := map[string]bool{}
	for name := range services {
		if need[name] {
			kept[name] = true
		} else if x.complete(map[string]bool{name: true}) != nil {
			x.plan.Warnings = append(x.plan.Warnings, fmt.Sprintf("service %q has no container to start; make it with \"berth up\"", name))
		}
	}
	slices.Sort(x.plan.Warnings)
	return kept
}

// complete refuses services that have nothing to start. Tasks on hosts that do not answer are there, as far as one knows.
func (x *Present) complete(services map[string]bool) error {
	there := map[string]bool{}
	for i := range x.w.containers {
		if c := &x.w.containers[i]; !c.OneOff {
			there[c.Task.Service] = true
		}
	}
	memory := x.w.memory()
	blind := x.w.o.Revision == 0 && slices.ContainsFunc(x.w.o.Hosts, func(h placement.Host) bool { return h.State != placement.Ready })
	var missing []string
	for name := range services {
		away := blind
		for _, host := range memory[name] {
			away = away || x.w.unreachable(host)
		}
		if there[name] || away {
			continue
		}
		if x.p != nil {
			if s := x.p.Service(name); s != nil && s.Mode != placement.Global && s.Replicas == 0 || x.p.Provider(name) != nil {
				continue
			}
		}
		missing = append(missing, name)
	}
	slices.Sort(missing)
	var errs []error
	for _, name := range missing {
		if x.p == nil {
			errs = append(errs, fmt.Errorf("start: no such service: %q has no container in project %s", name, x.plan.Project))
			continue
		}
		errs = append(errs, fmt.Errorf("start: service %q has no container to start; make it with \"berth create\" or \"berth up\"", name))
	}
	return errors.Join(errs...)
}

// starter is one run of Start.
type starter struct {
	x       *Present
	started map[*placement.Container]int
	tasks   map[string][]*placement.Container // by service
	waits   map[awaited]int
}

func (x *Present) starter() *starter {
	return &starter{
		x: x, started: map[*placement.Container]int{}, tasks: map[string][]*placement.Container{}, waits: map[awaited]int{},
	}
}

type awaited struct {
	c         *placement.Container
	condition placement.Condition
	optional  bool
}

func (s *starter) start(c *placement.Container) {
	s.started[c] = none
	if up(c) || gone(c) {
		return
	}
	var after []int
	for _, d := range s.x.deps[c.Task.Service] {
		for _, dep := range s.tasks[d.Service] {
			after = append(after, s.dependency(dep, d))
		}
	}
	step := s.x.step(Start, c, "is "+c.State)
	s.started[c] = s.x.g.add(step, after...)
}

// dependency gives the step after which a container of a dependency is as the dependent wants it; none when it is.
func (s *starter) dependency(c *placement.Container, d placement.Dependency) int {
	started, known := s.started[c]
	if !known || gone(c) { // a circle of labels, or past help
		return none
	}
	untouched := started == none
	switch {
	case d.Condition == placement.Healthy && (!untouched || c.Health != "healthy"),
		d.Condition == placement.Completed && (!untouched || up(c)):
		return s.wait(c, d.Condition, !d.Required, false)
	}
	return started
}

// wait makes a wait step, or finds the one that another dependent made.
func (s *starter) wait(c *placement.Container, condition placement.Condition, optional, running bool) int {
	key := awaited{c, condition, optional}
	if id, ok := s.waits[key]; ok && !running {
		return id
	}
	step := s.x.step(Wait, c, "")
	step.Service, step.Condition, step.Optional, step.Running = nil, condition, optional, running
	id := s.x.g.add(step, s.started[c])
	if !running {
		s.waits[key] = id
	}
	return id
}

// waitAll waits for all containers as up --wait does: to run, to be healthy where there is a check, to complete where
// others wait for that.
func (s *starter) waitAll(containers []*placement.Container) {
	oneShot := map[string]bool{}
	for _, deps := range s.x.deps {
		for _, d := range deps {
			oneShot[d.Service] = oneShot[d.Service] || d.Condition == placement.Completed
		}
	}
	for _, c := range containers {
		switch {
		case gone(c):
		case oneShot[c.Task.Service]:
			s.dependency(c, placement.Dependency{Condition: placement.Completed, Required: true})
		case s.started[c] == none && c.Running() && (c.Health == "" || c.Health == "healthy"):
		default:
			s.wait(c, placement.Started, false, true)
		}
	}
}

// Stop plans the graceful end of what runs: a service's containers only after those of the services that depend on it.
// timeout nil leaves each container its own; why goes into the plan's text.
func (x *Present) Stop(timeout *time.Duration, why string) *Plan {
	chosen := x.named()
	containers := x.containers(chosen)
	x.halts(x.stops(containers, timeout, why))
	for _, c := range containers {
		if !up(c) {
			x.plan.Stopped = append(x.plan.Stopped, *c)
		}
	}
	return x.finish(chosen)
}

// stops adds the steps that stop what runs of the containers, and gives them by container.
func (x *Present) stops(containers []*placement.Container, timeout *time.Duration, why string) map[*placement.Container]int {
	steps := map[*placement.Container]int{}
	ends := map[string][]int{} // service → stops of what depends on it
	for _, c := range slices.Backward(containers) {
		steps[c] = none
		if !up(c) {
			continue
		}
		s := x.step(Stop, c, why)
		s.Timeout = timeout
		steps[c] = x.g.add(s, ends[c.Task.Service]...)
		for _, d := range x.deps[c.Task.Service] {
			ends[d.Service] = append(ends[d.Service], steps[c])
		}
	}
	return steps
}

// Restart plans to stop and start the services' containers, running or not, dependencies first. Without noDeps the
// services that depend on them with restart: true are restarted too, when their dependencies are as they want them.
func (x *Present) Restart(noDeps bool, timeout *time.Duration) *Plan {
	chosen, asked := x.named(), x.named()
	if !noDeps {
		above := dependents(x.deps, func(d placement.Dependency) bool { return d.Restart })
		reach(chosen, func(s string) []string { return above[s] })
	}
	starter := x.starter()
	for _, c := range x.containers(chosen) {
		if gone(c) {
			continue
		}
		s := x.step(Restart, c, "")
		s.Timeout = timeout
		if !asked[c.Task.Service] {
			s.Why = "a dependency is restarted"
		}
		var after []int
		for _, d := range x.deps[c.Task.Service] {
			if noDeps || !d.Restart {
				d.Condition = placement.Started
			}
			for _, dep := range starter.tasks[d.Service] {
				after = append(after, starter.dependency(dep, d))
			}
		}
		starter.tasks[c.Task.Service] = append(starter.tasks[c.Task.Service], c)
		starter.started[c] = x.g.add(s, after...)
	}
	return x.finish(chosen)
}
