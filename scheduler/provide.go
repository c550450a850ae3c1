package scheduler

import (
	"slices"
	"strings"

	"berth/placement"
)

// call is one provider that the command is about, and the step that calls it; none when it has been called.
type call struct {
	*placement.Provider
	step int
}

// includeProvider takes a provider into scope, and what it depends on.
func (u *upper) includeProvider(p *placement.Provider) error {
	if slices.ContainsFunc(u.calls, func(c *call) bool { return c.Provider == p }) {
		return nil
	}
	u.calls = append(u.calls, &call{Provider: p, step: none})
	return u.includeDependencies(p.Name, p.DependsOn)
}

// callOf is the call of a provider in scope; nil for others.
func (u *upper) callOf(name string) *call {
	if i := slices.IndexFunc(u.calls, func(c *call) bool { return c.Name == name }); i >= 0 {
		return u.calls[i]
	}
	return nil
}

// provide adds the steps that call the providers in scope, by name.
func (u *upper) provide() {
	slices.SortFunc(u.calls, func(a, b *call) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range u.calls {
		if !c.Provided {
			c.step = u.g.add(Step{Kind: Provide, Name: c.Name, Why: "provider " + c.Type, Provider: c.Provider, Anew: true})
		}
	}
}

// called are the calls that give a service, or a provider, its variables.
func (u *upper) called(dependsOn []placement.Dependency) []int {
	var all []int
	for _, d := range dependsOn {
		if c := u.callOf(d.Service); c != nil && c.step != none {
			all = append(all, c.step)
		}
	}
	return all
}

// provideAfter lets the calls wait for what the providers depend on themselves.
func (u *upper) provideAfter(m *made) {
	for _, c := range u.calls {
		if c.step == none {
			continue
		}
		u.g.need(c.step, u.called(c.DependsOn)...)
		for _, d := range c.DependsOn {
			if !u.opts.NoStart {
				u.g.need(c.step, u.dependency(m, d)...)
			} else if dep := u.byName[d.Service]; dep != nil {
				for _, t := range dep.tasks {
					if t.work != nil {
						u.g.need(c.step, t.named)
					}
				}
			}
		}
	}
}

// callSooner lets the calls not wait for what the providers depend on, and reports whether any did. It is for plans where that
// is a circle: what a provider depends on waits for a port or an address that the old container of a dependent still has,
// which stays until there is a new one, after the call.
func (u *upper) callSooner() bool {
	sooner := false
	for _, c := range u.calls {
		if c.step == none {
			continue
		}
		before := u.called(c.DependsOn)
		if s := &u.g.steps[c.step]; len(s.After) > len(before) {
			s.After = nil
			u.g.need(c.step, before...)
			u.warn("provider service %s is called before what it depends on is up, which waits for a port or an address of what depends on it", c.Name)
			sooner = true
		}
	}
	return sooner
}

// unprovided names a provider whose variables a service lacks, because it was not called; "" for none.
func unprovided(p *placement.Project, s *placement.Service) string {
	for _, d := range s.DependsOn {
		if from := p.Provider(d.Service); from != nil && !from.Provided {
			return from.Name
		}
	}
	return ""
}

// configured reports whether a container was made of the service as it is now, as far as that is known.
func (u *upper) configured(s *placement.Service, c *placement.Container) bool {
	return c.Same || c.ConfigHash == s.ConfigHash ||
		s.BareHash != "" && c.Labels[placement.BareHashLabel] == s.BareHash && unprovided(u.p, s) != ""
}

// lacking warns of containers that are made without the variables of a provider, which the command leaves out.
func (u *upper) lacking() {
	for _, st := range u.order {
		if st.inScope && u.opts.NoDeps && slices.ContainsFunc(st.tasks, (*task).fresh) {
			if from := unprovided(u.p, st.service); from != "" && u.callOf(from) == nil {
				u.warn("service %s is made without the variables of provider service %s, which is left out", st.service.Name, from)
			}
		}
	}
}

// halts adds the steps that halt the providers that can be halted, each after the stops of what depends on it, and before
// those of what it depends on.
func (x *Present) halts(stops map[*placement.Container]int) {
	if x.p == nil {
		return
	}
	halts := map[string]int{}
	for _, p := range x.p.Providers {
		if p.Stops && (len(x.services) == 0 || slices.Contains(x.services, p.Name)) {
			halts[p.Name] = x.g.add(Step{Kind: Halt, Name: p.Name, Why: "provider " + p.Type, Provider: p})
		}
	}
	for service, dependsOn := range x.deps {
		own, halted := halts[service]
		for _, d := range dependsOn {
			other, provider := halts[d.Service]
			for c, stop := range stops {
				switch {
				case halted && c.Task.Service == d.Service:
					x.g.need(stop, own)
				case provider && c.Task.Service == service:
					x.g.need(other, stop)
				}
			}
			if halted && provider {
				x.g.need(other, own)
			}
		}
	}
}

// releases adds the steps that take down what providers provide, and gives them by service. What depends on them is taken
// down before (containers sees to it), and what they depend on after.
func (d *downer) releases() (releases map[string]int, ends map[string][]int) {
	releases, ends = map[string]int{}, map[string][]int{}
	if d.p == nil {
		return releases, ends
	}
	for _, p := range d.p.Providers {
		if d.takes(p.Name) {
			releases[p.Name] = d.g.add(Step{Kind: Release, Name: p.Name, Why: "provider " + p.Type, Provider: p})
		}
	}
	for _, p := range d.p.Providers {
		own, ok := releases[p.Name]
		if !ok {
			continue
		}
		for _, on := range p.DependsOn {
			ends[on.Service] = append(ends[on.Service], own)
			if other, ok := releases[on.Service]; ok {
				d.g.need(other, own)
			}
		}
	}
	return releases, ends
}
