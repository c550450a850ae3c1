package loader

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// convert translates a whole project. Errors are *Error with Key set.
func convert(compose *types.Project, cluster bool) (*placement.Project, error) {
	p := &placement.Project{
		Name:     compose.Name,
		Dir:      compose.WorkingDir,
		Compose:  compose,
		Disabled: compose.DisabledServiceNames(),
	}
	for _, name := range compose.ServiceNames() {
		service := compose.Services[name]
		if service.Provider != nil {
			p.Providers = append(p.Providers, &placement.Provider{
				Name: name, Type: service.Provider.Type, Options: service.Provider.Options, DependsOn: dependencies(compose, &service),
			})
			continue
		}
		s, err := convertService(compose, service)
		if err != nil {
			return nil, err
		}
		if cluster && s.Mode == placement.Global && s.ContainerName != "" {
			return nil, &Error{Key: "services." + name + ".container_name", Err: errors.New(
				"a global service has a task on each host, and a container name must be unique; drop container_name")}
		}
		p.Services = append(p.Services, s)
	}
	if err := uniqueContainerNames(p); err != nil {
		return nil, err
	}
	for _, key := range compose.NetworkNames() {
		n, err := convertNetwork(key, compose.Networks[key])
		if err != nil {
			return nil, err
		}
		p.Networks = append(p.Networks, n)
	}
	for _, key := range compose.VolumeNames() {
		v, err := convertVolume(key, compose.Volumes[key])
		if err != nil {
			return nil, err
		}
		p.Volumes = append(p.Volumes, v)
	}
	return p, nil
}

func uniqueContainerNames(p *placement.Project) error {
	owner := map[string]string{}
	for _, s := range p.Services {
		if s.ContainerName == "" {
			continue
		}
		if other, taken := owner[s.ContainerName]; taken {
			return &Error{Key: "services." + s.Name + ".container_name", Err: fmt.Errorf(
				"container name %q is already in use by service %s; give one of them another", s.ContainerName, other)}
		}
		owner[s.ContainerName] = s.Name
	}
	return nil
}

func convertNetwork(key string, network types.NetworkConfig) (*placement.NetworkSpec, error) {
	n := &placement.NetworkSpec{
		Key:      key,
		Name:     network.Name,
		External: bool(network.External),
		Internal: network.Internal,
		Driver:   network.Driver,
		Spec:     &network,
	}
	for i, pool := range network.Ipam.Config {
		if pool == nil || pool.Subnet == "" {
			continue
		}
		subnet, err := netip.ParsePrefix(pool.Subnet)
		if err != nil {
			return nil, &Error{Key: fmt.Sprintf("networks.%s.ipam.config.%d.subnet", key, i),
				Err: fmt.Errorf("%q is no subnet; want one like 172.28.0.0/16", pool.Subnet)}
		}
		n.Subnets = append(n.Subnets, subnet.Masked())
	}
	var err error
	if n.ConfigHash, err = NetworkHash(network); err != nil {
		return nil, &Error{Key: "networks." + key, Err: err}
	}
	return n, nil
}

func convertVolume(key string, volume types.VolumeConfig) (*placement.VolumeSpec, error) {
	v := &placement.VolumeSpec{
		Key:      key,
		Name:     volume.Name,
		External: bool(volume.External),
		Driver:   volume.Driver,
		Spec:     &volume,
	}
	var err error
	if v.ConfigHash, err = VolumeHash(volume); err != nil {
		return nil, &Error{Key: "volumes." + key, Err: err}
	}
	return v, nil
}

// serviceRef is the service that a namespace key like network_mode: service:db names, or "".
func serviceRef(value string) string {
	name, ok := strings.CutPrefix(value, types.ServicePrefix)
	if !ok {
		return ""
	}
	return name
}
