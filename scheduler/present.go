package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"berth/placement"
)

// Present is the containers of a project that are there, which start, stop, restart, kill, pause, unpause and rm act on.
// These commands make and place nothing, and change nothing that the store records; but for Clear, they need neither
// the store, where it does not answer, nor the project's lock. One Present makes one plan; its methods are pure like Up.
//
// With a file they act on the containers of its services; without one, on all with the project's label. One-off
// containers are left alone but by Kill.
type Present struct {
	p        *placement.Project // nil without a compose file
	w        *view
	services []string // named by the user; empty is all
	deps     map[string][]placement.Dependency
	depth    func(service string) int

	g    graph
	plan *Plan
}

// NewPresent looks at what is there of a project. p may be nil; services are those that the user named.
func NewPresent(project string, p *placement.Project, o *placement.Observation, services []string) *Present {
	x := &Present{
		p: p, w: newView(project, o), services: services,
		plan: &Plan{Project: project, Cluster: o.Cluster},
	}
	x.deps = dependencies(p, x.w.containers)
	x.depth = depths(x.deps)
	return x
}

// named is the services that the user named or, if none, all.
func (x *Present) named() map[string]bool {
	chosen := map[string]bool{}
	for _, s := range x.services {
		chosen[s] = true
	}
	if len(chosen) > 0 {
		return chosen
	}
	if x.p != nil {
		for _, s := range x.p.Services {
			chosen[s.Name] = true
		}
		return chosen
	}
	for i := range x.w.containers {
		if c := &x.w.containers[i]; !c.OneOff {
			chosen[c.Task.Service] = true
		}
	}
	for s := range x.w.memory() {
		chosen[s] = true
	}
	return chosen
}

// containers are the services' tasks on hosts that answer, dependencies first, then by service, number, host and name.
func (x *Present) containers(services map[string]bool) []*placement.Container {
	var all []*placement.Container
	for i := range x.w.containers {
		if c := &x.w.containers[i]; !c.OneOff && services[c.Task.Service] && x.w.ready(c.Host) {
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b *placement.Container) int {
		return cmp.Or(cmp.Compare(x.depth(a.Task.Service), x.depth(b.Task.Service)), compareTasks(a.Task, b.Task))
	})
	return all
}

// step is one about a container that is there.
func (x *Present) step(kind Kind, c *placement.Container, why string) Step {
	s := Step{Kind: kind, Host: c.Host, Task: c.Task, Name: c.Name, ContainerID: c.ID, Why: why}
	if x.p != nil {
		s.Service = x.p.Service(c.Task.Service)
	}
	return s
}

// finish orders the steps and says what was left alone on hosts that do not answer.
func (x *Present) finish(services map[string]bool) *Plan {
	away := map[string][]placement.Task{}
	for service, numbers := range x.w.memory() {
		for number, host := range numbers {
			if services[service] && x.w.unreachable(host) {
				away[host] = append(away[host], placement.Task{Service: service, Number: number})
			}
		}
	}
	x.plan.Failures = append(x.plan.Failures, leftAlone(x.w, away)...)
	if x.w.o.Revision == 0 { // the store was not read: who knows what is there
		for i := range x.w.o.Hosts {
			if h := &x.w.o.Hosts[i]; h.State != placement.Ready {
				x.plan.Failures = append(x.plan.Failures, fmt.Sprintf("host %s is unreachable%s: what it runs of project %s was left alone",
					h.Name, parenthesis(h.Problem), x.plan.Project))
			}
		}
	}
	withdraw(&x.g, x.w)
	x.plan.Steps, _ = x.g.sorted() // steps wait only for earlier ones: there is no circle
	return x.plan
}
