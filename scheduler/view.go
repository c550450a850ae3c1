package scheduler

import (
	"cmp"
	"slices"
	"strings"

	"berth/placement"
)

// key names something on one host, or of one network.
type key struct{ a, b string }

// view is an observation with its lookups. Nothing in it depends on the order that the observer found things in.
type view struct {
	o          *placement.Observation
	project    string
	hosts      map[string]int    // inventory index
	platforms  map[string]string // host → os/arch
	containers []placement.Container
	networks   map[key]*placement.EngineNetwork // host, network name
	volumes    map[key]*placement.EngineVolume  // host, volume name
	overlays   map[string]*placement.Network    // by name
	endpoints  map[key]placement.Endpoint       // network name, container name
	recorded   []placement.Task                 // sorted
}

func newView(project string, o *placement.Observation) *view {
	w := &view{
		o: o, project: project, hosts: make(map[string]int, len(o.Hosts)), platforms: make(map[string]string, len(o.Hosts)), containers: slices.Clone(o.Containers),
		networks: map[key]*placement.EngineNetwork{}, volumes: map[key]*placement.EngineVolume{},
		overlays: map[string]*placement.Network{}, endpoints: map[key]placement.Endpoint{},
	}
	for i := range o.Hosts {
		w.hosts[o.Hosts[i].Name] = i
		w.platforms[o.Hosts[i].Name] = o.Hosts[i].OS + "/" + placement.Arch(o.Hosts[i].Arch)
	}
	slices.SortFunc(w.containers, func(a, b placement.Container) int {
		return cmp.Or(cmp.Compare(w.order(a.Host), w.order(b.Host)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	for i := range o.Networks {
		w.networks[key{o.Networks[i].Host, o.Networks[i].Name}] = &o.Networks[i]
	}
	for i := range o.Volumes {
		w.volumes[key{o.Volumes[i].Host, o.Volumes[i].Name}] = &o.Volumes[i]
	}
	for i := range o.Overlays {
		w.overlays[o.Overlays[i].Name] = &o.Overlays[i]
	}
	for _, e := range o.Endpoints {
		w.endpoints[key{e.Network, e.Container}] = e
	}
	for t := range o.Recorded {
		w.recorded = append(w.recorded, t)
	}
	slices.SortFunc(w.recorded, compareTasks)
	return w
}

func compareTasks(a, b placement.Task) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Number, b.Number))
}

// order is a host's place in the inventory; hosts that are not in it come last.
func (w *view) order(host string) int {
	if i, ok := w.hosts[host]; ok {
		return i
	}
	return len(w.o.Hosts)
}

// ready reports whether a host is in the inventory and answers.
func (w *view) ready(host string) bool {
	i, ok := w.hosts[host]
	return ok && w.o.Hosts[i].State == placement.Ready
}

// unreachable reports whether a host is in the inventory and does not answer.
func (w *view) unreachable(host string) bool {
	i, ok := w.hosts[host]
	return ok && w.o.Hosts[i].State != placement.Ready
}

// memory is what the store remembers of tasks: the host by service and number, from a task's record or else its
// endpoints.
func (w *view) memory() map[string]map[int]string {
	m := map[string]map[int]string{}
	put := func(t placement.Task, host string) {
		if m[t.Service] == nil {
			m[t.Service] = map[int]string{}
		}
		m[t.Service][t.Number] = host
	}
	for _, e := range w.o.Endpoints {
		if e.Project == w.project && e.Number > 0 {
			t := placement.Task{Service: e.Service, Number: e.Number}
			// A task's endpoints agree; should they not, any fixed choice will do.
			if h, ok := m[t.Service][t.Number]; !ok || e.Host < h {
				put(t, e.Host)
			}
		}
	}
	for t, r := range w.o.Recorded {
		put(t, r.Host)
	}
	return m
}

// temporaryName is the name of the successor until the container it replaces is gone.
func temporaryName(old *placement.Container, name string) string {
	return old.ID[:min(12, len(old.ID))] + "_" + name
}

// temporary reports whether a container still carries the temporary name of a recreate that was cut short. The
// replace label alone does not tell: it stays on the container when it has its final name.
func temporary(c *placement.Container) bool {
	prefix, _, ok := strings.Cut(c.Name, "_")
	return c.Replaces != "" && ok && len(prefix) == 12 && strings.Trim(prefix, "0123456789abcdef") == ""
}

// gone reports states in which an engine can only get rid of a container.
func gone(c *placement.Container) bool { return c.State == "removing" || c.State == "dead" }

// up reports whether starting would do nothing: running, paused, or between two runs of its restart policy.
func up(c *placement.Container) bool { return c.Running() || c.State == "restarting" }
