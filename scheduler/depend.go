package scheduler

import (
	"slices"
	"strconv"
	"strings"

	"berth/placement"
)

// dependencies says what each service waits for: the file says it, and of services that the file does not have (of all
// without one) the label that their containers got it from (com.docker.compose.depends_on,
// "db:service_healthy:false,cache:…": service, condition, restart). Sharing a namespace or volumes is a dependency too.
func dependencies(p *placement.Project, containers []placement.Container) map[string][]placement.Dependency {
	all := map[string][]placement.Dependency{}
	add := func(service string, d placement.Dependency) {
		if !slices.ContainsFunc(all[service], func(x placement.Dependency) bool { return x.Service == d.Service }) {
			all[service] = append(all[service], d)
		}
	}
	if p != nil {
		for _, s := range p.Providers {
			for _, d := range s.DependsOn {
				add(s.Name, d)
			}
		}
		for _, s := range p.Services {
			for _, d := range s.DependsOn {
				add(s.Name, d)
			}
			for _, name := range s.SharesWith {
				add(s.Name, placement.Dependency{Service: name, Condition: placement.Started, Required: true, Restart: true})
			}
		}
	}
	for i := range containers {
		c := &containers[i]
		if p != nil && p.Service(c.Task.Service) != nil {
			continue
		}
		for _, entry := range strings.Split(c.Labels["com.docker.compose.depends_on"], ",") {
			fields := append(strings.Split(entry, ":"), "", "")
			if fields[0] == "" {
				continue
			}
			restart, _ := strconv.ParseBool(fields[2])
			add(c.Task.Service, placement.Dependency{
				Service: fields[0], Condition: placement.Condition(fields[1]), Required: true, Restart: restart,
			})
		}
	}
	return all
}

// depths gives each service the longest way down to one without dependencies: sorted by it, services follow what they
// depend on. A circle, which only labels can have, is cut somewhere.
func depths(deps map[string][]placement.Dependency) func(service string) int {
	depth := map[string]int{}
	visiting := map[string]bool{}
	var measure func(s string) int
	measure = func(s string) int {
		if n, ok := depth[s]; ok || visiting[s] {
			return n
		}
		visiting[s] = true
		n := 0
		for _, d := range deps[s] {
			n = max(n, measure(d.Service)+1)
		}
		visiting[s] = false
		depth[s] = n
		return n
	}
	return measure
}

// reach adds to services all that edges lead to from them, directly or by way of others.
func reach(services map[string]bool, edges func(service string) []string) {
	open := make([]string, 0, len(services))
	for s := range services {
		open = append(open, s)
	}
	for len(open) > 0 {
		s := open[0]
		open = open[1:]
		for _, next := range edges(s) {
			if !services[next] {
				services[next] = true
				open = append(open, next)
			}
		}
	}
}

// dependents turns dependencies round: who depends on a service, among those that admit lets through (nil: all).
func dependents(deps map[string][]placement.Dependency, admit func(placement.Dependency) bool) map[string][]string {
	all := map[string][]string{}
	for s, list := range deps {
		for _, d := range list {
			if admit == nil || admit(d) {
				all[d.Service] = append(all[d.Service], s)
			}
		}
	}
	return all
}
