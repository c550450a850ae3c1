package scheduler

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"berth/placement"
)

// users names the running containers of the project that stay and are attached to a network on a host.
func (d *downer) users(host, network string) []string {
	var names []string
	for _, c := range d.stays {
		if _, on := c.Networks[network]; on && c.Host == host && up(c) && d.w.ready(host) {
			names = append(names, c.Name)
		}
	}
	return names
}

// external reports whether the file calls a network external.
func (d *downer) external(network string) bool {
	return d.p != nil && slices.ContainsFunc(d.p.Networks, func(n *placement.NetworkSpec) bool { return n.Name == network && n.External })
}

// overlayUsers says who still needs an overlay of the project on hosts that answer.
func (d *downer) overlayUsers(n *placement.Network) string {
	for i := range d.o.Hosts {
		if names := d.users(d.o.Hosts[i].Name, n.Name); len(names) > 0 {
			return shorten(names)
		}
	}
	for _, e := range d.o.Endpoints {
		if e.Network == n.Name && e.Project != d.project {
			return e.Container + " of project " + e.Project
		}
	}
	return ""
}

// record takes the project's ports and overlays out of the store before the agents are asked to take them down. Hosts that do
// not answer keep their part, as their containers still use it.
func (d *downer) record(removed []int) {
	for i := range d.o.Overlays {
		n := d.o.Overlays[i]
		if n.Project != d.project || d.external(n.Name) || d.overlayUsers(&n) != "" {
			continue
		}
		kept := map[string]placement.Block{}
		for h, b := range n.Blocks {
			if d.w.unreachable(h) {
				kept[h] = b
				d.kept[h] = append(d.kept[h], n.Name)
			}
		}
		switch {
		case len(kept) == 0:
			d.change.DropNetworks = append(d.change.DropNetworks, n.Name)
		case len(kept) < len(n.Blocks):
			n.Blocks = kept
			d.change.Networks = append(d.change.Networks, n)
		}
	}
	for _, r := range d.o.Ingress {
		used := func(c *placement.Container) bool { return c.Task.Service == r.Service && !c.OneOff }
		if r.Project == d.project && d.takes(r.Service) && !slices.ContainsFunc(d.stays, used) {
			d.change.DropPorts = append(d.change.DropPorts, r)
		}
	}
	slices.SortFunc(d.change.DropPorts, comparePorts)
	slices.Sort(d.change.DropNetworks)
	slices.SortFunc(d.change.Networks, func(a, b placement.Network) int { return strings.Compare(a.Name, b.Name) })
	if !d.change.Empty() {
		d.plan.Change = d.change
		d.g.add(Step{Kind: Record}, removed...)
	}
}

// networks removes the project's networks from every host that has them.
func (d *downer) networks(removed []int) {
	after := slices.Clone(removed)
	for i := range d.g.steps {
		if d.g.steps[i].Kind == Record {
			after = append(after, i)
		}
	}
	for i := range d.o.Hosts {
		host := d.o.Hosts[i].Name
		if !d.w.ready(host) {
			continue
		}
		found := map[string]*placement.NetworkSpec{}
		for j := range d.o.Networks {
			if n := &d.o.Networks[j]; n.Host == host && n.Project == d.project && !d.external(n.Name) {
				found[n.Name] = d.spec(n.Name, n.Key, n.Driver)
			}
		}
		for j := range d.o.Overlays {
			if n := &d.o.Overlays[j]; n.Project == d.project && !d.external(n.Name) {
				if _, ok := n.Blocks[host]; ok {
					found[n.Name] = d.spec(n.Name, n.Key, "")
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			users := shorten(d.users(host, name))
			if v := d.w.overlays[name]; v != nil && users == "" {
				users = d.overlayUsers(v)
			}
			if users != "" {
				d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf("network %s%s is still in use by %s and stays", name, d.on(host), users))
				continue
			}
			d.g.add(Step{Kind: RemoveNetwork, Host: host, Name: name, Network: found[name], Spare: true}, after...)
		}
	}
}

func (d *downer) on(host string) string {
	if d.o.Cluster {
		return " on host " + host
	}
	return ""
}

// spec is the network's entry in the file, or one that stands for it.
func (d *downer) spec(name, key, driver string) *placement.NetworkSpec {
	if d.p != nil {
		for _, n := range d.p.Networks {
			if n.Name == name {
				return n
			}
		}
	}
	return &placement.NetworkSpec{Key: key, Name: name, Driver: driver, Subnets: []netip.Prefix(nil)}
}

// volumes removes the project's named volumes from every host that has them, and their pins.
func (d *downer) volumes(removed []int) {
	gone := map[string]bool{}
	for i := range d.o.Hosts {
		host := d.o.Hosts[i].Name
		var names []string
		for j := range d.o.Volumes {
			if v := &d.o.Volumes[j]; v.Host == host && d.owns(v) && !v.Fixed && d.w.ready(host) {
				names = append(names, v.Name)
			}
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if users := d.mounts(host, name); len(users) > 0 {
				d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf("volume %s%s is still in use by %s and stays", name, d.on(host), shorten(users)))
				continue
			}
			gone[name] = true
			// On a cluster the pin must not be forgotten of a volume that stays: there its removal has to succeed.
			d.g.add(Step{Kind: RemoveVolume, Host: host, Name: name, Spare: !d.o.Cluster}, removed...)
		}
	}
	for volume, host := range d.o.Pins {
		if d.w.unreachable(host) || d.chosen != nil && !gone[volume] || len(d.mounts(host, volume)) > 0 {
			continue
		}
		d.forget.DropPins = append(d.forget.DropPins, volume)
	}
	slices.Sort(d.forget.DropPins)
}

// seeds removes the volumes that are only copies of the user's folders, as far as nothing mounts them any more.
func (d *downer) seeds(removed []int) {
	for _, v := range d.w.fixedVolumes() {
		if v.Project == d.project && d.w.ready(v.Host) && len(d.mounts(v.Host, v.Name)) == 0 {
			dropSeed(&d.g, v, false, removed)
		}
	}
}

// owns reports whether an engine's volume is the project's own: one of the file's that is not external or, without a
// file, one with the project's label.
func (d *downer) owns(v *placement.EngineVolume) bool {
	if d.p == nil {
		return v.Project == d.project
	}
	return slices.ContainsFunc(d.p.Volumes, func(s *placement.VolumeSpec) bool { return s.Name == v.Name && !s.External })
}

// mounts names the containers that stay and mount a volume.
func (d *downer) mounts(host, volume string) []string {
	var names []string
	for _, c := range d.stays {
		if c.Host == host && mountsVolume(c, volume) {
			names = append(names, c.Name)
		}
	}
	return names
}

// images removes the images of the services that go, on each host that has them.
func (d *downer) images(removed []int) {
	if d.opts.Images == "" {
		return
	}
	wanted := map[key]bool{} // host, reference
	for _, x := range d.drops {
		if d.p == nil && (d.opts.Images == AllImages || d.local(x.c)) {
			wanted[key{x.c.Host, x.c.Image}] = true
		}
	}
	if d.p != nil {
		for _, s := range d.p.Services {
			for i := range d.o.Hosts {
				if host, ref := d.o.Hosts[i].Name, d.p.ImageName(s); d.takes(s.Name) && (d.opts.Images == AllImages || s.Image == "") && d.o.Images[host][ref] != "" {
					wanted[key{host, ref}] = true
				}
			}
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(wanted), func(a, b key) int {
		return cmp.Or(cmp.Compare(d.w.order(a.a), d.w.order(b.a)), cmp.Compare(a.b, b.b))
	}) {
		if d.w.ready(k.a) {
			d.g.add(Step{Kind: RemoveImage, Host: k.a, Name: k.b, Spare: true}, removed...)
		}
	}
}

// local reports whether a container's image has the name that builds get: <project>-<service>.
func (d *downer) local(c *placement.Container) bool {
	name, _, _ := strings.Cut(c.Image, ":")
	return name == d.project+"-"+c.Task.Service || name == d.project+"_"+c.Task.Service
}

// forgetStep drops the records of what is gone, after everything else.
func (d *downer) forgetStep() {
	stays := map[placement.Task]bool{}
	names := map[string]bool{}
	for _, c := range d.stays {
		names[c.Name] = true
		if !c.OneOff {
			stays[c.Task] = true
		}
	}
	for _, t := range d.w.recorded {
		switch host := d.o.Recorded[t].Host; {
		case !d.takes(t.Service):
		case d.w.unreachable(host):
			d.away[host] = append(d.away[host], t)
		case !stays[t]:
			d.forget.DropTasks = append(d.forget.DropTasks, t)
		}
	}
	for _, e := range d.o.Endpoints {
		if e.Project != d.project || !d.takes(e.Service) || names[e.Container] {
			continue
		}
		if d.w.unreachable(e.Host) {
			if t := (placement.Task{Service: e.Service, Number: e.Number}); e.Number > 0 && !slices.Contains(d.away[e.Host], t) {
				d.away[e.Host] = append(d.away[e.Host], t)
			}
			continue
		}
		d.forget.DropEndpoint = append(d.forget.DropEndpoint, e)
	}
	slices.SortFunc(d.forget.DropEndpoint, compareEndpoints)
	if d.forget.Empty() {
		return
	}
	d.plan.Forget = d.forget
	var all []int
	for i := range d.g.steps {
		if d.g.steps[i].Kind != Release { // the store knows nothing of it
			all = append(all, i)
		}
	}
	d.g.add(Step{Kind: Forget}, all...)
}
