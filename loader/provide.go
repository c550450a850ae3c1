package loader

import (
	"fmt"
	"maps"
	"slices"

	"berth/placement"
)

// markProvided remembers of the services that depend on a provider what they are without its variables.
func markProvided(p *placement.Project) {
	for _, s := range p.Services {
		if slices.ContainsFunc(s.DependsOn, func(d placement.Dependency) bool { return p.Provider(d.Service) != nil }) {
			s.BareHash, s.Bare = s.ConfigHash, &placement.Bare{Hash: s.ConfigHash, Spec: s.Spec}
		}
	}
}

// Provide takes in what a provider said when it was called: variables that the services which depend on it get, under the
// names that these see. They count in the config hash as they do for docker compose. The project has other values for
// those services then; the old ones stay as they are.
func Provide(p *placement.Project, provider string, variables map[string]string) error {
	called := p.Provider(provider)
	if called == nil {
		return fmt.Errorf("provide: %w", noService(provider, serviceNames(p)))
	}
	called.Provided, called.Variables = true, variables
	for i, s := range p.Services {
		if !slices.ContainsFunc(s.DependsOn, func(d placement.Dependency) bool { return d.Service == provider }) {
			continue
		}
		next, err := provided(p, s)
		if err != nil {
			return fmt.Errorf("provide: service %s: %w", s.Name, err)
		}
		p.Services[i] = next
	}
	return nil
}

// provided is the service with the variables of all providers that it depends on, as far as they are known.
func provided(p *placement.Project, s *placement.Service) (*placement.Service, error) {
	next, spec := *s, *s.Bare.Spec
	next.BareHash = s.Bare.Hash // the cluster counts contents in it, anew
	spec.Environment = maps.Clone(spec.Environment)
	if spec.Environment == nil {
		spec.Environment = map[string]*string{}
	}
	var lines []string
	for _, d := range s.DependsOn {
		from := p.Provider(d.Service)
		if from == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(from.Variables)) {
			value := from.Variables[name]
			spec.Environment[name] = &value
			lines = append(lines, name+"="+value)
		}
	}
	bare, err := ServiceHash(*s.Bare.Spec)
	if err != nil {
		return nil, err
	}
	if next.Spec = &spec; bare == s.Bare.Hash {
		next.ConfigHash, err = ServiceHash(spec)
	} else { // something besides the compose entry counts in it
		next.ConfigHash = withContents(s.Bare.Hash, lines)
	}
	return &next, err
}
