package scheduler

import (
	"slices"
	"time"

	"berth/placement"
)

// KillOptions say what `kill` is asked to do.
type KillOptions struct {
	Signal        string // name or number; "" is SIGKILL
	RemoveOrphans bool   // kill and remove containers of services that the file does not have
}

// Kill plans a signal to what runs of the services, one-off containers included, all at once.
func (x *Present) Kill(opts KillOptions) *Plan {
	chosen := x.named()
	for i := range x.w.containers {
		c := &x.w.containers[i]
		orphan := x.p != nil && orphaned(x.p, c)
		if !x.w.ready(c.Host) || !(chosen[c.Task.Service] || orphan && opts.RemoveOrphans) {
			continue
		}
		killed := none
		if c.Running() {
			s := x.step(Kill, c, "")
			s.Signal = opts.Signal
			killed = x.g.add(s)
		}
		if orphan && opts.RemoveOrphans && !c.OneOff {
			x.g.add(x.step(Remove, c, "orphan"), killed)
		}
	}
	return x.finish(chosen)
}

// orphaned reports whether a container's service is not in the file, nor switched off by a profile.
func orphaned(p *placement.Project, c *placement.Container) bool {
	return p.Service(c.Task.Service) == nil && !slices.Contains(p.Disabled, c.Task.Service)
}

// Pause plans to freeze what runs of the services. A container that is paused already is the engine's to refuse, as for
// docker compose.
func (x *Present) Pause() *Plan { return x.each(Pause) }

// Unpause plans to let them go on.
func (x *Present) Unpause() *Plan { return x.each(Unpause) }

func (x *Present) each(kind Kind) *Plan {
	chosen := x.named()
	for _, c := range x.containers(chosen) {
		if c.Running() {
			x.g.add(x.step(kind, c, ""))
		}
	}
	return x.finish(chosen)
}

// ClearOptions say what `rm` is asked to do.
type ClearOptions struct {
	Stop    bool // stop what runs first, dependents before what they depend on; else it stays
	Volumes bool // remove anonymous volumes too
	Timeout *time.Duration
}

// Clear plans the removal of the services' stopped containers (`rm`), and that the store forgets them. It needs the
// store of a cluster to have been read, under the project's lock.
func (x *Present) Clear(opts ClearOptions) *Plan {
	chosen := x.named()
	containers := x.containers(chosen)
	stopped := map[*placement.Container]int{}
	if opts.Stop {
		stopped = x.stops(containers, opts.Timeout, "")
	}
	forget := newChange(x.w.o)
	var removed []int
	for _, c := range containers {
		if up(c) && !opts.Stop {
			continue
		}
		s := x.step(Remove, c, "")
		s.Service, s.Anonymous = nil, opts.Volumes
		after := none
		if up(c) {
			after = stopped[c]
		}
		removed = append(removed, x.g.add(s, after))
		if r, ok := x.w.o.Recorded[c.Task]; ok && r.Container == c.Name && r.Host == c.Host {
			forget.DropTasks = append(forget.DropTasks, c.Task)
		}
		for _, e := range x.w.o.Endpoints {
			if e.Container == c.Name && e.Project == x.plan.Project {
				forget.DropEndpoint = append(forget.DropEndpoint, e)
			}
		}
	}
	slices.SortFunc(forget.DropTasks, compareTasks)
	slices.SortFunc(forget.DropEndpoint, compareEndpoints)
	if !forget.Empty() {
		x.plan.Forget = forget
		x.g.add(Step{Kind: Forget}, removed...)
	}
	return x.finish(chosen)
}
