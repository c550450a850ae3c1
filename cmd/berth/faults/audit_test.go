package faults_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"

	"berth/fixtures/lab/lab"
	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
)

// audit compares store, engines and kernels until they agree, and then calls.
func (w *walker) audit() {
	w.t.Helper()
	var wrong []string
	if !lab.Happens(func() bool {
		wrong = w.compare()
		return len(wrong) == 0
	}) {
		w.t.Fatalf("store, engines and kernels do not agree within %s:\n%s", lab.Patience, strings.Join(wrong, "\n"))
	}
}

// findings collects what is wrong.
type findings struct {
	mu  sync.Mutex
	all []string
}

func (f *findings) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, fmt.Sprintf(format, args...))
}

// compare reports all that is wrong at this moment.
func (w *walker) compare() []string {
	f := &findings{}
	ctx := context.Background()
	view, err := w.cluster.View(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	f.unique(view)
	var tasks []task
	for _, h := range w.lab.Hosts() {
		tasks = append(tasks, f.engine(ctx, h, view)...)
		if err := f.kernel(h, view); err != nil {
			f.add("%s: %v", h.Name(), err)
		}
	}
	for _, e := range slices.Concat(view.Endpoints, view.Guests) {
		if !slices.ContainsFunc(tasks, func(t task) bool { return t.host.Name() == e.Host && t.name == e.Container }) {
			f.add("leak: %s has %s on %s, and is not there", e.Container, e.IP, e.Network)
		}
	}
	if len(f.all) > 0 {
		return f.all
	}
	f.calls(tasks)
	if len(f.all) == 0 {
		w.t.Logf("quiet: %d networks, %d endpoints, %d guests; %d tasks, of which each called each", len(view.Networks), len(view.Endpoints),
			len(view.Guests), len(tasks))
	}
	return f.all
}

// unique looks for addresses, MACs, VNIs and subnets that the store gives twice, and blocks that overlap.
func (f *findings) unique(view *ledger.View) {
	vnis := map[uint32]string{}
	for i, n := range view.Networks {
		if other, twice := vnis[n.VNI]; twice {
			f.add("VNI %d is given to %s and %s", n.VNI, other, n.Name)
		}
		vnis[n.VNI] = n.Name
		for _, other := range view.Networks[:i] {
			if n.Subnet.Overlaps(other.Subnet) {
				f.add("subnets of %s (%s) and %s (%s) overlap", n.Name, n.Subnet, other.Name, other.Subnet)
			}
		}
	}
	type place struct {
		network string
		address any
	}
	who := map[place]string{}
	for _, e := range slices.Concat(view.Endpoints, view.Guests) {
		for _, a := range []any{e.IP, e.MAC} {
			if other, twice := who[place{e.Network, a}]; twice {
				f.add("%v on %s is given to %s and %s", a, e.Network, other, e.Container)
			}
			who[place{e.Network, a}] = e.Container
		}
	}
	for _, n := range view.Networks {
		for host, b := range n.Blocks {
			if other, twice := who[place{n.Name, b.Gateway}]; twice {
				f.add("%s on %s is %s's gateway and given to %s", b.Gateway, n.Name, host, other)
			}
			who[place{n.Name, b.Gateway}] = "the gateway of " + host
		}
	}
}

// task is a container that runs and is on networks of berth's.
type task struct {
	host     *lab.Host
	name     string
	proc     string
	networks map[string]netip.Addr // by name
	guest    bool                  // run by hand: the engine sends its questions to the host's resolvers and not to the agent
}

// engine compares what a host's engine runs with the store.
func (f *findings) engine(ctx context.Context, h *lab.Host, view *ledger.View) []task {
	c, err := h.Dial()
	if err != nil {
		f.add("%s: %v", h.Name(), err)
		return nil
	}
	defer c.Close()
	list, err := c.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		f.add("%s: %v", h.Name(), err)
		return nil
	}
	known := map[string]placement.Endpoint{}
	for _, e := range slices.Concat(view.Endpoints, view.Guests) {
		if e.Host == h.Name() {
			known[e.Network+" "+e.Container] = e
		}
	}
	networks := map[string]placement.Network{}
	for _, n := range view.Networks {
		networks[n.Name] = n
	}
	var tasks []task
	for _, one := range list {
		name := strings.TrimPrefix(one.Names[0], "/")
		info, err := c.ContainerInspect(ctx, one.ID)
		if err != nil {
			f.add("%s: %v", h.Name(), err)
			continue
		}
		t := task{host: h, name: name, networks: map[string]netip.Addr{},
			guest: info.Config.Labels["com.docker.compose.project"] == ""}
		for network, at := range info.NetworkSettings.Networks {
			if _, ours := networks[network]; !ours {
				if strings.HasPrefix(network, "walk") {
					f.add("%s: %s is on %s, which the store does not know", h.Name(), name, network)
				}
				continue
			}
			e, ok := known[network+" "+name]
			if !ok {
				f.add("%s: %s is on %s with %s, and the store does not know it", h.Name(), name, network, at.IPAddress)
				continue
			}
			if info.State.Running && (at.IPAddress != e.IP.String() || !strings.EqualFold(at.MacAddress, e.MAC)) {
				f.add("%s: %s has %s %s on %s, and in the store %s %s", h.Name(), name, at.IPAddress, at.MacAddress, network, e.IP, e.MAC)
			}
			t.networks[network] = e.IP
		}
		if len(t.networks) > 0 {
			if info.State.Running {
				t.proc = h.Proc(info.State.Pid)
			} else {
				f.add("%s: %s does not run", h.Name(), name)
			}
			tasks = append(tasks, t)
		}
	}
	return tasks
}

// kernel compares a host's links and entries with what the store wants of them.
func (f *findings) kernel(h *lab.Host, view *ledger.View) error {
	var dumps []overlay.Dump
	if err := inside(h.Proc(1), func() error {
		o, err := overlay.Open(overlay.Config{})
		if err != nil {
			return err
		}
		defer o.Close()
		dumps, err = o.Dump(context.Background())
		return err
	}); err != nil {
		return err
	}
	for _, n := range view.Networks {
		_, here := n.Blocks[h.Name()]
		i := slices.IndexFunc(dumps, func(d overlay.Dump) bool { return d.VNI == n.VNI })
		if here != (i >= 0) {
			f.add("%s: %s has a block there: %t, and links: %t", h.Name(), n.Name, here, i >= 0)
			continue
		}
		if !here {
			continue
		}
		f.entries(h.Name(), n, dumps[i], view)
		dumps = slices.Delete(dumps, i, i+1)
	}
	for _, d := range dumps {
		f.add("leak: %s has links of network %d, which the store does not want there", h.Name(), d.VNI)
	}
	return nil
}

// entries compares one network's entries.
func (f *findings) entries(host string, n placement.Network, d overlay.Dump, view *ledger.View) {
	routes, neighbours := map[string]string{}, map[string]string{}
	var peers []string
	for other := range n.Blocks {
		if other != host {
			vtep := view.Hosts[other].VTEP.String()
			peers = append(peers, vtep)
			routes[overlay.BridgeMAC(other, n.VNI).String()] = vtep
		}
	}
	slices.Sort(peers)
	routes[overlay.MAC{}.String()] = strings.Join(peers, " ")
	if len(peers) == 0 {
		delete(routes, overlay.MAC{}.String())
	}
	for _, e := range slices.Concat(view.Endpoints, view.Guests) {
		if e.Network == n.Name && e.Host != host {
			routes[e.MAC] = view.Hosts[e.Host].VTEP.String()
			neighbours[e.IP.String()] = e.MAC
		}
	}
	have := map[string]string{}
	for mac, r := range d.Routes {
		var to []string
		for _, a := range r.VTEPs {
			to = append(to, a.String())
		}
		slices.Sort(to)
		have[mac.String()] = strings.Join(to, " ")
	}
	f.same(host+": FDB of "+n.Name, routes, have)
	have = map[string]string{}
	for ip, mac := range d.Neighbours {
		have[ip.String()] = mac.String()
	}
	f.same(host+": neighbours of "+n.Name, neighbours, have)
	for mac := range routes {
		hw, err := overlay.ParseMAC(mac)
		if err == nil && hw != (overlay.MAC{}) && d.Behind[hw] != unix.NUD_NOARP {
			f.add("%s: bridge of %s does not know that %s is behind the tunnel", host, n.Name, mac)
		}
	}
}

// same compares two tables.
func (f *findings) same(what string, want, have map[string]string) {
	for k, v := range want {
		if have[k] != v {
			f.add("%s: %s is %q, want %q", what, k, have[k], v)
		}
	}
	for k, v := range have {
		if _, ok := want[k]; !ok {
			f.add("stale: %s: %s is %q, and nobody wants it", what, k, v)
		}
	}
}
