package placement

import (
	"slices"
	"strings"
)

// SoftNeed is a soft constraint about images or volumes: which hosts meet it, and how much it counts.
type SoftNeed struct {
	Hosts      []bool // by host index
	Weight     int    // 1 to 100
	Constraint Constraint
}

// beside is what the constraints about images and volumes of one service come to.
type beside struct {
	ties []*VolumeSpec // volumes that it follows as if it mounted them
	hard []rule
	soft []rule
}

// rule is a constraint about images or volumes, and the hosts that have such a one.
type rule struct {
	Constraint
	have    []bool        // by host index: observed there
	volumes []*VolumeSpec // of the project that the constraint names: one that is going to be somewhere counts as there
}

// besides works out the constraints about images and volumes. One host without a cluster has no choice, so that they
// say nothing there.
func (n *Needs) besides(p *Project, o *Observation) {
	for _, s := range p.Services {
		b := beside{}
		for _, c := range s.Constraints {
			r := rule{Constraint: c}
			switch c.Kind() {
			case AboutImage:
				r.have = n.imagesLike(c, o, p.ImageName(s))
			case AboutVolume:
				r.have = n.volumesLike(c, p, o)
				for _, v := range p.Volumes {
					if c.MatchValue(v.Key) || c.MatchValue(v.Name) {
						r.volumes = append(r.volumes, v)
					}
				}
			default:
				continue
			}
			switch {
			case c.Soft:
				b.soft = append(b.soft, r)
			case !c.Negated() && s.Mode != Global && len(r.volumes) == 1 && n.sticky[r.volumes[0].Name]:
				b.ties = append(b.ties, r.volumes[0])
			default:
				b.hard = append(b.hard, r)
			}
		}
		if len(b.ties)+len(b.hard)+len(b.soft) > 0 {
			n.beside[s.Name] = b
		}
	}
}

// imagesLike are the hosts with an image that a constraint names: by a tag, with or without it, or an ID. The image that
// the service itself runs comes with it and keeps it off nowhere.
func (n *Needs) imagesLike(c Constraint, o *Observation, own string) []bool {
	have := make([]bool, len(n.hosts))
	for i := range n.hosts {
		have[i] = slices.ContainsFunc(o.ImageNames[n.hosts[i].Name], func(name string) bool {
			return matchesImage(c, name) && !(c.Negated() && sameImage(name, own))
		})
	}
	return have
}

// matchesImage compares a constraint with an image's name, and with the same without its tag or digest.
func matchesImage(c Constraint, name string) bool {
	return c.MatchValue(name) || c.MatchValue(repository(name))
}

// repository is an image's name without tag and digest.
func repository(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i]
	}
	return name
}

// sameImage reports whether two names are of one image; no tag is latest.
func sameImage(a, b string) bool {
	return tagged(a) == tagged(b)
}

// tagged is an image's name with its tag.
func tagged(name string) string {
	if repository(name) == name {
		return name + ":latest"
	}
	return name
}

// volumesLike are the hosts with a volume that a constraint names: by the engine's name, or one of the project by its
// key.
func (n *Needs) volumesLike(c Constraint, p *Project, o *Observation) []bool {
	have := make([]bool, len(n.hosts))
	for i := range o.Volumes {
		v := &o.Volumes[i]
		if h, ok := n.index[v.Host]; ok && (c.MatchValue(v.Name) || v.Project == p.Name && v.Key != "" && c.MatchValue(v.Key)) {
			have[h] = true
		}
	}
	for _, v := range p.Volumes { // external ones go by their key as well
		if !c.MatchValue(v.Key) {
			continue
		}
		for i := range o.Volumes {
			if h, ok := n.index[o.Volumes[i].Host]; ok && o.Volumes[i].Name == v.Name {
				have[h] = true
			}
		}
	}
	return have
}

// meet is the hosts that meet a rule now that some volumes have got a host.
func (n *Needs) meet(r *rule) []bool {
	hosts := slices.Clone(r.have)
	for _, v := range r.volumes {
		if h, ok := n.index[n.pinned[v.Name]]; ok {
			hosts[h] = true
		}
	}
	if r.Negated() {
		for i := range hosts {
			hosts[i] = !hosts[i]
		}
	}
	return hosts
}

// tied lists the volumes that tie a service to their host: those that it mounts, and those that a constraint names.
func (n *Needs) tied(s *Service) []*VolumeSpec {
	all := n.named(s)
	for _, v := range n.beside[s.Name].ties {
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// Soft lists what a service's soft constraints about images and volumes wish of its host. Those about hosts and services
// are not among them.
func (n *Needs) Soft(s *Service) []SoftNeed {
	b := n.beside[s.Name]
	all := make([]SoftNeed, 0, len(b.soft))
	for i := range b.soft {
		all = append(all, SoftNeed{Hosts: n.meet(&b.soft[i]), Weight: max(b.soft[i].Weight, 1), Constraint: b.soft[i].Constraint})
	}
	return all
}

// NamesImages reports whether a constraint of the project is about images, so that the observation has to list them.
func (p *Project) NamesImages() bool {
	return slices.ContainsFunc(p.Services, func(s *Service) bool {
		return slices.ContainsFunc(s.Constraints, func(c Constraint) bool { return c.Kind() == AboutImage })
	})
}

// NamesVolume reports whether a constraint of the project is about a volume of that engine name, so that the observation
// has to have it, whoever made it.
func (p *Project) NamesVolume(name string) bool {
	return slices.ContainsFunc(p.Services, func(s *Service) bool {
		return slices.ContainsFunc(s.Constraints, func(c Constraint) bool { return c.Kind() == AboutVolume && c.MatchValue(name) })
	})
}

// KeepApart lets a service that keeps away from images or volumes keep away from the services that bring them to a host
// as well: without that a task could be placed beside what it excludes before that is there. It is called once, when the
// project is complete.
func (p *Project) KeepApart() {
	for _, s := range p.Services {
		var more []Constraint
		for _, c := range s.Constraints {
			if !c.Negated() || c.Kind() != AboutImage && c.Kind() != AboutVolume {
				continue
			}
			var names []string
			for _, t := range p.Services {
				if t != s && p.brings(t, c, p.ImageName(s)) {
					names = append(names, t.Name)
				}
			}
			if len(names) > 0 {
				more = append(more, c.Among(string(AboutService), names))
			}
		}
		s.Constraints = append(s.Constraints, more...)
	}
}

// brings reports whether a service brings an image or a volume to its host that a constraint names. own is an image that
// does not count.
func (p *Project) brings(s *Service, c Constraint, own string) bool {
	if c.Kind() == AboutImage {
		image := p.ImageName(s)
		return matchesImage(c, tagged(image)) && !sameImage(image, own)
	}
	return slices.ContainsFunc(s.Mounts, func(m Mount) bool {
		return m.Type == "volume" && slices.ContainsFunc(p.Volumes, func(v *VolumeSpec) bool {
			return v.Key == m.Source && (c.MatchValue(v.Key) || c.MatchValue(v.Name))
		})
	})
}
