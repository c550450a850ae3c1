package scheduler

import (
	"cmp"
	"slices"
	"strings"

	"berth/placement"
)

// supply is one image for the hosts of one platform, and what is known of it. All of them are to have the same.
type supply struct {
	ref     string
	arch    string               // os/arch of its hosts
	users   []*placement.Service // services that are made from it, by name
	builder *placement.Service   // the one of them that builds it; nil for none
	wanted  string               // ID of the image that all are to have; "" while no host has any
	source  string               // host that has it, or that gets it by step made
	digests []string             // "repository@sha256:…", what registries call it
	settled bool                 // this command has built or pulled it already
	pending bool                 // what the plan's steps bring is not known before they ran
	made    int                  // step that puts it on source
	pushed  int                  // step that puts it into the inventory's registry
	hosts   []string             // of tasks in scope, in their order
	lacking []string             // of tasks that get a container and whose host does not have it
	busy    bool                 // its build is being planned: a service cannot be built from itself
}

// supplyOf finds what is known of an image for the platform of a host.
func (u *upper) supplyOf(ref, host string) *supply {
	k := key{ref, u.w.platforms[host]}
	if u.supplies[k] == nil {
		u.supplies[k] = u.newSupply(ref, k.b)
	}
	return u.supplies[k]
}

// wanted is the ID of the image that a service's containers on a host are to run; "" when no host has any.
func (u *upper) wanted(s *placement.Service, host string) string {
	return u.supplyOf(u.p.ImageName(s), host).wanted
}

func (u *upper) newSupply(ref, arch string) *supply {
	sp := &supply{ref: ref, arch: arch, made: none, pushed: none}
	user := map[string]bool{}
	for _, s := range slices.Concat(u.p.Services, u.p.Bases) {
		if u.p.ImageName(s) != ref {
			continue
		}
		sp.users = append(sp.users, s)
		user[s.Name] = true
		if s.Build != nil && sp.builder == nil {
			sp.builder = s
		}
	}
	made, settled := u.o.Made[ref]
	sp.settled = settled
	runs := map[string]bool{}
	for i := range u.w.containers {
		if c := &u.w.containers[i]; user[c.Task.Service] && !c.OneOff {
			runs[c.Host] = true
		}
	}
	var hosts []string
	for i := range u.o.Hosts {
		h := &u.o.Hosts[i]
		if u.o.Images[h.Name][ref] != "" && h.State == placement.Ready && u.w.platforms[h.Name] == arch {
			hosts = append(hosts, h.Name)
		}
	}
	// What this command made comes first. An image that is built may be on any host, also one that runs nothing of the
	// project; of one that is pulled, what other projects did on other hosts does not count.
	slices.SortStableFunc(hosts, func(a, b string) int {
		prefer := func(h string) int {
			switch {
			case slices.Contains(made, u.o.Images[h][ref]):
				return 2
			case sp.builder == nil && runs[h]:
				return 1
			}
			return 0
		}
		return cmp.Or(-cmp.Compare(prefer(a), prefer(b)),
			-u.o.ImageFacts[a][ref].Tagged.Compare(u.o.ImageFacts[b][ref].Tagged))
	})
	if len(hosts) == 0 {
		return sp
	}
	sp.source = hosts[0]
	sp.wanted = u.o.Images[sp.source][ref]
	for _, h := range hosts {
		if u.o.Images[h][ref] == sp.wanted {
			sp.digests = append(sp.digests, u.o.ImageFacts[h][ref].Digests...)
		}
	}
	slices.Sort(sp.digests)
	sp.digests = slices.Compact(sp.digests)
	return sp
}

// has reports whether a host has the image that all are to have.
func (u *upper) has(sp *supply, host string) bool {
	return sp.wanted != "" && u.o.Images[host][sp.ref] == sp.wanted
}

// digest is what the registry of a reference calls the image; "" when it is not known to have it.
func (sp *supply) digest(ref string) string {
	for _, d := range sp.digests {
		if strings.HasPrefix(d, repository(ref)+"@") {
			return d
		}
	}
	return ""
}

// always reports whether a policy asks the registry in any case.
func always(s *placement.Service) bool { return s.PullPolicy == "always" }

// refreshes reports whether a policy pulls an image anew when it has some age.
func refreshes(s *placement.Service) bool {
	switch s.PullPolicy {
	case "", "always", "never", "missing", "if_not_present", "build":
		return false
	}
	return true
}

// stale says why an image that hosts have is pulled anew; "" when it is not.
func (u *upper) stale(sp *supply) string {
	if sp.settled {
		return ""
	}
	for _, s := range sp.users {
		switch st := u.byName[s.Name]; {
		case st == nil || !st.inScope || s.Image == "":
		case always(s):
			return "pull_policy is always"
		case refreshes(s):
			for _, h := range sp.hosts {
				if facts := u.o.ImageFacts[h][sp.ref]; u.has(sp, h) && !facts.Tagged.Add(s.PullEvery).After(u.o.Time) {
					return "pull_policy is " + s.PullPolicy
				}
			}
		}
	}
	return ""
}

// repository is a reference without tag and digest, as engines write it in their digests.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")
}

// inRegistry is what an image is called in the inventory's registry; "" when it cannot have a name there. An image of
// another registry keeps its name below that registry's.
func inRegistry(registry, ref string) string {
	if registry == "" || strings.Contains(ref, "@") {
		return ""
	}
	domain, path, ok := strings.Cut(ref, "/")
	switch {
	case ok && domain == registry:
		return ref
	case ok && (strings.ContainsAny(domain, ".:") || domain == "localhost"):
		ref = strings.ReplaceAll(domain, ":", "_") + "/" + path
	}
	if strings.LastIndexByte(ref, ':') <= strings.LastIndexByte(ref, '/') {
		ref += ":latest"
	}
	return registry + "/" + ref
}
