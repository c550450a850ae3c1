package agent

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"berth/placement"
	"berth/runtime/ingress"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

// ports is what the loop knows of ports in mode ingress.
type ports struct {
	stale    bool            // something that they depend on has changed since they were last set
	revision int64           // of the store's last change that is to be reported as done
	applied  bool            // since the agent began
	backends map[string]lead // by Port.Name, as last set
	leaving  lead            // backends that get nothing new and run on
}

// lead is where a port leads: by address, the endpoint there.
type lead map[netip.AddrPort]placement.Endpoint

// setPorts brings the host's ports in line with store and engine, and tells the store.
func (a *agent) setPorts(ctx context.Context) {
	a.ports.stale = false
	if a.view == nil || a.containers == nil || a.engineNets == nil {
		return // without the engine's word, what runs here would be taken for dead
	}
	a.returnWithdrawn()
	state, leads, troubles, waits := a.wantedPorts()
	if !a.ports.applied {
		// What an earlier life left is replaced in one piece, so it has to be known in one piece.
		if waits {
			return
		}
		a.ports.applied = true
	}
	refused, err := a.ingress.Apply(state)
	if err != nil {
		a.log.Error("ports not set", "err", err)
		for _, p := range state.Ports {
			refused[p.String()] = err.Error()
		}
	}
	for port, problem := range refused {
		if troubles[port] == "" {
			troubles[port] = problem
		}
	}
	if err == nil {
		a.forgetFlows(ctx, state, leads)
	}
	switch {
	case len(a.view.ports) == 0:
		if key := ledger.AnswersKey(a.config.Host); a.publish.has(key) {
			a.publish.delete(key)
		}
	case !waits && err == nil:
		a.publish.set(ledger.AnswersKey(a.config.Host), ledger.Answers{Revision: a.ports.revision, Problems: troubles}, true)
	}
}

// wantedPorts works out the ports of this host, and why some cannot be. waits says that a network is on its way.
func (a *agent) wantedPorts() (s ingress.State, leads map[string]lead, troubles map[string]string, waits bool) {
	leads, troubles = map[string]lead{}, map[string]string{}
	subnets := map[netip.Prefix]bool{}
	for _, r := range a.view.ports {
		p := ingress.Port{Published: r.Published, Protocol: r.Protocol}
		record, known := a.view.networks[r.Network]
		n := a.nets[r.Network]
		_, here := record.block(a.config.Host)
		switch {
		case !known: // nothing runs yet, or any more
		case !here:
			troubles[p.String()] = "the host is not on network " + r.Network + " yet; run berth up for project " + r.Project + " again"
		case n == nil || n.id == "" && n.problem == "":
			waits = true
		case n.id == "":
			troubles[p.String()] = n.problem
		default:
			subnets[record.Subnet] = true
			leads[p.Name()] = a.leadsTo(r)
		}
		for at, e := range leads[p.Name()] {
			p.Backends = append(p.Backends, ingress.Backend{Addr: at, Local: e.Host == a.config.Host})
		}
		slices.SortFunc(p.Backends, func(x, y ingress.Backend) int { return x.Addr.Compare(y.Addr) })
		s.Ports = append(s.Ports, p)
	}
	slices.SortFunc(s.Ports, func(p, q ingress.Port) int {
		return cmp.Or(cmp.Compare(p.Published, q.Published), strings.Compare(p.Protocol, q.Protocol))
	})
	s.Subnets = slices.SortedFunc(maps.Keys(subnets), func(x, y netip.Prefix) int { return x.Addr().Compare(y.Addr()) })
	return s, leads, troubles, waits
}

// leadsTo are the tasks that a port leads to now.
func (a *agent) leadsTo(r placement.PortRecord) lead {
	to := lead{}
	for _, e := range a.view.of(r.Network) {
		if e.Project == r.Project && e.Service == r.Service && e.Number > 0 && a.serves(e.Host, e.Container) {
			to[netip.AddrPortFrom(e.IP.Unmap(), r.Target)] = e
		}
	}
	return to
}

// runs reports whether an endpoint's container may still answer what it has begun.
func (a *agent) runs(e placement.Endpoint) bool {
	if now, ok := a.view.of(e.Network)[e.Container]; !ok || now.IP != e.IP || now.Host != e.Host {
		return false
	}
	if e.Host == a.config.Host {
		return a.containers[e.Container].Running
	}
	return a.view.states[e.Host][e.Container].Running
}

// forgetFlows drops the flows that lead to backends that are gone.
func (a *agent) forgetFlows(ctx context.Context, s ingress.State, leads map[string]lead) {
	f := ingress.Flows{Gone: map[netip.AddrPort]bool{}, Left: map[netip.AddrPort]bool{}, Opened: map[uint16]bool{}}
	now := lead{}
	for _, l := range leads {
		maps.Copy(now, l)
	}
	if a.ports.leaving == nil {
		a.ports.leaving = lead{}
		f.Kept = map[netip.AddrPort]bool{} // of an earlier life: what leads elsewhere on these networks
		f.Subnets = s.Subnets
		for _, r := range a.view.ports {
			for _, e := range a.view.of(r.Network) {
				if e.Project == r.Project && e.Service == r.Service && a.runs(e) {
					f.Kept[netip.AddrPortFrom(e.IP.Unmap(), r.Target)] = true
				}
			}
		}
	}
	for _, l := range a.ports.backends {
		for at, e := range l {
			if _, still := now[at]; !still {
				a.ports.leaving[at] = e
				f.Left[at] = true
			}
		}
	}
	for at, e := range a.ports.leaving {
		if _, back := now[at]; back {
			delete(a.ports.leaving, at)
		} else if !a.runs(e) {
			delete(a.ports.leaving, at)
			f.Gone[at] = true
		}
	}
	for _, p := range s.Ports {
		if p.Protocol == "udp" && len(p.Backends) > 0 && len(a.ports.backends[p.Name()]) == 0 {
			f.Opened[p.Published] = true
		}
	}
	a.ports.backends = leads
	if f.Empty() {
		return
	}
	a.jobs.Go(func() {
		if err := a.ingress.DropFlows(f); err != nil && ctx.Err() == nil {
			a.log.Warn("flows not forgotten", "err", err)
		}
	})
}

// returnWithdrawn takes back what a command said of containers that do not run any more: started again, they serve.
func (a *agent) returnWithdrawn() {
	for name := range a.view.withdrawn[a.config.Host] {
		if !a.containers[name].Running {
			a.publish.delete(ledger.WithdrawnKey(a.config.Host, name))
		}
	}
}

// serves reports whether a container is one to send others to.
func (v *view) serves(host, container string) bool {
	return v.states[host][container].Serving() && !v.withdrawn[host][container]
}

func (v *view) applyPort(key string, e store.Event, c *changes) {
	var r placement.PortRecord
	if !e.Deleted && !v.decode(e, &r) {
		return
	}
	if e.Deleted {
		delete(v.ports, key)
	} else {
		v.ports[key] = r
	}
	c.ports = true
}

func (v *view) applyWithdrawn(host, container string, e store.Event, c *changes) {
	if e.Deleted {
		delete(v.withdrawn[host], container)
	} else {
		if v.withdrawn[host] == nil {
			v.withdrawn[host] = map[string]bool{}
		}
		v.withdrawn[host][container] = true
	}
	c.ports = true
	c.serving = append(c.serving, served{host, container, v.serves(host, container)})
}

// verifyPorts looks whether the kernel still has what was written, and tries again what failed.
func (a *agent) verifyPorts() {
	if err := a.ingress.Verify(); err != nil {
		a.log.Warn("ports not compared", "err", err)
	}
	a.ports.stale = true
}
