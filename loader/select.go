package loader

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// SelectOptions says what Select keeps.
type SelectOptions struct {
	NoDeps       bool // the named services only, without what they depend on
	AllResources bool // keep networks and volumes that none of them uses
}

// Select returns the project cut down to the named services and those they depend on; the others become Disabled, so
// that they are no orphans. No names is all services. p stays as it is. A service that profiles switched off cannot be
// selected: Load it with Options.Services.
func Select(p *placement.Project, names []string, o SelectOptions) (*placement.Project, error) {
	if len(names) == 0 {
		return p, nil
	}
	for _, n := range names {
		if p.Has(n) {
			continue
		}
		if slices.Contains(p.Disabled, n) {
			return nil, fmt.Errorf("select: service %s is switched off by its profiles; turn one of them on with --profile", n)
		}
		return nil, fmt.Errorf("select: %w", noService(n, serviceNames(p)))
	}
	policy := types.IncludeDependencies
	if o.NoDeps {
		policy = types.IgnoreDependencies
	}
	compose, err := p.Compose.WithSelectedServices(names, policy)
	if err != nil {
		return nil, fmt.Errorf("select %s: %w", strings.Join(names, ", "), err)
	}
	if !o.AllResources {
		compose = compose.WithoutUnnecessaryResources()
	}
	selected, err := convert(compose, false)
	if err != nil {
		return nil, err
	}
	selected.Warnings, selected.EnvFiles, selected.Separator = p.Warnings, p.EnvFiles, p.Separator
	carry(p, selected)
	return selected, nil
}

// carry takes over what p.Compose does not say: what a cluster made of relative bind mounts (see ship) and of classic
// Swarm's rules, and the hashes that contents count in.
func carry(p, selected *placement.Project) {
	for _, s := range selected.Services {
		from := p.Service(s.Name)
		s.Mounts, s.Files, s.ConfigHash, s.Spec, s.Networks = from.Mounts, from.Files, from.ConfigHash, from.Spec, from.Networks
		s.Constraints, s.Bare, s.BareHash = from.Constraints, from.Bare, from.BareHash
	}
	for i, s := range selected.Providers {
		selected.Providers[i] = p.Provider(s.Name)
	}
	for _, v := range p.Volumes {
		used := func(s *placement.Service) bool {
			return slices.ContainsFunc(s.Mounts, func(m placement.Mount) bool { return m.Type == types.VolumeTypeVolume && m.Source == v.Key })
		}
		if v.Seed != nil && slices.ContainsFunc(selected.Services, used) {
			selected.Volumes = append(selected.Volumes, v)
		}
	}
}

// Scale sets how many tasks services have, in place: `--scale web=3`. All is checked before anything changes.
func Scale(p *placement.Project, replicas map[string]int) error {
	for _, name := range slices.Sorted(maps.Keys(replicas)) {
		n, s := replicas[name], p.Service(name)
		var why error
		switch {
		case s == nil && p.Provider(name) != nil:
			why = errors.New("a provider runs it, and it has no tasks; see provider.options for its size")
		case s == nil:
			why = noService(name, serviceNames(p))
		case n < 0:
			why = errors.New("the number of tasks is 0 or more")
		case s.Mode == placement.Global:
			why = errors.New("a global service has one task on each host; set deploy.mode: replicated to scale it")
		case n > 1 && s.ContainerName != "":
			why = fmt.Errorf("container_name %s must be unique, so there is one task at most; drop container_name", s.ContainerName)
		}
		if why != nil {
			return fmt.Errorf("scale %s=%d: %w", name, n, why)
		}
	}
	for name, n := range replicas {
		s := p.Service(name)
		s.Replicas = n
		spec := *s.Spec
		if spec.Deploy != nil {
			deploy := *spec.Deploy // shared with p.Compose otherwise
			spec.Deploy = &deploy
		}
		spec.SetScale(n)
		*s.Spec = spec
		p.Compose.Services[name] = spec
	}
	return nil
}

// serviceNames are the names of the enabled services, those of providers last.
func serviceNames(p *placement.Project) []string {
	var names []string
	for _, s := range p.Services {
		names = append(names, s.Name)
	}
	for _, s := range p.Providers {
		names = append(names, s.Name)
	}
	return names
}
