package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"berth/placement"
)

// A port in mode ingress is answered by every host, so it restricts no task's place; but it is one service's in the whole
// cluster, and no host can publish the same number for itself. Hosts reach the tasks over the first network of the
// service that leads outside, on which every host has a block for that.

// ingressNetwork is the network over which all hosts reach a service's tasks; nil when it has none.
func (u *upper) ingressNetwork(s *placement.Service) *placement.NetworkSpec {
	for _, a := range s.Networks {
		n := u.networks[a.Network]
		if n == nil || !u.isOverlay(n) || n.Internal {
			continue
		}
		if known := u.w.overlays[n.Name]; known == nil || !known.Internal {
			return n
		}
	}
	return nil
}

// ingress refuses ports that cannot be the cluster's, because somebody else has them.
func (u *upper) ingress() error {
	if !u.o.Cluster {
		return nil
	}
	for _, s := range u.p.Services {
		for _, p := range s.Ingress {
			if err := u.ingressTwice(s, p); err != nil {
				return err
			}
			if st := u.byName[s.Name]; st == nil || !st.inScope {
				continue
			}
			if u.ingressNetwork(s) == nil {
				return fmt.Errorf("service %s publishes port %s in mode ingress and is on no network over which the hosts could reach it; "+
					"give it one that is not internal, of driver bridge or overlay", s.Name, p)
			}
			if err := u.ingressTaken(s, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// ingressTwice finds another service of the file that publishes the port.
func (u *upper) ingressTwice(s *placement.Service, p placement.Port) error {
	for _, other := range u.p.Services {
		if slices.ContainsFunc(other.Ports, p.Conflicts) {
			return fmt.Errorf("port %s is published twice: by %s in mode ingress, on every host, and by %s on its task's host; "+
				"give one of them another", p, s.Name, other.Name)
		}
		if other != s && slices.ContainsFunc(other.Ingress, p.Conflicts) {
			return fmt.Errorf("port %s is published in mode ingress by both %s and %s; give one of them another", p, min(s.Name, other.Name), max(s.Name, other.Name))
		}
	}
	return nil
}

// ingressTaken finds somebody else in the cluster who has the port.
func (u *upper) ingressTaken(s *placement.Service, p placement.Port) error {
	for _, r := range u.o.Ingress {
		if !p.Conflicts(r.Port()) || r.Project == u.p.Name && (r.Service == s.Name || u.gives(r)) {
			continue
		}
		if r.Project == u.p.Name {
			return fmt.Errorf("port %s of %s is that of service %s, which is in mode ingress too and not part of this; run berth down %s, or give one of them another",
				p, s.Name, r.Service, r.Service)
		}
		return fmt.Errorf("port %s of %s is that of service %s of project %s, which is in mode ingress too; give one of them another",
			p, s.Name, r.Service, r.Project)
	}
	for i := range u.o.Hosts {
		if h := &u.o.Hosts[i]; slices.ContainsFunc(h.Ports, p.Conflicts) {
			return fmt.Errorf("port %s of %s is in mode ingress, on every host, and on host %s a container of another project publishes it; give one of them another",
				p, s.Name, h.Name)
		}
	}
	for i := range u.w.containers {
		if c := &u.w.containers[i]; up(c) && slices.ContainsFunc(c.Ports, p.Conflicts) && u.publishesOn(c) {
			return fmt.Errorf("port %s of %s is in mode ingress, on every host, and on host %s container %s publishes it; stop that first, or give one of them another",
				p, s.Name, c.Host, c.Name)
		}
	}
	return nil
}

// publishesOn reports whether a container goes on publishing what it does: it is no task in scope, and not on its way out.
// (Of the tasks in scope the file says what they publish.)
func (u *upper) publishesOn(c *placement.Container) bool {
	if st := u.byName[c.Task.Service]; st != nil && st.inScope && !c.OneOff {
		return false
	}
	return !slices.ContainsFunc(u.orphaned, func(d *drop) bool { return d.c == c })
}

// gives reports whether a service of the project gives up a port that the store says it has.
func (u *upper) gives(r placement.PortRecord) bool {
	if st := u.byName[r.Service]; st != nil {
		return st.inScope && !slices.ContainsFunc(st.service.Ingress, r.Port().Conflicts)
	}
	if slices.Contains(u.p.Disabled, r.Service) {
		return false
	}
	return !slices.ContainsFunc(u.w.containers, func(c placement.Container) bool {
		return c.Task.Service == r.Service && !c.OneOff && !slices.ContainsFunc(u.orphaned, func(d *drop) bool { return d.c.ID == c.ID })
	})
}

// holdIngress takes the ports of other projects in mode ingress on every host: none of them can publish those.
func (u *upper) holdIngress(b *placement.Board) {
	for _, r := range u.o.Ingress {
		if r.Project == u.p.Name {
			continue // the file says more: see ingressTwice
		}
		for i := range u.o.Hosts {
			b.HoldPorts(i, "service "+r.Service+" of project "+r.Project+" (mode ingress, on every host)", []placement.Port{r.Port()})
		}
	}
}

// answers reports whether a host, which has no task on a network, needs a block of it all the same to answer ports.
func (u *upper) answers(h *placement.Host, network string) bool {
	return h.State == placement.Ready && u.leadsOver(network)
}

// leadsOver reports whether ports in scope lead over a network.
func (u *upper) leadsOver(network string) bool {
	return slices.ContainsFunc(u.sets, func(st *set) bool {
		if !st.inScope || len(st.service.Ingress) == 0 {
			return false
		}
		n := u.ingressNetwork(st.service)
		return n != nil && n.Name == network
	})
}

// onlyAnswers reports whether a network on which this plan has no task is there, and hosts need blocks of it all the same.
func (u *upper) onlyAnswers(n *placement.NetworkSpec) bool {
	return u.w.overlays[n.Name] != nil && u.leadsOver(n.Name)
}

// wantedPorts are the records of the ports in scope, sorted.
func (u *upper) wantedPorts() []placement.PortRecord {
	if !u.o.Cluster {
		return nil
	}
	var all []placement.PortRecord
	for _, st := range u.sets {
		if !st.inScope || st.oneOff {
			continue
		}
		for _, p := range st.service.Ingress {
			all = append(all, placement.PortRecord{
				Published: p.Published, Target: p.Target, Protocol: p.Protocol, Project: u.p.Name, Service: st.service.Name,
				Network: u.ingressNetwork(st.service).Name,
			})
		}
	}
	slices.SortFunc(all, comparePorts)
	return all
}

// portsOf are the records of the ports that lead to a task.
func (u *upper) portsOf(t *task) []placement.PortRecord {
	if t.set.oneOff || len(t.set.service.Ingress) == 0 {
		return nil
	}
	return slices.DeleteFunc(u.wantedPorts(), func(r placement.PortRecord) bool { return r.Service != t.Service })
}

func comparePorts(a, b placement.PortRecord) int {
	return cmp.Or(cmp.Compare(a.Published, b.Published), strings.Compare(a.Protocol, b.Protocol))
}

// recordPorts works out what the store has to learn about ports, and forget.
func (u *upper) recordPorts() {
	wanted := u.wantedPorts()
	for _, r := range wanted {
		// Written again, it makes the agents try again what they could not do.
		if _, trouble := u.o.Unanswered[r.Port().String()]; trouble || !slices.Contains(u.o.Ingress, r) {
			u.change.Ports = append(u.change.Ports, r)
		}
	}
	for _, r := range u.o.Ingress {
		if r.Project == u.p.Name && u.gives(r) && !slices.ContainsFunc(wanted, func(w placement.PortRecord) bool { return comparePorts(w, r) == 0 }) {
			u.forget.DropPorts = append(u.forget.DropPorts, r)
		}
	}
	slices.SortFunc(u.forget.DropPorts, comparePorts)
}

// publishes waits for the hosts to answer what is new about ports: a port, or a host that answers it. What holds such a
// port on a host until now goes first.
func (u *upper) publishes(m *made) {
	freed := u.frees()
	for _, r := range u.wantedPorts() {
		hosts := u.toAnswer(r)
		if len(hosts) == 0 {
			continue
		}
		s := Step{Kind: Publish, Name: r.Port().String(), Why: r.Service + ", on every host", Hosts: hosts}
		after := []int{m.record}
		for _, h := range hosts {
			for _, f := range freed[h] {
				if f.port.Conflicts(r.Port()) {
					after = append(after, f.step)
				}
			}
		}
		u.g.add(s, after...)
	}
}

// toAnswer lists the hosts that a port is to be waited for.
func (u *upper) toAnswer(r placement.PortRecord) []string {
	blocks := slices.ContainsFunc(u.change.Networks, func(n placement.Network) bool { return n.Name == r.Network })
	if !slices.Contains(u.change.Ports, r) && !blocks {
		return nil
	}
	var hosts []string
	for i := range u.o.Hosts {
		if h := &u.o.Hosts[i]; h.State == placement.Ready {
			hosts = append(hosts, h.Name)
		}
	}
	return hosts
}

// withdraw puts a step before each stop of a container that ports in mode ingress lead to, so that no call is on its way
// to one that ends. A container that does not run is restarted without.
func withdraw(g *graph, w *view) {
	if !w.o.Cluster {
		return
	}
	leads := map[string]bool{} // by container ID
	for i := range w.containers {
		if c := &w.containers[i]; len(c.Ingress) > 0 && !c.OneOff && up(c) {
			leads[c.ID] = true
		}
	}
	for i := range g.steps {
		s := g.steps[i]
		if s.Kind != Stop && s.Kind != Restart || !leads[s.ContainerID] {
			continue
		}
		w := Step{Kind: Withdraw, Host: s.Host, Task: s.Task, Name: s.Name, ContainerID: s.ContainerID, Why: s.Why}
		g.steps[i].After = []int{g.add(w, s.After...)}
	}
}
