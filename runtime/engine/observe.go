package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
	"golang.org/x/sync/errgroup"

	"berth/placement"
)

// Query says what to observe.
type Query struct {
	Project   string             // compose project; "" gives the containers of all of them
	Compose   *placement.Project // its file, if there is one: decides about images, external networks and volumes, adoption
	Inventory placement.InventoryHost
	Cluster   bool // the inventory has several hosts; nothing is adopted then
	Light     bool // containers only, for ps and logs
	// Ahead is what was asked for before the project was known. It is taken instead of asking again, unless it failed or is
	// a second old. nil asks.
	Ahead *Ahead
	// Known is what the host's agent of cluster KnownBy says of the engine; with it the engine is not asked, unless
	// that agent does not run there. nil asks.
	Known   *Facts
	KnownBy string
	// Timeout is how long the engine may take to answer at all; 0 is 5 s. An observation as a whole may take
	// observeFactor times as long.
	Timeout time.Duration
}

// Facts is what an engine says of itself.
type Facts struct {
	ID, Hostname, OS, Arch, Version string // OS and Arch as Go names them
	Capacity                        placement.Reservation
	Labels                          map[string]string
	Resources                       placement.Resources
	Kernel, System, StorageDriver   string
}

const (
	defaultTimeout = 5 * time.Second
	observeFactor  = 6
	// lookups bounds the image and container inspections under way at a time on one engine.
	lookups = 8
)

// Snapshot is one host at one moment.
type Snapshot struct {
	Host       placement.Host
	Containers []placement.Container // the project's, sorted by name
	Networks   []placement.EngineNetwork
	Volumes    []placement.EngineVolume
	Outside    []placement.OutsideContainer // containers of others that the project names
	Images     map[string]string            // reference as the project has it → image ID; absent: not on the host
	ImageFacts map[string]placement.Image
	ImageNames []string        // of all images, sorted; only where a constraint of the project asks
	Agent      *AgentContainer // nil without one
	Marks      []Mark          // what commands hold on this host, see Engine.Mark
}

// Of is a snapshot of all projects, cut down to the containers of one.
func (s Snapshot) Of(project string) Snapshot {
	s.Containers = slices.DeleteFunc(slices.Clone(s.Containers), func(c placement.Container) bool { return c.Labels[labelProject] != project })
	return s
}

// AgentContainer is berth's agent on a host.
type AgentContainer struct {
	ID, State        string
	Cluster, Version string
}

// Observe looks at the engine: one list each of containers, networks and volumes, its own description, and the
// project's images, all at once. An engine that does not answer is no error but an unreachable host; an error is the end
// of ctx.
func (e *Engine) Observe(ctx context.Context, q Query) (Snapshot, error) {
	if q.Timeout == 0 {
		q.Timeout = defaultTimeout
	}
	o := observation{engine: e, query: q}
	err := o.run(ctx)
	if ctx.Err() != nil {
		return Snapshot{}, ctx.Err()
	}
	snap := Snapshot{Host: o.host(), Images: map[string]string{}}
	if err != nil {
		snap.Host.State, snap.Host.Problem = placement.Unreachable, problem(e, err)
		return snap, nil
	}
	o.fill(&snap)
	return snap, nil
}

// observation collects the engine's answers.
type observation struct {
	engine *Engine
	query  Query

	lists
	facts      Facts
	volumes    []*volume.Volume
	images     map[string]string
	imageNames []string
	imageFacts map[string]placement.Image
	same       map[string]bool // container ID → adopted
}

func (o *observation) run(ctx context.Context) error {
	api := o.engine.api
	first, cancel := context.WithTimeout(ctx, o.query.Timeout)
	defer cancel()
	if _, err := o.engine.version(first); err != nil {
		return err
	}
	ctx, cancelAll := context.WithTimeout(ctx, observeFactor*o.query.Timeout)
	defer cancelAll()
	g, each := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		var ok bool
		if o.lists, ok = o.query.Ahead.fresh(each); ok {
			return nil
		}
		return o.lists.ask(each, o.engine, !o.query.Light)
	})
	if o.query.Light {
		return g.Wait()
	}
	if o.query.Known == nil && o.query.choosy() {
		g.Go(func() error { return o.ask(each) })
	}
	if p := o.query.Compose; p == nil || o.query.Cluster || len(p.Volumes) > 0 {
		g.Go(func() error {
			list, err := api.VolumeList(each, volume.ListOptions{})
			o.volumes = list.Volumes
			return err
		})
	}
	g.Go(func() error { return o.lookUpImages(each) })
	if p := o.query.Compose; p != nil && o.query.Cluster && p.NamesImages() {
		g.Go(func() error { return o.listImages(each) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if o.query.Known != nil {
		if !o.vouched() {
			if err := o.ask(ctx); err != nil {
				return err
			}
		} else {
			o.facts = *o.query.Known
		}
	}
	return o.adopt(ctx)
}

// choosy reports whether anything may depend on what the engine says of itself: on one host only what the services
// and their builds demand of it.
func (q *Query) choosy() bool {
	if q.Compose == nil || q.Cluster {
		return q.Cluster || q.Project == ""
	}
	return slices.ContainsFunc(q.Compose.Services, func(s *placement.Service) bool {
		return len(s.Constraints)+len(s.Preferences) > 0 || s.Platform != "" || s.Build != nil && len(s.Build.Platforms)+len(s.Build.On) > 0
	})
}

// ask lets the engine describe itself. It runs programs for that (runc, containerd, init), which takes more than all
// the lists together.
func (o *observation) ask(ctx context.Context) error {
	info, err := o.engine.api.Info(ctx)
	o.facts = Facts{
		ID: info.ID, Hostname: info.Name, OS: info.OSType, Arch: goArch(info.Architecture), Version: info.ServerVersion,
		Capacity: placement.Reservation{CPU: int64(info.NCPU) * 1000, Memory: info.MemTotal}, Labels: map[string]string{},
		Kernel: info.KernelVersion, System: info.OperatingSystem, StorageDriver: info.Driver,
	}
	for _, l := range info.Labels {
		k, v, _ := strings.Cut(l, "=")
		o.facts.Labels[k] = v
	}
	o.facts.Resources = counted(info)
	return err
}

// counted are the GPUs and generic resources that an engine says it has: those that its configuration advertises
// (node-generic-resources), and with NVIDIA's runtime some GPUs, nobody knows how many.
func counted(info system.Info) placement.Resources {
	r := placement.Resources{}
	for _, g := range info.GenericResources {
		if g.DiscreteResourceSpec != nil {
			r[strings.ToLower(g.DiscreteResourceSpec.Kind)] += g.DiscreteResourceSpec.Value
		}
		if g.NamedResourceSpec != nil {
			r[strings.ToLower(g.NamedResourceSpec.Kind)]++
		}
	}
	if n := r["nvidia-gpu"]; n > 0 {
		r[placement.GPU] += n
	}
	if _, ok := info.Runtimes["nvidia"]; ok && r[placement.GPU] == 0 {
		r[placement.GPU] = placement.Uncounted
	}
	if len(r) == 0 {
		return nil
	}
	return r
}

// vouched reports whether the agent that told the known facts runs on this engine: else it is not the engine that the
// facts are about.
func (o *observation) vouched() bool {
	return slices.ContainsFunc(o.containers, func(c container.Summary) bool {
		return c.Labels[labelAgent] != "" && c.Labels[labelCluster] == o.query.KnownBy && c.State == "running"
	})
}

// host is what the inventory and the engine's description say.
func (o *observation) host() placement.Host {
	inv := o.query.Inventory
	if inv.Name == "" {
		inv = o.engine.host
	}
	h := placement.Host{
		Name: o.engine.host.Name, Address: o.engine.address, State: placement.Ready, EngineID: o.facts.ID,
		Hostname: o.facts.Hostname, IP: inv.IP, OS: o.facts.OS, Arch: o.facts.Arch, Version: o.facts.Version,
		Labels: inv.Labels, EngineLabels: o.facts.Labels, Capacity: o.facts.Capacity, Availability: inv.Availability,
		Kernel: o.facts.Kernel, System: o.facts.System, StorageDriver: o.facts.StorageDriver,
	}
	h.Resources, h.Devices = o.facts.Resources, inv.Devices
	if inv.Resources != nil {
		h.Resources = inv.Resources
	}
	if h.IP == "" {
		h.IP = addressIP(o.engine.address)
	}
	if inv.CPUs > 0 {
		h.Capacity.CPU = inv.CPUs
	}
	if inv.Memory > 0 {
		h.Capacity.Memory = inv.Memory
	}
	if !o.query.Light {
		h.Capacity = h.Capacity.Sub(inv.Reserve)
		h.Capacity.CPU, h.Capacity.Memory = max(h.Capacity.CPU, 0), max(h.Capacity.Memory, 0)
	}
	return h
}

// addressIP is the IP address in a tcp or ssh address; "" when it is a name or a socket.
func addressIP(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "unix" {
		return ""
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil || ip.IsLoopback() {
		return ""
	}
	return ip.String()
}

// problem says in one sentence why an engine could not be observed.
func problem(e *Engine, err error) string {
	text := plain(err.Error())
	var unknown *net.DNSError
	switch {
	case errors.As(err, &unknown) && unknown.IsNotFound:
		text = "Cannot connect to the Docker daemon at " + e.address + ": no host is called " + unknown.Name + "; is the address right?"
	case errors.Is(err, context.DeadlineExceeded):
		text = "no answer from " + e.address + " in time; is the host up and its engine running?"
	default:
		if t, hint := explain(err, e.host.Name); t != "" {
			text = t
			if hint != "" {
				text += "; " + hint
			}
		}
	}
	// ssh's own words come after its command line, which helps nobody.
	if _, said, ok := strings.Cut(text, "stderr="); ok && strings.TrimSpace(said) != "" {
		text = "ssh to " + e.address + " failed: " + said
	}
	return strings.Join(strings.Fields(text), " ")
}
