package scheduler

import (
	"cmp"
	"slices"
	"strings"

	"berth/placement"
)

// seedVolumes makes and fills the volumes that stand for folders of the user's machine, where tasks mount them and they
// are not there, or a command that filled them was cut short. The container that does it is made of a task's image.
func (u *upper) seedVolumes(m *made, tasks []*task) {
	for i := range u.o.Hosts {
		host := u.o.Hosts[i].Name
		for _, v := range u.sortedVolumes() {
			there := u.w.volumes[key{host, v.Name}]
			if v.Seed == nil || there != nil && !there.Unseeded {
				continue
			}
			t := u.mounting(tasks, host, v)
			if t == nil {
				continue
			}
			s := Step{Kind: SeedVolume, Host: host, Name: v.Name, Volume: v, Service: t.set.service}
			if there != nil {
				s.Why = "left by an interrupted command"
			}
			before := []int{m.record}
			ref := u.p.ImageName(t.set.service)
			if id, ok := m.images[key{host, ref}]; ok {
				before = append(before, id)
			} else if s.ImageID = u.o.Images[host][ref]; s.ImageID == "" && t.old != nil {
				s.ImageID = t.old.ImageID
			}
			m.volumes[key{host, v.Name}] = u.g.add(s, before...)
		}
	}
}

// mounting is the first task on a host that mounts a volume of the project, one that gets a new container before others:
// its image is there, or is going to be.
func (u *upper) mounting(tasks []*task, host string, v *placement.VolumeSpec) *task {
	var found *task
	for _, t := range tasks {
		if t.host() == host && serviceMounts(t.set.service, v.Key) && (found == nil || !found.fresh() && t.fresh()) {
			found = t
		}
	}
	return found
}

func serviceMounts(s *placement.Service, key string) bool {
	return slices.ContainsFunc(s.Mounts, func(m placement.Mount) bool { return m.Type == "volume" && m.Source == key })
}

func (u *upper) sortedVolumes() []*placement.VolumeSpec {
	all := slices.Clone(u.p.Volumes)
	slices.SortFunc(all, func(a, b *placement.VolumeSpec) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// dropSeeds removes the volumes with fixed content that nothing uses any more: of an earlier state of a folder, of a
// service that is gone or has moved. Failing to is no failure of the command.
func (u *upper) dropSeeds(tasks []*task) {
	removal := map[*placement.Container]int{}
	for _, t := range tasks {
		if t.old != nil && t.fresh() {
			removal[t.old] = t.removed
		}
	}
	for _, d := range u.drops() {
		removal[d.c] = d.removed
	}
	for _, v := range u.w.fixedVolumes() {
		if v.Project != u.p.Name || !u.w.ready(v.Host) || u.stillMounted(tasks, v) {
			continue
		}
		var after []int
		used := false
		for j := range u.w.containers {
			c := &u.w.containers[j]
			if c.Host != v.Host || !slices.ContainsFunc(c.Mounts, func(m placement.Mount) bool { return m.Type == "volume" && m.Source == v.Name }) {
				continue
			}
			gone, goes := removal[c]
			used = used || !goes
			after = append(after, gone)
		}
		if !used {
			dropSeed(&u.g, v, true, after)
		}
	}
}

// fixedVolumes are the volumes with fixed content that hosts have, by host and name.
func (w *view) fixedVolumes() []*placement.EngineVolume {
	var all []*placement.EngineVolume
	for i := range w.o.Volumes {
		if v := &w.o.Volumes[i]; v.Fixed {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b *placement.EngineVolume) int {
		return cmp.Or(cmp.Compare(w.order(a.Host), w.order(b.Host)), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// stillMounted reports whether a task of the plan mounts a volume.
func (u *upper) stillMounted(tasks []*task, v *placement.EngineVolume) bool {
	return slices.ContainsFunc(u.p.Volumes, func(s *placement.VolumeSpec) bool {
		return s.Name == v.Name && u.mounting(tasks, v.Host, s) != nil
	})
}

// dropSeed removes a volume.
func dropSeed(g *graph, v *placement.EngineVolume, optional bool, after []int) {
	s := Step{Kind: RemoveVolume, Host: v.Host, Name: v.Name, Why: "not used any more", Optional: optional}
	if v.Unseeded {
		s.Why = "left by an interrupted command"
	}
	g.add(s, after...)
}
