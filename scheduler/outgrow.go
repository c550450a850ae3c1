package scheduler

import (
	"fmt"
	"net/netip"
	"slices"

	"berth/placement"
)

// A project that one host has run and that a cluster is to run now has left plain networks on that host. They stand
// where its overlays shall be, and give way to them with all that is on them.

// outgrown reports whether an engine's network is such a one; nil is none.
func (u *upper) outgrown(there *placement.EngineNetwork) bool {
	if there == nil || there.Labels[placement.NetworkLabel] != "" {
		return false
	}
	n := u.networkNamed(there.Name)
	return n != nil && !n.External && u.isOverlay(n)
}

func (u *upper) networkNamed(name string) *placement.NetworkSpec {
	for _, n := range u.p.Networks {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// outgrownBy reports whether a network of the file has one to replace on any host.
func (u *upper) outgrownBy(n *placement.NetworkSpec) bool {
	return slices.ContainsFunc(u.o.Networks, func(e placement.EngineNetwork) bool { return e.Name == n.Name && u.outgrown(&e) })
}

// leaves reports whether a host's route is that of a network which gives way.
func (u *upper) leaves(host string, route netip.Prefix) bool {
	return slices.ContainsFunc(u.o.Networks, func(e placement.EngineNetwork) bool {
		return e.Host == host && slices.Contains(e.Subnets, route) && u.outgrown(&e)
	})
}

// outgrow replaces a plain network: what is on it is stopped, it goes, and only then the store is told of the overlay,
// which agents make at once. create is the step that waits for that; its ID is the result.
func (u *upper) outgrow(m *made, create Step, tasks []*task) (int, error) {
	name, host := create.Name, create.Host
	if there := u.w.networks[key{host, name}]; there.Project != u.p.Name {
		return none, fmt.Errorf("network %s: host %s has one of that name that is not this project's; remove it there, or give this one another name", name, host)
	}
	var before []int
	settled := map[*placement.Container]bool{}
	for _, t := range tasks {
		if t.old != nil && t.old.Host == host && t.fresh() {
			settled[t.old] = true
			if _, on := t.old.Networks[name]; on {
				image := none // of its successor: nothing is stopped for one that does not come
				if id, ok := m.images[key{host, u.p.ImageName(t.set.service)}]; ok {
					image = id
				}
				u.stopOld(t, "network "+name+" becomes an overlay", image)
				before = append(before, t.stopped)
			}
		}
	}
	for _, d := range u.drops() {
		settled[d.c] = true
		if _, on := d.c.Networks[name]; on && d.c.Host == host {
			before = append(before, d.removed)
		}
	}
	for i := range u.w.containers {
		c := &u.w.containers[i]
		if _, on := c.Networks[name]; on && c.Host == host && up(c) && !settled[c] {
			return none, fmt.Errorf("network %s on host %s is one host's own and has to become an overlay, but %s is on it and no part of this command; run \"berth up\" for the whole project, or stop that container",
				name, host, c.Name)
		}
	}
	remove := create
	remove.Kind, remove.Why, remove.Plain = RemoveNetwork, "becomes an overlay", true
	gone := u.g.add(remove, before...)
	if m.record != none {
		u.g.need(m.record, gone)
	}
	return u.g.add(create, m.record, gone), nil
}
