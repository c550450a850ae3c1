package placement

import (
	"fmt"
	"slices"
	"strings"
)

// Needs works out what the services of a project need that only some hosts have: external volumes and networks, the
// data of named local volumes, and what their constraints say about images and volumes.
type Needs struct {
	hosts    []Host
	index    map[string]int
	volumes  map[string]*VolumeSpec  // by key
	networks map[string]*NetworkSpec // by key
	pins     map[string]Need         // by engine volume name
	pinned   map[string]string       // engine volume name → host, where that is certain
	sticky   map[string]bool         // engine names of volumes whose data ties tasks to a host
	external map[string]Need         // by "volume <name>" and "network <name>"
	beside   map[string]beside       // by service: its constraints about images and volumes
}

// NewNeeds reads the observation. Volumes tie tasks to hosts only on a cluster.
func NewNeeds(p *Project, o *Observation) *Needs {
	n := &Needs{
		hosts: o.Hosts, index: make(map[string]int, len(o.Hosts)), volumes: map[string]*VolumeSpec{}, networks: map[string]*NetworkSpec{},
		pins: map[string]Need{}, pinned: map[string]string{}, sticky: map[string]bool{}, external: map[string]Need{},
		beside: map[string]beside{},
	}
	for i := range o.Hosts {
		n.index[o.Hosts[i].Name] = i
	}
	for _, v := range p.Volumes {
		n.volumes[v.Key] = v
	}
	for _, w := range p.Networks {
		n.networks[w.Key] = w
	}
	n.findSticky(p, o)
	if o.Cluster {
		n.shared(p, o)
		n.besides(p, o)
	}
	for _, v := range p.Volumes {
		if v.External {
			n.external["volume "+v.Name] = n.existing(
				fmt.Sprintf("external volume %q does not exist here", v.Name),
				func(yield func(string)) {
					for i := range o.Volumes {
						if o.Volumes[i].Name == v.Name {
							yield(o.Volumes[i].Host)
						}
					}
				})
		} else if n.sticky[v.Name] {
			n.pin(v, o)
		}
	}
	for _, w := range p.Networks {
		if w.External && !enginesOwn(w.Name) && !isOverlay(o, w.Name) {
			n.external["network "+w.Name] = n.existing(
				fmt.Sprintf("external network %q does not exist here", w.Name),
				func(yield func(string)) {
					for i := range o.Networks {
						if o.Networks[i].Name == w.Name {
							yield(o.Networks[i].Host)
						}
					}
				})
		}
	}
	return n
}

// shared works out where the containers of others are that a service shares with.
func (n *Needs) shared(p *Project, o *Observation) {
	for _, s := range p.Services {
		for _, name := range s.SharesWithContainers() {
			if slices.ContainsFunc(p.Services, func(other *Service) bool {
				return other.ContainerName == name && slices.Contains(s.SharesWith, other.Name)
			}) {
				continue // it is where the plan puts that service
			}
			n.external["container "+name] = n.existing(
				fmt.Sprintf("container %q, which it shares with, is not here", name),
				func(yield func(string)) {
					for i := range o.Outside {
						if o.Outside[i].Name == name {
							yield(o.Outside[i].Host)
						}
					}
					for i := range o.Containers {
						if o.Containers[i].Name == name {
							yield(o.Containers[i].Host)
						}
					}
				})
		}
	}
}

// enginesOwn reports the networks that every engine has.
func enginesOwn(name string) bool { return name == "bridge" || name == "host" || name == "none" }

func isOverlay(o *Observation, name string) bool {
	for i := range o.Overlays {
		if o.Overlays[i].Name == name {
			return true
		}
	}
	return false
}

func (n *Needs) existing(text string, each func(yield func(host string))) Need {
	need := Need{Hosts: make([]bool, len(n.hosts)), Text: text}
	each(func(host string) {
		if i, ok := n.index[host]; ok {
			need.Hosts[i] = true
		}
	})
	return need
}

// Local reports whether a volume's data lies on the host's own disk: the local driver without a network file system
// behind it.
func (v *VolumeSpec) Local() bool {
	if v.Driver != "" && v.Driver != "local" {
		return false
	}
	if v.Spec == nil {
		return true
	}
	switch kind := strings.ToLower(v.Spec.DriverOpts["type"]); kind {
	case "nfs", "nfs4", "cifs", "smb3", "glusterfs", "ceph", "9p":
		return false
	}
	return true
}

// localScope reports whether an engine says of a volume that only its own host has it, whatever the driver.
func localScope(o *Observation, name string) bool {
	return slices.ContainsFunc(o.Volumes, func(v EngineVolume) bool {
		return v.Name == name && v.Scope == "local" && v.Driver != "" && v.Driver != "local"
	})
}

// findSticky collects the volumes that tie tasks to a host. A global service has a volume of its own on each host, so
// what it mounts ties nobody.
func (n *Needs) findSticky(p *Project, o *Observation) {
	if !o.Cluster {
		return
	}
	for _, v := range p.Volumes {
		if !v.External && (v.Local() || localScope(o, v.Name)) && (v.Seed == nil || !v.Seed.Fixed) {
			n.sticky[v.Name] = true
		}
	}
	for _, s := range p.Services {
		if s.Mode == Global {
			for _, v := range n.named(s) {
				delete(n.sticky, v.Name)
			}
		}
	}
}

// named lists the volumes of the project that a service mounts, each once, in mount order.
func (n *Needs) named(s *Service) []*VolumeSpec {
	var all []*VolumeSpec
	for _, m := range s.Mounts {
		if v := n.volumes[m.Source]; m.Type == "volume" && v != nil && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// pin finds the host that holds a volume's data: what the store says, else where the volume is, else where a
// container uses it. A volume that is on several hosts without any of that is refused everywhere: starting beside the
// wrong copy would lose writes.
func (n *Needs) pin(v *VolumeSpec, o *Observation) {
	if host := o.Pins[v.Name]; host != "" {
		n.Pin(v.Name, host)
		return
	}
	var on, used, running []string
	for i := range o.Volumes {
		if o.Volumes[i].Name == v.Name && !slices.Contains(on, o.Volumes[i].Host) {
			on = append(on, o.Volumes[i].Host)
		}
	}
	for i := range o.Containers {
		c := &o.Containers[i]
		for _, m := range c.Mounts {
			if m.Type != "volume" || m.Source != v.Name {
				continue
			}
			if !slices.Contains(used, c.Host) {
				used = append(used, c.Host)
			}
			if c.Running() && !slices.Contains(running, c.Host) {
				running = append(running, c.Host)
			}
		}
	}
	for _, hosts := range [][]string{running, used, on} {
		if len(hosts) == 1 {
			n.Pin(v.Name, hosts[0])
			return
		}
	}
	if len(on) > 1 {
		slices.Sort(on)
		n.pins[v.Name] = Need{Hosts: make([]bool, len(n.hosts)), Text: fmt.Sprintf(
			"volume %s is on %s and nothing tells which holds its data; remove the stale ones with docker volume rm",
			v.Name, strings.Join(on, " and "))}
	}
}

// Pin says where a volume's data is or is going to be.
func (n *Needs) Pin(volume, host string) {
	need := Need{Hosts: make([]bool, len(n.hosts)), Text: fmt.Sprintf("volume %s has its data on %s", volume, host)}
	if i, ok := n.index[host]; ok {
		need.Hosts[i] = true
	} else {
		need.Text += ", which is not in the inventory; add that host, or give the data up with berth down -v"
	}
	n.pins[volume] = need
	n.pinned[volume] = host
}

// Pinned is the host of a volume's data, "" when there is none yet or it is not certain.
func (n *Needs) Pinned(volume string) string { return n.pinned[volume] }

// Free lists the volumes of a service that are going to tie it to the host where it lands, and do not yet.
func (n *Needs) Free(s *Service) []*VolumeSpec {
	var all []*VolumeSpec
	for _, v := range n.tied(s) {
		if _, known := n.pins[v.Name]; n.sticky[v.Name] && !known {
			all = append(all, v)
		}
	}
	return all
}

// Sticky lists the volumes whose data ties the service to its host.
func (n *Needs) Sticky(s *Service) []*VolumeSpec {
	var all []*VolumeSpec
	for _, v := range n.tied(s) {
		if n.sticky[v.Name] {
			all = append(all, v)
		}
	}
	return all
}

// Of lists what a service needs of its host.
func (n *Needs) Of(s *Service) []Need {
	var all []Need
	for _, v := range n.tied(s) {
		if need, ok := n.external["volume "+v.Name]; ok {
			all = append(all, need)
		}
		if need, ok := n.pins[v.Name]; ok {
			all = append(all, need)
		}
	}
	for _, name := range s.SharesWithContainers() {
		if need, ok := n.external["container "+name]; ok {
			all = append(all, need)
		}
	}
	for _, a := range s.Networks {
		if w := n.networks[a.Network]; w != nil {
			if need, ok := n.external["network "+w.Name]; ok {
				all = append(all, need)
			}
		}
	}
	b := n.beside[s.Name]
	for i := range b.hard {
		all = append(all, Need{Hosts: n.meet(&b.hard[i]), Text: b.hard[i].ExplainBeside("")})
	}
	return all
}

// Only is the need to be on one host.
func (n *Needs) Only(host, text string) Need {
	need := Need{Hosts: make([]bool, len(n.hosts)), Text: text}
	if i, ok := n.index[host]; ok {
		need.Hosts[i] = true
	}
	return need
}
