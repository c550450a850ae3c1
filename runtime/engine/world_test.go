package engine

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/client"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"berth/fixtures/lab/lab"
	"berth/placement"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// within gives a test's blocking calls a limit.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// project loads a compose file's text the way berth's loader does, as far as conversions read it. The project is
// named "shop", its folder is dir.
func project(t *testing.T, dir, text string) *placement.Project {
	t.Helper()
	compose, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: dir, ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "compose.yml"), Content: []byte(text)}},
		Environment: types.Mapping{"TOKEN": "from-env"},
	}, func(o *loader.Options) { o.SetProjectName("shop", true); o.Profiles = []string{"*"} })
	if err != nil {
		t.Fatal(err)
	}
	compose.ComposeFiles = []string{filepath.Join(dir, "compose.yml")}
	p := &placement.Project{Name: "shop", Dir: dir, Compose: compose}
	for _, name := range sortedKeys(compose.Services) {
		spec := compose.Services[name]
		s := &placement.Service{Name: name, Image: spec.Image, Platform: spec.Platform, ContainerName: spec.ContainerName,
			Replicas: spec.GetScale(), ConfigHash: "hash-of-" + name, Spec: &spec}
		for _, d := range sortedKeys(spec.DependsOn) {
			dep := spec.DependsOn[d]
			s.DependsOn = append(s.DependsOn, placement.Dependency{Service: d, Condition: placement.Condition(dep.Condition), Restart: dep.Restart, Required: dep.Required})
		}
		for _, k := range spec.NetworksByPriority() {
			s.Networks = append(s.Networks, placement.Attachment{Network: k})
		}
		for _, mode := range []string{spec.NetworkMode, spec.Ipc, spec.Pid} {
			if other, ok := strings.CutPrefix(mode, "service:"); ok {
				s.SharesWith = append(s.SharesWith, other)
			}
		}
		for _, link := range spec.Links {
			if other, _, _ := strings.Cut(link, ":"); spec.NetworkMode == "bridge" {
				s.SharesWith = append(s.SharesWith, other)
			}
		}
		if spec.Deploy != nil && spec.Deploy.Resources.Reservations != nil {
			r := spec.Deploy.Resources.Reservations
			s.Reservation = placement.Reservation{CPU: int64(r.NanoCPUs * 1000), Memory: int64(r.MemoryBytes)}
		}
		p.Services = append(p.Services, s)
	}
	for _, key := range sortedKeys(compose.Networks) {
		n := compose.Networks[key]
		p.Networks = append(p.Networks, &placement.NetworkSpec{Key: key, Name: n.Name, External: bool(n.External), Internal: n.Internal, Driver: n.Driver, ConfigHash: "hash-of-network-" + key, Spec: &n})
	}
	for _, key := range sortedKeys(compose.Volumes) {
		v := compose.Volumes[key]
		p.Volumes = append(p.Volumes, &placement.VolumeSpec{Key: key, Name: v.Name, External: bool(v.External), Driver: v.Driver, ConfigHash: "hash-of-volume-" + key, Spec: &v})
	}
	return p
}

// spec is the creation of a service's first task.
func spec(p *placement.Project, service string) CreateSpec {
	s := p.Service(service)
	name := s.ContainerName
	if name == "" {
		name = p.Name + "-" + service + "-1"
	}
	return CreateSpec{Project: p, Service: s, Task: placement.Task{Service: service, Number: 1}, Name: name}
}

// inventory reads the lab's hosts.yml into berth's terms.
func inventory(t *testing.T, l *lab.Lab) map[string]placement.InventoryHost {
	t.Helper()
	b, err := os.ReadFile(l.Inventory())
	if err != nil {
		t.Fatal(err)
	}
	var inv lab.Inventory
	if err := yaml.Unmarshal(b, &inv); err != nil {
		t.Fatal(err)
	}
	hosts := map[string]placement.InventoryHost{}
	for name, h := range inv.Hosts {
		hosts[name] = placement.InventoryHost{Name: name, Address: h.Address, TLS: h.TLS, Identity: h.Identity, KnownHosts: h.KnownHosts, Labels: h.Labels}
	}
	return hosts
}

// bench is one real engine with the lab's busybox on it.
type bench struct {
	*Engine
	t   *testing.T
	lab *lab.Lab
	raw *client.Client
	ctx context.Context
}

func onEngine(t *testing.T, opts ...lab.Option) *bench {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	l := lab.Start(t, append(opts, lab.Images(lab.Busybox))...)
	h := l.Hosts()[0]
	e, err := Connect(inventory(t, l)[h.Name()])
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Engine: e, t: t, lab: l, raw: h.Client(t), ctx: within(t, time.Minute)}
	t.Cleanup(func() {
		e.Close()
		b.raw.Close()
		goleak.VerifyNone(t, leaks)
	})
	return b
}

// up makes networks, volumes and the containers of all services, in order of their names, and starts them.
func (b *bench) up(p *placement.Project) map[string]string {
	b.t.Helper()
	b.prepare(p)
	ids := map[string]string{}
	for _, s := range p.Services {
		ids[s.Name] = b.create(spec(p, s.Name))
		if err := b.Start(b.ctx, ids[s.Name]); err != nil {
			b.t.Fatal(err)
		}
	}
	return ids
}

func (b *bench) prepare(p *placement.Project) {
	b.t.Helper()
	for _, n := range p.Networks {
		if n.External {
			continue
		}
		if _, err := b.CreateNetwork(b.ctx, p, n); err != nil {
			b.t.Fatal(err)
		}
	}
	for _, v := range p.Volumes {
		if err := b.CreateVolume(b.ctx, p, v); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) create(s CreateSpec) string {
	b.t.Helper()
	id, _, err := b.Create(b.ctx, s)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// sh runs a shell command in a container and gives its output.
func (b *bench) sh(id, script string) string {
	b.t.Helper()
	var out strings.Builder
	code, err := b.Exec(b.ctx, id, ExecSpec{Cmd: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out})
	if err != nil {
		b.t.Fatal(err)
	}
	if code != 0 {
		b.t.Fatalf("%s: exit code %d: %s", script, code, out.String())
	}
	return strings.TrimSpace(out.String())
}

// awaitExit waits for a container's end and gives its exit code.
func (b *bench) awaitExit(id string) int {
	b.t.Helper()
	hub := b.Events(b.ctx)
	defer hub.Close()
	s, err := b.Await(b.ctx, hub, id, func(s State) (bool, error) { return s.Status == "exited", nil })
	if err != nil {
		b.t.Fatal(err)
	}
	return s.ExitCode
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// serviceOf is a service that sleeps.
func serviceOf(name string) *placement.Service {
	spec := &types.ServiceConfig{Name: name, ContainerSpec: types.ContainerSpec{Image: lab.Busybox, Command: types.ShellCommand{"sleep", "600"}}}
	return &placement.Service{Name: name, Image: lab.Busybox, Replicas: 1, ConfigHash: "h", Spec: spec, Networks: []placement.Attachment{{Network: "default"}}}
}
