package scheduler

import (
	"fmt"
	"slices"
	"strings"

	"berth/placement"
)

// downer is one run of Down.
type downer struct {
	project string
	p       *placement.Project // nil without a compose file
	o       *placement.Observation
	opts    DownOptions
	w       *view
	deps    map[string][]placement.Dependency // by service

	chosen map[string]bool        // services to take down; nil is all
	drops  []*drop                // containers that go
	stays  []*placement.Container // containers of the project that stay
	g      graph
	plan   *Plan
	change *Change
	forget *Change
	away   map[string][]placement.Task // by host that does not answer
	kept   map[string][]string         // networks that such a host keeps
}

// Down plans the removal of a project: its containers, dependents before what they depend on, then its networks and,
// with opts.Volumes, its named volumes. External networks and volumes stay. p may be nil: then everything that bears
// the project's label goes, in the order of the depends_on labels. What is on a host that does not answer stays, and
// so do its records; Plan.Failures says so. Down is pure like Up.
func Down(project string, p *placement.Project, o *placement.Observation, opts DownOptions) *Plan {
	d := &downer{
		project: project, p: p, o: o, opts: opts, w: newView(project, o), change: newChange(o), forget: newChange(o),
		plan: &Plan{Project: project, Cluster: o.Cluster}, away: map[string][]placement.Task{},
		kept: map[string][]string{},
	}
	d.deps = dependencies(p, d.w.containers)
	d.choose()
	d.sort()
	removed := d.containers()
	withdraw(&d.g, d.w)
	d.record(removed)
	d.networks(removed)
	d.images(removed)
	if opts.Volumes {
		d.volumes(removed)
	}
	d.seeds(removed)
	d.forgetStep()
	d.plan.Failures = append(d.plan.Failures, leftAlone(d.w, d.away)...)
	for i := range o.Hosts {
		h := &o.Hosts[i]
		if nets := d.kept[h.Name]; len(nets) > 0 && len(d.away[h.Name]) == 0 {
			slices.Sort(nets)
			d.plan.Failures = append(d.plan.Failures, fmt.Sprintf("host %s is unreachable%s: its part of network %s was left alone",
				h.Name, parenthesis(h.Problem), strings.Join(nets, ", ")))
		}
	}
	d.plan.Steps, _ = d.g.sorted() // steps wait only for earlier ones: there is no circle
	return d.plan
}

// choose decides which containers go.
func (d *downer) choose() {
	if len(d.opts.Services) > 0 {
		d.chosen = map[string]bool{}
		for _, s := range d.opts.Services {
			d.chosen[s] = true
		}
	}
	for i := range d.w.containers {
		c := &d.w.containers[i]
		if !d.goes(c) {
			d.stays = append(d.stays, c)
			continue
		}
		drop := &drop{c: c, removed: none}
		if d.p != nil {
			drop.service = d.p.Service(c.Task.Service)
		}
		d.drops = append(d.drops, drop)
	}
}

// goes reports whether a container is taken down. As for docker compose, one-off containers and those of services
// that the file does not have stay unless opts.RemoveOrphans; those of services that a profile switches off stay.
func (d *downer) goes(c *placement.Container) bool {
	known := d.p == nil || d.p.Service(c.Task.Service) != nil
	switch {
	case !d.w.ready(c.Host):
		return false
	case c.OneOff:
		return d.opts.RemoveOrphans && (known && d.takes(c.Task.Service) || c.State == "exited" || c.State == "dead")
	case known:
		return d.takes(c.Task.Service)
	}
	return d.opts.RemoveOrphans && !slices.Contains(d.p.Disabled, c.Task.Service)
}

// takes reports whether a service is one of those to take down.
func (d *downer) takes(service string) bool { return d.chosen == nil || d.chosen[service] }

// sort puts the containers of dependents first, then by service, number, host and name.
func (d *downer) sort() {
	depth := depths(d.deps)
	slices.SortStableFunc(d.drops, func(a, b *drop) int {
		if n := depth(b.c.Task.Service) - depth(a.c.Task.Service); n != 0 {
			return n
		}
		return compareTasks(a.c.Task, b.c.Task)
	})
}

// containers stops and removes the containers, each after those of the services that depend on its own. It returns
// the removals.
func (d *downer) containers() []int {
	releases, ends := d.releases() // ends: service → what has to be gone before it
	var removed []int
	for _, x := range d.drops {
		s := Step{
			Kind: Stop, Host: x.c.Host, Task: x.c.Task, Name: x.c.Name, ContainerID: x.c.ID, Service: x.service,
			Timeout: d.opts.Timeout,
		}
		last := none
		if up(x.c) {
			last = d.g.add(s, ends[x.c.Task.Service]...)
		}
		s.Kind, s.Timeout, s.Service, s.Anonymous = Remove, nil, nil, d.opts.Volumes && (d.p == nil || x.service != nil)
		x.removed = d.g.add(s, last)
		if last == none {
			d.g.need(x.removed, ends[x.c.Task.Service]...)
		}
		removed = append(removed, x.removed)
		for _, dep := range d.deps[x.c.Task.Service] {
			ends[dep.Service] = append(ends[dep.Service], x.removed)
			if release, ok := releases[dep.Service]; ok {
				d.g.need(release, x.removed)
			}
		}
	}
	return removed
}
