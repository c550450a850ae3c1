package scheduler

import (
	"fmt"
	"slices"

	"berth/placement"
)

// Anew is the part of a plan that comes before the rest is decided: the builds and pulls that replace images that hosts
// have, the calls of providers, and what those wait for. When it is done, the hosts are observed and the plan is made
// again, with Made set and the providers' variables in the project. It is empty when there is nothing to wait for.
//
// A provider that waits for such a step is not called with it, but in a later plan: what comes between the two is only
// decided then.
func (p *Plan) Anew() *Plan {
	first := &Plan{Project: p.Project, Cluster: p.Cluster}
	take := make([]bool, len(p.Steps))
	late := make([]bool, len(p.Steps)) // waits for a step that is Anew
	for i, s := range p.Steps {
		late[i] = slices.ContainsFunc(s.After, func(a int) bool { return late[a] || p.Steps[a].Anew })
	}
	for i := len(p.Steps) - 1; i >= 0; i-- {
		if take[i] = take[i] || p.Steps[i].Anew && !(late[i] && p.Steps[i].Kind == Provide); take[i] {
			for _, a := range p.Steps[i].After {
				take[a] = true
			}
		}
	}
	place := map[int]int{}
	for i, s := range p.Steps {
		if !take[i] {
			continue
		}
		after := make([]int, len(s.After))
		for j, a := range s.After {
			after[j] = place[a]
		}
		place[i] = len(first.Steps)
		s.ID, s.After = len(first.Steps), after
		if s.Kind == Record {
			first.Change = p.Change
		}
		first.Steps = append(first.Steps, s)
	}
	return first
}

// BuildOptions say what `build` is asked to do.
type BuildOptions struct {
	Services []string // empty is all; those that are not built are left out
	Deps     bool     // what the services depend on, too
	Push     bool     // push each image under its own name
	Host     string   // build there; "" chooses
}

// BuildImages plans the build of services' images: each on the host that would run its first task, or another that its
// build: may be done on. What a build is made from is built before it.
func BuildImages(p *placement.Project, o *placement.Observation, opts BuildOptions) (*Plan, error) {
	u, err := imagesOf(p, o, opts.Services, opts.Deps)
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	m := &made{images: map[key]int{}}
	hosts := u.hostsOf()
	for _, st := range u.order {
		s := st.service
		if !st.inScope || s.Build == nil {
			continue
		}
		if u.rebuild(s); opts.Host != "" {
			s.Build.On = append(slices.Clone(s.Build.On), placement.Constraint{Key: "node.name", Op: "==", Value: opts.Host})
		}
	}
	for _, st := range u.order {
		s := st.service
		if !st.inScope || s.Build == nil {
			continue
		}
		prefer := hosts[s.Name]
		if opts.Host != "" {
			prefer = []string{opts.Host}
		}
		sp := u.supplyOf(u.p.ImageName(s), u.firstBuilder(s, prefer))
		if sp.builder == s && sp.made == none {
			if err := u.buildImage(m, sp, append(prefer, buildHosts(sp)...)); err != nil {
				return nil, fmt.Errorf("build: %w", err)
			}
		}
	}
	for i := range u.g.steps {
		u.g.steps[i].Why, u.g.steps[i].Attempt, u.g.steps[i].Anew = "", false, false
		if s := u.g.steps[i]; s.Kind == Build && opts.Push && s.Service.Image != "" {
			u.g.add(Step{Kind: Push, Host: s.Host, Name: s.Name, Service: s.Service}, i)
		}
	}
	return u.finishImages()
}

// rebuild has an image built anew, with what it is made from.
func (u *upper) rebuild(s *placement.Service) {
	if s == nil || s.Build == nil || s.PullPolicy == "build" {
		return
	}
	s.PullPolicy = "build"
	for _, name := range s.Build.Uses {
		u.rebuild(u.p.Source(name))
	}
}

// firstBuilder is the host that decides which platform an image is built for: the first preferred one, else the first
// that answers and that the build's platforms admit.
func (u *upper) firstBuilder(s *placement.Service, prefer []string) string {
	admits := func(h *placement.Host) bool {
		return h.State == placement.Ready && h.Runs(s.Platform) &&
			(len(s.Build.Platforms) == 0 || slices.ContainsFunc(s.Build.Platforms, h.Runs)) &&
			!slices.ContainsFunc(s.Build.On, func(c placement.Constraint) bool { return !c.Match(h) })
	}
	for _, name := range prefer {
		if h := u.o.Host(name); h != nil && admits(h) {
			return name
		}
	}
	for i := range u.o.Hosts {
		if admits(&u.o.Hosts[i]) {
			return u.o.Hosts[i].Name
		}
	}
	return u.o.Hosts[0].Name
}

// PullOptions say what `pull` is asked to do.
type PullOptions struct {
	Services        []string // empty is all
	Deps            bool     // what the services depend on, too
	Policy          string   // missing or always, instead of the services' own; "" is always, but for a policy of missing
	IgnoreBuildable bool     // leave out what can be built
	IgnoreFailures  bool     // an image that cannot be pulled is a warning
}

// PullImages plans the pull of services' images on the hosts that run or would run them, the same for all.
func PullImages(p *placement.Project, o *placement.Observation, opts PullOptions) (*Plan, error) {
	u, err := imagesOf(p, o, opts.Services, opts.Deps)
	if err != nil {
		return nil, fmt.Errorf("pull: %w", err)
	}
	m := &made{images: map[key]int{}}
	hosts := u.hostsOf()
	for _, st := range u.order {
		s := st.service
		if !st.inScope || s.Image == "" || s.PullPolicy == "never" || s.PullPolicy == "build" || opts.IgnoreBuildable && s.Build != nil {
			continue
		}
		policy := s.PullPolicy
		if opts.Policy != "" {
			policy = opts.Policy
		}
		for _, h := range hosts[s.Name] {
			sp := u.supplyOf(s.Image, h)
			if (policy == "missing" || policy == "if_not_present") && u.o.Images[h][s.Image] != "" {
				continue
			}
			if _, done := m.images[key{h, s.Image}]; !done {
				u.pull(m, sp, h, Step{Optional: opts.IgnoreFailures || sp.builder != nil})
			}
		}
	}
	u.reportHosts() // whose tasks have no image pulled
	return u.finishImages()
}

// PushOptions say what `push` is asked to do.
type PushOptions struct {
	Services       []string // empty is all
	Deps           bool     // what the services depend on, too
	IgnoreFailures bool     // an image that cannot be pushed is a warning
}

// PushImages plans the push of the images that services build under names of their own, each from a host that has it.
func PushImages(p *placement.Project, o *placement.Observation, opts PushOptions) (*Plan, error) {
	u, err := imagesOf(p, o, opts.Services, opts.Deps)
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	pushed := map[string]bool{}
	for _, st := range u.order {
		s := st.service
		if !st.inScope || s.Build == nil || s.Image == "" || pushed[s.Image] {
			continue
		}
		pushed[s.Image] = true
		sp := u.newest(s.Image)
		if sp == nil {
			return nil, fmt.Errorf("push: service %s: no host has its image %s; build it first with \"berth build %s\"", s.Name, s.Image, s.Name)
		}
		for _, ref := range append([]string{s.Image}, tags(s)...) {
			u.g.add(Step{Kind: Push, Host: sp.source, Name: ref, Service: s, Optional: opts.IgnoreFailures})
		}
	}
	return u.finishImages()
}

func tags(s *placement.Service) []string {
	if s.Spec == nil || s.Spec.Build == nil {
		return nil
	}
	return s.Spec.Build.Tags
}

// newest is the supply of the first platform on which a host has an image; nil for none.
func (u *upper) newest(ref string) *supply {
	for i := range u.o.Hosts {
		if sp := u.supplyOf(ref, u.o.Hosts[i].Name); sp.wanted != "" {
			return sp
		}
	}
	return nil
}

// imagesOf finds out where the tasks of services are or would be, whether there is room or not.
func imagesOf(p *placement.Project, o *placement.Observation, services []string, deps bool) (*upper, error) {
	u := newUpper(p, o, UpOptions{Services: services, NoDeps: !deps, IgnoreOrphans: true})
	if err := u.scope(); err != nil {
		return nil, err
	}
	for _, st := range u.order {
		if st.inScope {
			u.desire(st)
		}
	}
	u.place()
	return u, nil
}

// hostsOf lists by service the hosts of its tasks, in their order.
func (u *upper) hostsOf() map[string][]string {
	hosts := map[string][]string{}
	for _, t := range u.placed() {
		if !slices.Contains(hosts[t.Service], t.host()) {
			hosts[t.Service] = append(hosts[t.Service], t.host())
		}
	}
	return hosts
}

func (u *upper) finishImages() (*Plan, error) {
	var err error
	u.plan.Steps, err = u.g.sorted()
	return u.plan, err
}
