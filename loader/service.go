package loader

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// convertService translates one service. Errors are *Error with Key set.
func convertService(p *types.Project, service types.ServiceConfig) (*placement.Service, error) {
	s := &placement.Service{
		Name:           service.Name,
		Mode:           placement.Replicated,
		Replicas:       service.GetScale(),
		ContainerName:  service.ContainerName,
		Image:          service.Image,
		PullPolicy:     policy(&service),
		Platform:       cmp.Or(service.Platform, p.Environment["DOCKER_DEFAULT_PLATFORM"]),
		Reservation:    reservation(&service),
		Resources:      resources(&service),
		Devices:        devices(&service),
		Mounts:         mounts(&service),
		Networks:       attachments(&service),
		Links:          links(&service),
		DependsOn:      dependencies(p, &service),
		SharesWith:     sharesWith(p, &service),
		HasHealthcheck: hasHealthcheck(&service),
		Spec:           &service,
	}
	key := "services." + service.Name
	if service.StopGracePeriod != nil {
		s.StopTimeout = time.Duration(*service.StopGracePeriod)
	}
	if service.Deploy != nil {
		switch service.Deploy.Mode {
		case "", "replicated":
		case "replicated-job":
			s.Job = true
		case "global":
			s.Mode = placement.Global
		case "global-job":
			s.Mode, s.Job = placement.Global, true
		default:
			return nil, &Error{Key: key + ".deploy.mode", Err: fmt.Errorf("%q is no mode%s",
				service.Deploy.Mode, cmp.Or(didYouMean(service.Deploy.Mode, []string{"replicated", "global", "replicated-job", "global-job"}), "; want replicated, global, replicated-job or global-job"))}
		}
		s.MaxPerHost = int(min(service.Deploy.Placement.MaxReplicas, math.MaxInt32))
	}
	var err error
	if s.Ports, err = ports(&service); err != nil {
		return nil, err
	}
	if err := readPlacement(p, s, &service); err != nil {
		return nil, err
	}
	if s.PullEvery, err = pullEvery(&service); err != nil {
		return nil, err
	}
	if s.Build, err = building(&service); err != nil {
		return nil, err
	}
	if s.ConfigHash, err = ServiceHash(service); err != nil {
		return nil, &Error{Key: key, Err: err}
	}
	return s, nil
}

// reservation is what deploy.resources.reservations and mem_reservation ask for. Limits reserve nothing.
func reservation(service *types.ServiceConfig) placement.Reservation {
	r := placement.Reservation{Memory: int64(service.MemReservation)}
	if service.Deploy != nil && service.Deploy.Resources.Reservations != nil {
		wanted := service.Deploy.Resources.Reservations
		r.CPU = int64(math.Round(float64(wanted.NanoCPUs) * 1000))
		r.Memory = cmp.Or(int64(wanted.MemoryBytes), r.Memory)
	}
	return r
}

// resources counts the GPUs and generic resources that a service asks for.
func resources(service *types.ServiceConfig) placement.Resources {
	r := placement.Resources{}
	gpus := func(d types.DeviceRequest) {
		n := int64(d.Count)
		switch {
		case n < 0 || r[placement.GPU] == placement.Uncounted:
			r[placement.GPU] = placement.Uncounted
			return
		case n == 0:
			n = max(int64(len(d.IDs)), 1)
		}
		r[placement.GPU] += n
	}
	for _, d := range service.Gpus {
		gpus(d)
	}
	if service.Deploy != nil && service.Deploy.Resources.Reservations != nil {
		wanted := service.Deploy.Resources.Reservations
		for _, d := range wanted.Devices {
			if slices.Contains(d.Capabilities, "gpu") {
				gpus(d)
			}
		}
		for _, g := range wanted.GenericResources {
			if d := g.DiscreteResourceSpec; d != nil && d.Value > 0 {
				r[strings.ToLower(d.Kind)] += d.Value
			}
		}
	}
	if len(r) == 0 {
		return nil
	}
	return r
}

// devices are the device files and CDI names that a service needs of its host.
func devices(service *types.ServiceConfig) []string {
	var all []string
	for _, d := range service.Devices {
		all = append(all, d.Source)
	}
	return all
}

// ports translates published ports. A range is 0: the engine chooses one of it when the container starts.
func ports(service *types.ServiceConfig) ([]placement.Port, error) {
	var all []placement.Port
	for i, p := range service.Ports {
		port := placement.Port{HostIP: p.HostIP, Protocol: cmp.Or(strings.ToLower(p.Protocol), "tcp")}
		bad := func(what, value string) error {
			return &Error{Key: fmt.Sprintf("services.%s.ports.%d", service.Name, i),
				Err: fmt.Errorf("%s port %s is none; want 1 to 65535", what, value)}
		}
		if p.Target == 0 || p.Target > math.MaxUint16 {
			return nil, bad("target", strconv.FormatUint(uint64(p.Target), 10))
		}
		port.Target = uint16(p.Target)
		first, last, isRange := strings.Cut(p.Published, "-")
		for _, value := range []string{first, last} {
			if value == "" {
				continue
			}
			n, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				return nil, bad("published", strconv.Quote(p.Published))
			}
			if !isRange || first == last {
				port.Published = uint16(n)
			}
		}
		all = append(all, port)
	}
	return all, nil
}

// attachments lists the networks by falling priority, then name, as docker compose attaches them.
func attachments(service *types.ServiceConfig) []placement.Attachment {
	var all []placement.Attachment
	for _, key := range service.NetworksByPriority() {
		a := placement.Attachment{Network: key}
		if n := service.Networks[key]; n != nil {
			a.Aliases, a.IPv4, a.IPv6, a.MAC = n.Aliases, n.Ipv4Address, n.Ipv6Address, n.MacAddress
		}
		if len(all) == 0 && a.MAC == "" {
			a.MAC = service.MacAddress // that of the service is its first network's
		}
		all = append(all, a)
	}
	return all
}

// links are the names of links and external_links that say more than the names themselves do.
func links(service *types.ServiceConfig) map[string]string {
	all := map[string]string{}
	for _, l := range slices.Concat(service.Links, service.ExternalLinks) {
		if name, alias, ok := strings.Cut(l, ":"); ok && alias != name {
			all[alias] = name
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// mounts lists volumes, then tmpfs.
func mounts(service *types.ServiceConfig) []placement.Mount {
	var all []placement.Mount
	for _, v := range service.Volumes {
		all = append(all, placement.Mount{Type: v.Type, Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly})
	}
	for _, t := range service.Tmpfs {
		target, _, _ := strings.Cut(t, ":")
		all = append(all, placement.Mount{Type: types.VolumeTypeTmpfs, Target: target})
	}
	return all
}

// dependencies lists depends_on, with what links, volumes_from and shared namespaces imply (compose-go adds those).
// One that is switched off and optional is left out.
func dependencies(p *types.Project, service *types.ServiceConfig) []placement.Dependency {
	var all []placement.Dependency
	for _, name := range slices.Sorted(maps.Keys(service.DependsOn)) {
		if _, runs := p.Services[name]; !runs {
			continue
		}
		d := service.DependsOn[name]
		all = append(all, placement.Dependency{
			Service:   name,
			Condition: placement.Condition(cmp.Or(d.Condition, types.ServiceConditionStarted)),
			Required:  d.Required,
			Restart:   d.Restart,
		})
	}
	return all
}

// sharesWith names the services whose namespaces or volumes the service uses, and those that it is linked to on the
// engine's own bridge. A container that is named (container:x) and depended on is its service's: it has to be there first.
func sharesWith(p *types.Project, service *types.ServiceConfig) []string {
	var all []string
	named := (&placement.Service{Spec: service}).SharesWithContainers()
	for name := range service.DependsOn {
		if c := p.Services[name].ContainerName; c != "" && slices.Contains(named, c) {
			all = append(all, name)
		}
	}
	if service.NetworkMode == "bridge" || service.NetworkMode == "default" {
		for _, link := range service.Links {
			name, _, _ := strings.Cut(link, ":")
			all = append(all, name)
		}
	}
	for _, value := range []string{service.NetworkMode, service.Ipc, service.Pid, service.Uts, service.Cgroup} {
		if name := serviceRef(value); name != "" {
			all = append(all, name)
		}
	}
	for _, from := range service.VolumesFrom {
		if !strings.HasPrefix(from, types.ContainerPrefix) {
			name, _, _ := strings.Cut(from, ":")
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func hasHealthcheck(service *types.ServiceConfig) bool {
	h := service.HealthCheck
	return h != nil && !h.Disable && len(h.Test) > 0 && h.Test[0] != "NONE"
}
