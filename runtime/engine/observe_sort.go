package engine

import (
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"berth/placement"
)

// fill sorts the engine's answers into the project's and the others'.
func (o *observation) fill(snap *Snapshot) {
	named := o.named()
	for i := range o.containers {
		c := listed(o.engine.host.Name, &o.containers[i])
		o.dropLostNetworks(&c, &o.containers[i])
		project := c.Labels[labelProject]
		if v, ok := c.Labels[labelAgent]; ok && project == "" {
			if snap.Agent == nil || c.State == "running" {
				snap.Agent = &AgentContainer{ID: c.ID, State: c.State, Cluster: c.Labels[labelCluster], Version: v}
			}
		}
		if holder, ok := c.Labels[labelMark]; ok && project == "" {
			snap.Marks = append(snap.Marks, Mark{ID: c.ID, Name: c.Name, Holder: holder})
		}
		if project != "" && (o.query.Project == "" || project == o.query.Project) {
			c.Same = o.same[c.ID]
			snap.Containers = append(snap.Containers, c)
		}
		if project == "" || project != o.query.Project {
			o.occupy(&snap.Host, &c)
			if named[c.Name] {
				snap.Outside = append(snap.Outside, placement.OutsideContainer{Host: c.Host, Name: c.Name, Project: project})
			}
		}
	}
	slices.SortFunc(snap.Containers, func(a, b placement.Container) int { return strings.Compare(a.Name, b.Name) })
	o.fillNetworks(snap)
	o.fillVolumes(snap)
	if o.images != nil {
		snap.Images, snap.ImageFacts, snap.ImageNames = o.images, o.imageFacts, o.imageNames
	}
}

// named are the names of containers that the project has in its file.
func (o *observation) named() map[string]bool {
	all := map[string]bool{}
	if o.query.Compose == nil {
		return all
	}
	for _, s := range o.query.Compose.Services {
		if s.ContainerName != "" {
			all[s.ContainerName] = true
		}
		for _, name := range s.SharesWithContainers() {
			all[name] = true
		}
	}
	return all
}

// dropLostNetworks takes networks off a container that does not run, of which the engine has another by the same name
// or none now: it can not be started on them.
func (o *observation) dropLostNetworks(c *placement.Container, from *container.Summary) {
	if o.query.Light || c.Running() || from.NetworkSettings == nil {
		return
	}
	for name, end := range from.NetworkSettings.Networks {
		if end.NetworkID != "" && !slices.ContainsFunc(o.networks, func(n network.Summary) bool { return n.ID == end.NetworkID }) {
			delete(c.Networks, name)
		}
	}
}

// occupy counts what a container of another project holds of the host.
func (o *observation) occupy(h *placement.Host, c *placement.Container) {
	if !c.Running() && c.State != "restarting" {
		return
	}
	h.Reserved = h.Reserved.Add(c.Reservation)
	for kind, n := range c.Resources {
		if h.Held == nil {
			h.Held = placement.Resources{}
		}
		h.Held[kind] += n
	}
	for _, p := range c.Ports {
		if p.Published != 0 && !slices.Contains(h.Ports, p) {
			h.Ports = append(h.Ports, p)
		}
	}
}

func (o *observation) fillNetworks(snap *Snapshot) {
	named := map[string]bool{}
	if o.query.Compose != nil {
		for _, n := range o.query.Compose.Networks {
			named[n.Name] = true
		}
	}
	for _, n := range o.networks {
		info := networkInfo(n)
		if !berthOwned(n.Labels) {
			snap.Host.Routes = append(snap.Host.Routes, info.Subnets...)
		}
		project := n.Labels[labelProject]
		if !named[n.Name] && (project == "" || o.query.Project != "" && project != o.query.Project) {
			continue
		}
		snap.Networks = append(snap.Networks, placement.EngineNetwork{
			Host: o.engine.host.Name, Name: n.Name, ID: n.ID, Driver: n.Driver, Project: project, Key: n.Labels[labelNetwork],
			ConfigHash: n.Labels[labelConfigHash], Labels: n.Labels, Subnets: info.Subnets,
		})
	}
	slices.SortFunc(snap.Networks, func(a, b placement.EngineNetwork) int { return strings.Compare(a.Name, b.Name) })
}

// berthOwned reports whether the agents made the network: its subnet is then no obstacle that the host brought along.
func berthOwned(labels map[string]string) bool {
	for k := range labels {
		if strings.HasPrefix(k, berthPrefix) {
			return true
		}
	}
	return false
}

func (o *observation) fillVolumes(snap *Snapshot) {
	named := map[string]bool{}
	if o.query.Compose != nil {
		for _, v := range o.query.Compose.Volumes {
			named[v.Name] = true
		}
	}
	for _, v := range o.volumes {
		project := v.Labels[labelProject]
		ruled := o.query.Compose != nil && o.query.Compose.NamesVolume(v.Name)
		if !named[v.Name] && !ruled && (project == "" || o.query.Project != "" && project != o.query.Project) {
			continue
		}
		snap.Volumes = append(snap.Volumes, placement.EngineVolume{
			Host: o.engine.host.Name, Name: v.Name, Driver: v.Driver, Project: project, Key: v.Labels[labelVolume],
			ConfigHash: v.Labels[labelConfigHash], Labels: v.Labels, Scope: v.Scope, Fixed: v.Labels[labelSeed] == seedFixed,
			Unseeded: o.unseeded(v.Name),
		})
	}
	slices.SortFunc(snap.Volumes, func(a, b placement.EngineVolume) int { return strings.Compare(a.Name, b.Name) })
}

// unseeded reports whether a container marks a volume as not filled yet.
func (o *observation) unseeded(volume string) bool {
	return slices.ContainsFunc(o.containers, func(c container.Summary) bool { return c.Labels[labelSeed] == volume })
}
