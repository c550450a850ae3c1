package scheduler

import (
	"fmt"
	"slices"
	"time"

	"berth/placement"
)

// RunOptions say what `run` is asked to do.
type RunOptions struct {
	// Service is what the one-off is made of: a service of the project, with what the command line changes about it.
	Service *placement.Service
	Name    string // of the container
	Slug    string // 64 hex digits, the container's label
	// NoDeps leaves the services that it depends on as they are.
	NoDeps bool
	// Start starts the container too. Without it the plan ends when the container is made and all that it depends on
	// is up: who wants its output attaches before the start.
	Start         bool
	AutoRemove    bool // the engine removes the container when it ends
	RemoveOrphans bool
	IgnoreOrphans bool
	Timeout       *time.Duration // of stops; nil is each container's own
}

// OneOff is what a container is that belongs to a service and is no task of it.
type OneOff struct {
	Slug       string // 64 hex digits
	AutoRemove bool   // the engine removes it when it ends
}

// Run plans a one-off container of a service: what it depends on is brought up as Up does it, then the container is
// placed like a task, by constraints, reservation, ports and the data of its volumes, and made there, with addresses of
// its own on its networks. It counts as no task: it has no number and no record but its addresses (see EndRun).
//
// Run is pure like Up, and its errors are Up's.
func Run(p *placement.Project, o *placement.Observation, opts RunOptions) (*Plan, error) {
	u := newUpper(p, o, UpOptions{
		Command: "run", NoDeps: opts.NoDeps, RemoveOrphans: opts.RemoveOrphans, IgnoreOrphans: opts.IgnoreOrphans, Timeout: opts.Timeout,
	})
	u.oneOff = &opts
	if err := nameTaken(o, opts.Name); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	plan, err := u.run()
	if plan != nil {
		// What was left alone on a host that does not answer is no part of what was asked for.
		plan.Warnings = append(plan.Warnings, plan.Failures...)
		plan.Failures = nil
	}
	return plan, err
}

// nameTaken refuses a name that a container of the cluster has: names are unique there.
func nameTaken(o *placement.Observation, name string) error {
	if !o.Cluster {
		return nil // the engine says so, and of other projects' containers too
	}
	if i := slices.IndexFunc(o.Containers, func(c placement.Container) bool { return c.Name == name }); i >= 0 {
		return fmt.Errorf("the name %s is already taken by a container on host %s; choose another, or remove that container", name, o.Containers[i].Host)
	}
	return nil
}

// oneOffSet is the one-off as a service with one task.
func (u *upper) oneOffSet() *set {
	st := &set{service: u.oneOff.Service, oneOff: true, selected: true, inventory: u.o.Hosts}
	st.tasks = []*task{st.newTask(0)}
	return st
}

// oneOffSteps makes the container after all that it needs, so that nothing of it is left where a dependency fails.
func (u *upper) oneOffSteps(m *made) {
	freed, leavers := u.frees(), u.leavers()
	for _, t := range u.placed() {
		if !t.set.oneOff {
			continue
		}
		u.containerSteps(m, t)
		u.g.steps[t.created].OneOff = &OneOff{Slug: u.oneOff.Slug, AutoRemove: u.oneOff.AutoRemove}
		u.g.need(t.created, u.beforeStart(m, t, freed, leavers)...)
		if u.oneOff.Start {
			t.started = u.g.add(t.step(Start, t.host()), t.created)
		}
	}
}

// EndRun plans the removal of what Run made, with its anonymous volumes and its addresses: container is its ID, "" when
// there is none. It is safe to repeat.
func EndRun(run *Plan, container string) *Plan {
	plan := &Plan{Project: run.Project, Cluster: run.Cluster}
	for i := range run.Steps {
		s := &run.Steps[i]
		if s.OneOff == nil {
			continue
		}
		if container != "" {
			plan.Steps = append(plan.Steps, Step{
				ID: 0, Kind: Remove, Host: s.Host, Task: s.Task, Name: s.Name, ContainerID: container, Why: "one-off has ended", Anonymous: true,
			})
		}
		if len(s.Endpoints) > 0 {
			plan.Forget = &Change{Revision: 0, DropEndpoint: s.Endpoints}
			forget := Step{ID: len(plan.Steps), Kind: Forget}
			for id := range plan.Steps {
				forget.After = append(forget.After, id)
			}
			plan.Steps = append(plan.Steps, forget)
		}
	}
	return plan
}
