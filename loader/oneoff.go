package loader

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/mattn/go-shellwords"

	"berth/placement"
)

// OneOff is what `run` changes about a service for one container. The zero value changes no more than a one-off needs:
// no published ports, no name, no aliases, no hooks.
type OneOff struct {
	Command    []string // nil keeps the service's
	Entrypoint *string  // shell words; takes the service's command away too. nil keeps both, "" is none
	Env        []string // KEY=VALUE; KEY alone takes the user's own value, and is left out where there is none
	EnvFiles   []string
	User       string // "" keeps the service's, as for WorkingDir
	WorkingDir string
	Volumes    []string // short syntax
	Publish    []string // short syntax
	// ServicePorts publishes what the service publishes.
	ServicePorts    bool
	UseAliases      bool
	Labels          []string // KEY=VALUE
	CapAdd, CapDrop []string
	Tty, Stdin      bool
	Dir             string // that relative paths of Volumes and EnvFiles start from
	Cluster         bool
}

// Of gives the service as its one-off has it. p stays as it is, but for volumes that Volumes names and the file does not
// have: on a cluster they are added, so that their data is found where it lies.
func (o OneOff) Of(p *placement.Project, name string) (*placement.Service, error) {
	known := p.Service(name)
	if by := p.Provider(name); by != nil {
		return nil, fmt.Errorf("service %s has no containers: provider %s runs it; run a service that depends on it", name, by.Type)
	}
	if known == nil {
		return nil, noService(name, serviceNames(p))
	}
	if o.ServicePorts && len(known.Ingress) > 0 {
		return nil, fmt.Errorf("--service-ports: port %s of %s is in mode ingress, which leads to the service's tasks only; use --publish",
			known.Ingress[0], name)
	}
	s := *known.Spec
	s.ContainerName, s.PostStart, s.PreStop, s.Scale = "", nil, nil, nil
	s.Tty, s.StdinOpen = o.Tty, o.Stdin
	if o.Entrypoint != nil {
		words, err := shellwords.Parse(*o.Entrypoint)
		if err != nil {
			return nil, fmt.Errorf("--entrypoint %q: %w", *o.Entrypoint, err)
		}
		if len(words) == 0 {
			words = []string{""} // the engine's word for none, where nothing at all is the image's
		}
		s.Entrypoint, s.Command = words, nil
	}
	if len(o.Command) > 0 {
		s.Command = o.Command
	}
	if o.User != "" {
		s.User = o.User
	}
	if o.WorkingDir != "" {
		s.WorkingDir = o.WorkingDir
	}
	s.CapAdd, s.CapDrop = o.capabilities(s.CapAdd, s.CapDrop)
	s.Networks = o.networks(&s)
	s.Labels = maps.Clone(s.Labels)
	for _, l := range o.Labels {
		key, value, _ := strings.Cut(l, "=")
		s.Labels = s.Labels.Add(key, value)
	}
	for _, set := range []func(*placement.Project, *types.ServiceConfig) error{o.environment, o.volumes, o.ports} {
		if err := set(p, &s); err != nil {
			return nil, err
		}
	}
	made, err := convertService(p.Compose, s)
	if err != nil {
		return nil, err
	}
	// A one-off is one container whatever the service is, and counts as none of its replicas.
	made.Mode, made.Replicas, made.MaxPerHost = placement.Replicated, 1, 0
	made.ConfigHash = known.ConfigHash
	if o.Cluster { // variables of the command line: the file's have been taken in
		c := classic{project: p, service: made}
		if _, err := c.variables(); err != nil {
			return nil, err
		}
		if len(c.warnings) > 0 {
			return nil, errors.New(c.warnings[0])
		}
	}
	for _, c := range known.Constraints { // some are not in the service's labels
		if !slices.ContainsFunc(made.Constraints, c.Equal) {
			made.Constraints = append(made.Constraints, c)
		}
	}
	made.Files = slices.DeleteFunc(slices.Clone(known.Files), func(f placement.File) bool {
		return slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == f.Target })
	})
	return made, nil
}

// environment puts the command line's variables over the files', and these over the service's.
func (o OneOff) environment(p *placement.Project, s *types.ServiceConfig) error {
	own := p.Compose.Environment
	merged := maps.Clone(s.Environment)
	if merged == nil {
		merged = types.MappingWithEquals{}
	}
	for _, f := range o.EnvFiles {
		if !filepath.IsAbs(f) {
			f = filepath.Join(o.Dir, f)
		}
		values, err := dotenv.ReadFile(f, own.Resolve)
		if err != nil {
			return fmt.Errorf("--env-from-file %s: %w", f, err)
		}
		for k, v := range values {
			merged[k] = &v
		}
	}
	given := types.NewMappingWithEquals(o.Env).Resolve(own.Resolve).RemoveEmpty()
	s.Environment = merged.OverrideBy(given)
	return nil
}

func (o OneOff) volumes(p *placement.Project, s *types.ServiceConfig) error {
	s.Volumes = slices.Clone(s.Volumes)
	for _, text := range o.Volumes {
		v, err := format.ParseVolume(text)
		if err != nil {
			return fmt.Errorf("-v %s: %w; want SOURCE:TARGET[:ro]", text, err)
		}
		if v.Type == types.VolumeTypeBind && !filepath.IsAbs(v.Source) {
			if o.Cluster {
				return fmt.Errorf("-v %s: %s is on this machine and not on the hosts; name a volume, or an absolute path of the host", text, v.Source)
			}
			if home, err := os.UserHomeDir(); err == nil && strings.HasPrefix(v.Source, "~") {
				v.Source = home + strings.TrimPrefix(v.Source, "~")
			}
			if !filepath.IsAbs(v.Source) {
				v.Source = filepath.Join(o.Dir, v.Source)
			}
		}
		s.Volumes = slices.DeleteFunc(s.Volumes, func(old types.ServiceVolumeConfig) bool { return old.Target == v.Target })
		s.Volumes = append(s.Volumes, v)
		if o.Cluster && v.Type == types.VolumeTypeVolume && v.Source != "" {
			declare(p, v.Source)
		}
	}
	return nil
}

// declare adds a volume that only the command line knows, under its own name.
func declare(p *placement.Project, name string) {
	if !slices.ContainsFunc(p.Volumes, func(v *placement.VolumeSpec) bool { return v.Key == name }) {
		p.Volumes = append(p.Volumes, &placement.VolumeSpec{Key: name, Name: name, Spec: &types.VolumeConfig{Name: name}})
	}
}

func (o OneOff) ports(_ *placement.Project, s *types.ServiceConfig) error {
	if !o.ServicePorts {
		s.Ports = nil
	}
	for _, text := range o.Publish {
		ports, err := types.ParsePortConfig(text)
		if err != nil {
			return fmt.Errorf("--publish %s: %w", text, err)
		}
		s.Ports = append(s.Ports, ports...)
	}
	return nil
}

// capabilities adds to one list and takes the same out of the other.
func (o OneOff) capabilities(add, drop []string) (added, dropped []string) {
	without := func(list, other []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(c string) bool { return slices.Contains(other, c) })
	}
	added = append(without(add, o.CapDrop), without(o.CapAdd, add)...)
	dropped = append(without(drop, o.CapAdd), without(o.CapDrop, drop)...)
	return added, dropped
}

// networks are the service's with the names that others reach a one-off by: none, or with UseAliases the service's own.
func (o OneOff) networks(s *types.ServiceConfig) map[string]*types.ServiceNetworkConfig {
	if s.Networks == nil {
		return nil
	}
	all := map[string]*types.ServiceNetworkConfig{}
	for key, n := range s.Networks {
		c := types.ServiceNetworkConfig{}
		if n != nil {
			c = *n
		}
		if o.UseAliases {
			c.Aliases = append([]string{s.Name}, c.Aliases...)
		} else {
			c.Aliases = nil
		}
		all[key] = &c
	}
	return all
}
