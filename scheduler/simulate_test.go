package scheduler

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"berth/placement"
)

// plan plans an up that has to succeed.
func (s *scene) plan(t checker, opts ...UpOptions) *Plan {
	t.Helper()
	p, err := Up(s.p, s.o, append(opts, UpOptions{})[0])
	if err != nil {
		t.Fatalf("up: %v", err)
	}
	return p
}

// up plans and carries out.
func (s *scene) up(t checker, opts ...UpOptions) *scene {
	t.Helper()
	s.apply(t, s.plan(t, opts...))
	return s
}

// apply carries out a plan on the observation, as a flawless executor would, and fails where an engine would.
func (s *scene) apply(t checker, p *Plan) {
	t.Helper()
	for i := range p.Steps {
		s.step(t, p, &p.Steps[i])
	}
}

func (s *scene) step(t checker, p *Plan, x *Step) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("step %d (%s): %s\n%s", x.ID, x, fmt.Sprintf(format, args...), p)
	}
	o := s.o
	if x.Host != "" && (o.Host(x.Host) == nil || o.Host(x.Host).State != placement.Ready) {
		fail("the host does not answer")
	}
	at := func() int {
		return slices.IndexFunc(o.Containers, func(c placement.Container) bool {
			return c.Host == x.Host && (c.Name == x.Name && x.ContainerID == "" || x.ContainerID != "" && c.ID == x.ContainerID)
		})
	}
	found := func() *placement.Container {
		i := at()
		if i < 0 {
			fail("no such container")
		}
		return &o.Containers[i]
	}
	switch x.Kind {
	case Provide, Halt, Release: // nothing of an engine
	case Record:
		s.write(p.Change)
	case Forget:
		s.write(p.Forget)
	case CreateNetwork:
		if slices.ContainsFunc(o.Networks, func(n placement.EngineNetwork) bool { return n.Host == x.Host && n.Name == x.Name }) {
			fail("the network is there")
		}
		if o.Cluster {
			i := slices.IndexFunc(o.Overlays, func(n placement.Network) bool { return n.Name == x.Name })
			if i < 0 || !o.Overlays[i].Blocks[x.Host].Range.IsValid() {
				fail("the store has no block of the network for the host")
			}
		}
		made := placement.EngineNetwork{Host: x.Host, Name: x.Name, Project: s.p.Name, Key: x.Network.Key, ConfigHash: x.Network.ConfigHash}
		if o.Cluster {
			made.Labels = map[string]string{placement.NetworkLabel: "1"}
		}
		o.Networks = append(o.Networks, made)
	case RemoveNetwork:
		for i := range o.Containers {
			if _, ok := o.Containers[i].Networks[x.Name]; ok && o.Containers[i].Host == x.Host && o.Containers[i].Running() {
				fail("%s is on it", o.Containers[i].Name)
			}
		}
		for _, n := range o.Overlays {
			if n.Name == x.Name && n.Blocks[x.Host].Range.IsValid() && !x.Plain {
				fail("the store still wants the network there")
			}
		}
		o.Networks = slices.DeleteFunc(o.Networks, func(n placement.EngineNetwork) bool { return n.Host == x.Host && n.Name == x.Name })
	case CreateVolume:
		o.Volumes = append(o.Volumes, placement.EngineVolume{Host: x.Host, Name: x.Name, Project: s.p.Name, Key: x.Volume.Key, ConfigHash: x.Volume.ConfigHash})
	case SeedVolume:
		if _, ok := o.Images[x.Host][s.p.ImageName(x.Service)]; !ok && x.ImageID == "" {
			fail("the image is missing")
		}
		o.Volumes = slices.DeleteFunc(o.Volumes, func(v placement.EngineVolume) bool { return v.Host == x.Host && v.Name == x.Name })
		o.Volumes = append(o.Volumes, placement.EngineVolume{Host: x.Host, Name: x.Name, Project: s.p.Name, Key: x.Volume.Key, Fixed: x.Volume.Seed.Fixed})
	case Leave:
		if c := found(); c.Running() {
			fail("it runs")
		} else {
			delete(c.Networks, x.Network.Name)
		}
	case Join:
		if !s.joinable(x.Host, x.Network.Name) {
			fail("network %s is not there", x.Network.Name)
		}
		found().Networks[x.Network.Name] = ""
	case RemoveVolume:
		for i := range o.Containers {
			for _, m := range o.Containers[i].Mounts {
				if m.Source == x.Name && o.Containers[i].Host == x.Host {
					fail("%s mounts it", o.Containers[i].Name)
				}
			}
		}
		o.Volumes = slices.DeleteFunc(o.Volumes, func(v placement.EngineVolume) bool { return v.Host == x.Host && v.Name == x.Name })
	case Pull:
		o.Images[x.Host][x.Name] = "sha256:" + x.Name
	case Build:
		o.Images[x.Host][x.Name] = "sha256:built-" + x.Name
	case Push:
		if o.Images[x.Host][x.Name] == "" {
			fail("the image is not there")
		}
	case Send:
		if o.Images[x.From][x.Name] == "" {
			fail("the image is not on %s", x.From)
		}
		o.Images[x.Host][x.Name] = o.Images[x.From][x.Name]
	case Create:
		s.create(x, fail)
	case Start:
		c := found()
		s.checkStart(c, fail)
		c.State = "running"
		c.Health = ""
		if x.Service.HasHealthcheck {
			c.Health = "healthy"
		}
		for n := range c.Networks {
			for _, e := range o.Endpoints {
				if e.Container == c.Name && e.Network == n {
					c.Networks[n] = e.IP.String()
				}
			}
		}
	case Withdraw:
		if !found().Running() {
			fail("it does not run")
		}
	case Publish:
		s.publish(x, fail)
	case Stop:
		c := found()
		c.State, c.Health, c.ExitCode = "exited", "", 137
		for n := range c.Networks {
			c.Networks[n] = ""
		}
	case Restart:
		found().State = "running"
	case Kill:
		found().State = "exited"
	case Pause:
		found().State = "paused"
	case Unpause:
		found().State = "running"
	case Remove:
		if c := found(); c.Running() {
			fail("it runs")
		}
		i := at()
		o.Containers = slices.Delete(o.Containers, i, i+1)
	case Rename:
		c := found()
		for i := range o.Containers {
			if o.Containers[i].Host == x.Host && o.Containers[i].Name == x.To {
				fail("the name is taken")
			}
		}
		c.Name = x.To
	case Wait:
		c := found()
		switch {
		case x.Condition == placement.Completed:
			c.State, c.ExitCode = "exited", 0
		case !c.Running(), x.Condition == placement.Healthy && c.Health != "healthy":
			fail("never comes true: %s %s", c.State, c.Health)
		}
	default:
		fail("unknown kind")
	}
}

func (s *scene) create(x *Step, fail func(string, ...any)) {
	o := s.o
	for i := range o.Containers {
		if o.Containers[i].Host == x.Host && o.Containers[i].Name == x.Name {
			fail("the name is taken")
		}
	}
	id, ok := o.Images[x.Host][s.p.ImageName(x.Service)]
	if !ok {
		fail("the image is missing")
	}
	s.next++
	c := placement.Container{
		ID: fmt.Sprintf("%012x%052x", s.next, 0), Name: x.Name, Host: x.Host, Task: x.Task, State: "created", ImageID: id,
		ConfigHash: x.Service.ConfigHash, Replaces: x.Replaces, Networks: map[string]string{}, Ports: x.Service.Ports, Ingress: x.Service.Ingress,
		Reservation: x.Service.Reservation, Created: time.Unix(int64(s.next), 0),
		Labels: map[string]string{placement.BareHashLabel: x.Service.BareHash},
	}
	for _, a := range x.Service.Networks {
		i := slices.IndexFunc(s.p.Networks, func(n *placement.NetworkSpec) bool { return n.Key == a.Network })
		name := s.p.Networks[i].Name
		if !o.Cluster && !s.joinable(x.Host, name) {
			fail("network %s is not there", name)
		}
		c.Networks[name] = ""
	}
	if o.Cluster && (len(x.Endpoints) != len(x.Service.Networks) || len(x.Resolvers) != len(x.Service.Networks)) {
		fail("%d endpoints and %d resolvers on %d networks", len(x.Endpoints), len(x.Resolvers), len(x.Service.Networks))
	}
	for _, m := range x.Service.Mounts {
		if m.Source == "" {
			i := slices.IndexFunc(x.Inherit, func(h placement.Mount) bool { return h.Target == m.Target })
			if i >= 0 {
				m.Source = x.Inherit[i].Source
			} else {
				m.Source = fmt.Sprintf("%064x", s.next)
			}
		} else if m.Type == "volume" {
			i := slices.IndexFunc(s.p.Volumes, func(v *placement.VolumeSpec) bool { return v.Key == m.Source })
			m.Source = s.p.Volumes[i].Name
			if !slices.ContainsFunc(o.Volumes, func(v placement.EngineVolume) bool { return v.Host == x.Host && v.Name == m.Source }) {
				fail("volume %s is not there", m.Source)
			}
		}
		c.Mounts = append(c.Mounts, m)
	}
	for service, name := range x.ShareWith {
		if !slices.ContainsFunc(o.Containers, func(c placement.Container) bool { return c.Host == x.Host && c.Name == name }) {
			fail("container %s of %s is not on the host", name, service)
		}
	}
	o.Containers = append(o.Containers, c)
}

// publish fails where an agent could not answer a port.
func (s *scene) publish(x *Step, fail func(string, ...any)) {
	i := slices.IndexFunc(s.o.Ingress, func(r placement.PortRecord) bool { return r.Port().String() == x.Name })
	if i < 0 {
		fail("the store knows no such port")
	}
	r := s.o.Ingress[i]
	n := slices.IndexFunc(s.o.Overlays, func(n placement.Network) bool { return n.Name == r.Network })
	for _, h := range x.Hosts {
		if n >= 0 && !s.o.Overlays[n].Blocks[h].Range.IsValid() {
			fail("host %s has no block of network %s", h, r.Network)
		}
		for _, c := range s.o.Containers {
			if c.Host == h && c.Running() && slices.ContainsFunc(c.Ports, r.Port().Conflicts) {
				fail("%s publishes it on %s", c.Name, h)
			}
		}
	}
}

// joinable reports whether a host has a network.
func (s *scene) joinable(host, network string) bool {
	return slices.ContainsFunc(s.o.Networks, func(n placement.EngineNetwork) bool { return n.Host == host && n.Name == network })
}

// checkStart fails where a network is missing, or a port or an address is taken.
func (s *scene) checkStart(c *placement.Container, fail func(string, ...any)) {
	for n := range c.Networks {
		if !s.joinable(c.Host, n) {
			fail("network %s is not there", n)
		}
	}
	for i := range s.o.Containers {
		other := &s.o.Containers[i]
		if other.ID == c.ID || !other.Running() {
			continue
		}
		for _, p := range c.Ports {
			for _, q := range other.Ports {
				if other.Host == c.Host && p.Conflicts(q) {
					fail("port %s is taken by %s", p, other.Name)
				}
			}
		}
		for n := range c.Networks {
			for _, e := range s.o.Endpoints {
				if e.Container == c.Name && e.Network == n && other.Networks[n] == e.IP.String() {
					fail("address %s is taken by %s on %s", e.IP, other.Name, other.Host)
				}
			}
		}
	}
}

// write applies a change to the store's part of the observation.
func (s *scene) write(c *Change) {
	o := s.o
	o.Revision++
	for _, n := range c.Networks {
		o.Overlays = append(slices.DeleteFunc(o.Overlays, func(x placement.Network) bool { return x.Name == n.Name }), n)
	}
	for _, n := range c.DropNetworks {
		o.Overlays = slices.DeleteFunc(o.Overlays, func(x placement.Network) bool { return x.Name == n })
	}
	dropEndpoint := func(e placement.Endpoint) {
		o.Endpoints = slices.DeleteFunc(o.Endpoints, func(x placement.Endpoint) bool {
			return x.Network == e.Network && x.Container == e.Container
		})
	}
	for _, e := range c.Endpoints {
		dropEndpoint(e)
		o.Endpoints = append(o.Endpoints, e)
	}
	for _, e := range c.DropEndpoint {
		dropEndpoint(e)
	}
	dropPort := func(r placement.PortRecord) {
		o.Ingress = slices.DeleteFunc(o.Ingress, func(x placement.PortRecord) bool { return comparePorts(x, r) == 0 })
	}
	for _, r := range c.Ports {
		dropPort(r)
		o.Ingress = append(o.Ingress, r)
	}
	for _, r := range c.DropPorts {
		dropPort(r)
	}
	for t, r := range c.Tasks {
		o.Recorded[t] = r
	}
	for _, t := range c.DropTasks {
		delete(o.Recorded, t)
	}
	for v, h := range c.Pins {
		o.Pins[v] = h
	}
	for _, v := range c.DropPins {
		delete(o.Pins, v)
	}
}

// hosts tells where tasks run: "web.1@a web.2@b".
func (s *scene) hosts() string {
	var all []string
	for i := range s.o.Containers {
		c := &s.o.Containers[i]
		state := ""
		if !c.Running() {
			state = "(" + c.State + ")"
		}
		all = append(all, c.Task.String()+"@"+c.Host+state)
	}
	sort.Strings(all)
	return strings.Join(all, " ")
}
