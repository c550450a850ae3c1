package scheduler

import (
	"fmt"
	"slices"

	"berth/placement"
)

// mountedVolumes calls f for each of the project's own volumes on each host where a task that stays or comes mounts it,
// hosts in inventory order. Those that are filled from a folder are seed.go's.
func (u *upper) mountedVolumes(f func(host string, v *placement.VolumeSpec)) {
	mounted := map[key]bool{} // host, volume key
	for _, t := range u.placed() {
		for _, mount := range t.set.service.Mounts {
			mounted[key{t.host(), mount.Source}] = mounted[key{t.host(), mount.Source}] || mount.Type == "volume"
		}
	}
	for i := range u.o.Hosts {
		host := u.o.Hosts[i].Name
		for _, v := range u.sortedVolumes() {
			if !v.External && v.Seed == nil && mounted[key{host, v.Key}] {
				f(host, v)
			}
		}
	}
}

// decideVolumes finds the volumes that are not as the file says: those that the user wants anew, and those to ask about.
func (u *upper) decideVolumes() error {
	var err error
	u.mountedVolumes(func(host string, v *placement.VolumeSpec) {
		if !u.divergedVolume(host, v) {
			return
		}
		wanted, answered := u.opts.RenewVolumes[v.Name]
		switch {
		case !answered:
			u.differs(host, v.Name)
		case wanted:
			u.renewed[key{host, v.Name}] = true
			if users := u.otherUsers(host, v.Name); len(users) > 0 && err == nil {
				err = fmt.Errorf("volume %s cannot be made anew: %s mounts it and is not part of this command; remove that first, or keep the volume",
					v.Name, shorten(users))
			}
		}
	})
	return err
}

// divergedVolume reports whether the project's volume on a host is not what the file says.
func (u *upper) divergedVolume(host string, v *placement.VolumeSpec) bool {
	there := u.w.volumes[key{host, v.Name}]
	return there != nil && there.Project == u.p.Name && there.ConfigHash != "" && v.ConfigHash != "" && there.ConfigHash != v.ConfigHash
}

// volumeRenewed reports whether a container mounts a volume that the user wants anew, before it is decided which those are.
func (u *upper) volumeRenewed(c *placement.Container) bool {
	return slices.ContainsFunc(u.p.Volumes, func(v *placement.VolumeSpec) bool {
		return !v.External && v.Seed == nil && u.opts.RenewVolumes[v.Name] && mountsVolume(c, v.Name) && u.divergedVolume(c.Host, v)
	})
}

func (u *upper) differs(host, volume string) {
	i := slices.IndexFunc(u.plan.Differing, func(d DifferingVolume) bool { return d.Name == volume })
	if i < 0 {
		i = len(u.plan.Differing)
		u.plan.Differing = append(u.plan.Differing, DifferingVolume{Name: volume})
	}
	u.plan.Differing[i].Hosts = append(u.plan.Differing[i].Hosts, host)
}

// otherUsers names the project's containers that mount a volume and that this plan neither replaces nor removes.
func (u *upper) otherUsers(host, volume string) []string {
	touched := map[*placement.Container]bool{}
	for _, d := range u.drops() {
		touched[d.c] = true
	}
	for _, t := range u.placed() {
		touched[t.old] = true
	}
	var names []string
	for i := range u.w.containers {
		if c := &u.w.containers[i]; c.Host == host && !touched[c] && mountsVolume(c, volume) {
			names = append(names, c.Name)
		}
	}
	return names
}

func mountsVolume(c *placement.Container, volume string) bool {
	return slices.ContainsFunc(c.Mounts, func(m placement.Mount) bool { return m.Type == "volume" && m.Source == volume })
}

// renewedFor names a volume of a container that is made anew; "" for none.
func (u *upper) renewedFor(c *placement.Container) string {
	for _, m := range c.Mounts {
		if m.Type == "volume" && u.renewed[key{c.Host, m.Source}] {
			return m.Source
		}
	}
	return ""
}

// needVolumes makes the named volumes that tasks mount on their hosts. One that is made anew goes first, after the
// containers that mount it.
func (u *upper) needVolumes(m *made) {
	u.mountedVolumes(func(host string, v *placement.VolumeSpec) {
		k := key{host, v.Name}
		create := Step{Kind: CreateVolume, Host: host, Name: v.Name, Volume: v}
		switch {
		case u.renewed[k]:
			var gone []int
			for _, t := range u.placed() {
				if t.old != nil && t.old.Host == host && mountsVolume(t.old, v.Name) {
					u.removeOld(t, t.recreate)
					gone = append(gone, t.removed)
				}
			}
			for _, d := range u.drops() {
				if d.c.Host == host && mountsVolume(d.c, v.Name) {
					gone = append(gone, d.removed)
				}
			}
			remove := Step{Kind: RemoveVolume, Host: host, Name: v.Name, Why: "configuration changed"}
			create.Why = remove.Why
			m.volumes[k] = u.g.add(create, m.record, u.g.add(remove, gone...))
		case u.w.volumes[k] == nil:
			m.volumes[k] = u.g.add(create, m.record)
		}
	})
	if !u.opts.AllResources || u.o.Cluster {
		return
	}
	for i := range u.o.Hosts {
		for _, v := range u.p.Volumes {
			k := key{u.o.Hosts[i].Name, v.Name}
			if _, made := m.volumes[k]; !made && !v.External && u.w.volumes[k] == nil {
				m.volumes[k] = u.g.add(Step{Kind: CreateVolume, Host: u.o.Hosts[i].Name, Name: v.Name, Volume: v}, m.record)
			}
		}
	}
}
