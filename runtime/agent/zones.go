package agent

import "berth/runtime/names"

// serves reports whether a container is one to send others to. Of its own host's an agent takes the engine's word: it is
// earlier than the store's, and there without a store.
func (a *agent) serves(host, container string) bool {
	if host == a.config.Host && a.containers != nil {
		return a.containers[container].Serving() && !a.view.withdrawn[host][container]
	}
	return a.view.serves(host, container)
}

// setZones hands changed networks to the name server.
func (a *agent) setZones(c changes) {
	here := a.view.here()
	if c.whole || c.links {
		c.zones = map[string]bool{}
		for name := range here {
			c.zones[name] = true
		}
		for name := range a.zones {
			if _, ok := here[name]; !ok {
				a.names.RemoveZone(name)
				delete(a.zones, name)
			}
		}
	}
	for name := range c.zones {
		z := names.Zone{Network: name, Subnet: here[name].Subnet, Subnet6: here[name].Subnet6}
		z.Endpoints = a.view.on(name)
		a.names.SetZone(z)
		a.zones[name] = true
	}
	if c.whole {
		for host, containers := range a.view.states {
			for container := range containers {
				a.names.SetServing(host, container, a.serves(host, container))
			}
		}
	}
	if c.whole || c.left {
		a.names.Forget(func(host, container string) bool {
			_, ok := a.view.states[host][container]
			return ok
		})
	}
}
