package scheduler

import (
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// scene is a project and the world it meets, built from named options in one line:
//
//	world(host("a", cpus(2)), host("b"), service("web", replicas(3))).up(t)
type scene struct {
	p    *placement.Project
	o    *placement.Observation
	next int // container IDs
}

type option func(*scene)

// checker is what the scene needs of *testing.T, *testing.B and *rapid.T.
type checker interface {
	Helper()
	Fatalf(format string, args ...any)
}

func world(options ...option) *scene {
	s := &scene{
		p: &placement.Project{Name: "app"},
		o: &placement.Observation{
			Images: map[string]map[string]string{}, Recorded: map[placement.Task]placement.TaskRecord{},
			Pins: map[string]string{}, Pool: []netip.Prefix{netip.MustParsePrefix("10.128.0.0/9")}, MTU: 1450,
		},
	}
	for _, f := range options {
		f(s)
	}
	s.o.Cluster = len(s.o.Hosts) > 1
	if len(s.o.Hosts) == 0 {
		host("local")(s)
	}
	return s
}

type hostOption func(*scene, *placement.Host)

func host(name string, options ...hostOption) option {
	return func(s *scene) {
		h := placement.Host{
			Name: name, State: placement.Ready, OS: "linux", Arch: "amd64", Hostname: name, EngineID: "engine-" + name,
			Labels: map[string]string{}, Capacity: placement.Reservation{CPU: 4000, Memory: 8 << 30},
		}
		s.o.Images[name] = map[string]string{"img": "sha256:img"}
		for _, f := range options {
			f(s, &h)
		}
		s.o.Hosts = append(s.o.Hosts, h)
	}
}

func cpus(n float64) hostOption {
	return func(_ *scene, h *placement.Host) { h.Capacity.CPU = int64(n * 1000) }
}

func memory(bytes int64) hostOption {
	return func(_ *scene, h *placement.Host) { h.Capacity.Memory = bytes }
}

func label(k, v string) hostOption {
	return func(_ *scene, h *placement.Host) { h.Labels[k] = v }
}

func route(p string) hostOption {
	return func(_ *scene, h *placement.Host) { h.Routes = append(h.Routes, netip.MustParsePrefix(p)) }
}

func noImages() hostOption {
	return func(s *scene, h *placement.Host) { s.o.Images[h.Name] = map[string]string{} }
}

func otherPort(n uint16) hostOption {
	return func(_ *scene, h *placement.Host) {
		h.Ports = append(h.Ports, placement.Port{Published: n, Target: n, Protocol: "tcp"})
	}
}

func otherLoad(cpu float64) hostOption {
	return func(_ *scene, h *placement.Host) { h.Reserved.CPU += int64(cpu * 1000) }
}

// lost and back cut a host off and bring it back.
func (s *scene) lost(name string) *scene {
	h := s.o.Host(name)
	h.State, h.Problem = placement.Unreachable, "no route to host"
	return s
}

type serviceOption func(*scene, *placement.Service)

func service(name string, options ...serviceOption) option {
	return func(s *scene) {
		v := &placement.Service{Name: name, Mode: placement.Replicated, Replicas: 1, Image: "img", ConfigHash: "1"}
		for _, f := range options {
			f(s, v)
		}
		s.p.Services = append(s.p.Services, v)
		sort.Slice(s.p.Services, func(i, j int) bool { return s.p.Services[i].Name < s.p.Services[j].Name })
	}
}

func replicas(n int) serviceOption { return func(_ *scene, v *placement.Service) { v.Replicas = n } }

func global() serviceOption {
	return func(_ *scene, v *placement.Service) { v.Mode = placement.Global }
}

func job() serviceOption { return func(_ *scene, v *placement.Service) { v.Job = true } }

func hash(h string) serviceOption { return func(_ *scene, v *placement.Service) { v.ConfigHash = h } }

func containerNamed(n string) serviceOption {
	return func(_ *scene, v *placement.Service) { v.ContainerName = n }
}

func pullPolicy(p string) serviceOption {
	return func(_ *scene, v *placement.Service) { v.PullPolicy = p }
}

func reserve(cpu float64, memory int64) serviceOption {
	return func(_ *scene, v *placement.Service) {
		v.Reservation = placement.Reservation{CPU: int64(cpu * 1000), Memory: memory}
	}
}

func constraint(c string) serviceOption {
	return func(_ *scene, v *placement.Service) {
		all, err := placement.ParseConstraints(c)
		if err != nil {
			panic(err)
		}
		v.Constraints = all
	}
}

func spreadOver(key string) serviceOption {
	return func(_ *scene, v *placement.Service) {
		v.Preferences = append(v.Preferences, placement.Preference{Spread: key})
	}
}

func binpack() serviceOption {
	return func(_ *scene, v *placement.Service) { v.Strategy = placement.Binpack }
}

func maxPerHost(n int) serviceOption {
	return func(_ *scene, v *placement.Service) { v.MaxPerHost = n }
}

func port(n uint16) serviceOption {
	return func(_ *scene, v *placement.Service) {
		v.Ports = append(v.Ports, placement.Port{Published: n, Target: n, Protocol: "tcp"})
	}
}

// ingress publishes a port on every host.
func ingress(n uint16) serviceOption {
	return func(_ *scene, v *placement.Service) {
		v.Ingress = append(v.Ingress, placement.Port{Published: n, Target: 8000, Protocol: "tcp"})
	}
}

func healthcheck() serviceOption {
	return func(_ *scene, v *placement.Service) { v.HasHealthcheck = true }
}

func dependsOn(name string, c placement.Condition, flags ...string) serviceOption {
	return func(_ *scene, v *placement.Service) {
		v.DependsOn = append(v.DependsOn, placement.Dependency{
			Service: name, Condition: c, Required: !slices.Contains(flags, "optional"), Restart: slices.Contains(flags, "restart"),
		})
	}
}

func sharesWith(names ...string) serviceOption {
	return func(_ *scene, v *placement.Service) {
		v.SharesWith = names
		if v.Spec == nil {
			v.Spec = &types.ServiceConfig{}
		}
		v.Spec.VolumesFrom = names
	}
}

// on attaches to networks of the project, "back" or "back=10.0.0.5".
func on(networks ...string) serviceOption {
	return func(s *scene, v *placement.Service) {
		for _, n := range networks {
			k, ip, _ := strings.Cut(n, "=")
			v.Networks = append(v.Networks, placement.Attachment{Network: k, IPv4: ip})
			if !slices.ContainsFunc(s.p.Networks, func(n *placement.NetworkSpec) bool { return n.Key == k }) {
				s.p.Networks = append(s.p.Networks, &placement.NetworkSpec{Key: k, Name: "app_" + k})
			}
		}
	}
}

// mounts mounts volumes of the project at /<key>; "" is an anonymous one.
func mounts(keys ...string) serviceOption {
	return func(s *scene, v *placement.Service) {
		for _, k := range keys {
			v.Mounts = append(v.Mounts, placement.Mount{Type: "volume", Source: k, Target: "/" + k})
			if k != "" && !slices.ContainsFunc(s.p.Volumes, func(n *placement.VolumeSpec) bool { return n.Key == k }) {
				s.p.Volumes = append(s.p.Volumes, &placement.VolumeSpec{Key: k, Name: "app_" + k})
			}
		}
	}
}

// binds mounts paths of the host.
func binds(paths ...string) serviceOption {
	return func(_ *scene, v *placement.Service) {
		for _, p := range paths {
			v.Mounts = append(v.Mounts, placement.Mount{Type: "bind", Source: p, Target: p})
		}
	}
}

// network adds a network before services attach to it.
func network(n placement.NetworkSpec) option {
	return func(s *scene) { s.p.Networks = append(s.p.Networks, &n) }
}

func volume(v placement.VolumeSpec) option {
	return func(s *scene) { s.p.Volumes = append(s.p.Volumes, &v) }
}

func observed(f func(o *placement.Observation)) option { return func(s *scene) { f(s.o) } }

// change edits a service of the scene and returns the scene.
func (s *scene) change(name string, options ...serviceOption) *scene {
	for _, f := range options {
		f(s, s.p.Service(name))
	}
	return s
}

// container is one of the containers there, by name.
func (s *scene) container(name string) *placement.Container {
	for i := range s.o.Containers {
		if s.o.Containers[i].Name == name {
			return &s.o.Containers[i]
		}
	}
	panic("no container " + name)
}
