package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"berth/placement"
)

// bringImages puts the images of tasks on their hosts: pulled, built on one host, or sent from one that has them.
func (u *upper) bringImages(m *made, tasks []*task) error {
	var order []*supply
	for _, t := range tasks {
		sp := u.supplyOf(u.p.ImageName(t.set.service), t.host())
		if !slices.Contains(order, sp) {
			order = append(order, sp)
		}
		if !slices.Contains(sp.hosts, t.host()) {
			sp.hosts = append(sp.hosts, t.host())
		}
		if t.fresh() && !u.has(sp, t.host()) && !slices.Contains(sp.lacking, t.host()) {
			sp.lacking = append(sp.lacking, t.host())
		}
	}
	var problems []error
	for _, sp := range order {
		err := u.bring(m, sp)
		if errors.Is(err, errBuildCycle) { // the others of the circle would only say it again
			return err
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

var errBuildCycle = errors.New("its image is built from itself; take one of its additional_contexts away")

// bring plans one image for all hosts that lack it.
func (u *upper) bring(m *made, sp *supply) error {
	rebuild := sp.builder != nil && sp.builder.PullPolicy == "build" && !sp.settled
	switch stale := u.stale(sp); {
	case sp.made != none: // another service is built from it
	case rebuild || sp.builder != nil && sp.wanted == "" && len(sp.lacking) > 0:
		if err := u.buildImage(m, sp, buildHosts(sp)); err != nil {
			return err
		}
	case stale != "" && sp.wanted != "":
		for _, h := range sp.hosts {
			u.pull(m, sp, h, Step{Why: stale, Anew: true, Optional: sp.builder != nil})
		}
		sp.pending = true
		return nil
	case sp.wanted == "":
		for _, h := range sp.lacking {
			if err := u.pullMissing(m, sp, h); err != nil {
				return err
			}
		}
		return nil
	}
	for _, h := range sp.lacking {
		u.spread(m, sp, h)
	}
	if sp.pending { // and to those whose containers are replaced for it
		for _, h := range sp.hosts {
			if sp.wanted != "" {
				u.spread(m, sp, h)
			}
		}
	}
	return nil
}

// pullMissing pulls what no host has.
func (u *upper) pullMissing(m *made, sp *supply, host string) error {
	where := "here"
	if u.o.Cluster {
		where = "on any host"
	}
	s := sp.users[0]
	switch {
	case s.Image == "":
		return fmt.Errorf("service %s: image %s is not %s and cannot be pulled; build it with docker build -t %s", s.Name, sp.ref, where, sp.ref)
	case s.PullPolicy == "build":
		return fmt.Errorf("service %s: image %s is not %s and its pull_policy is build, but it has no build: section", s.Name, sp.ref, where)
	case !slices.ContainsFunc(sp.users, func(s *placement.Service) bool { return s.PullPolicy != "never" }):
		return fmt.Errorf("service %s: image %s is not %s and its pull_policy is never; load or build it there", s.Name, sp.ref, where)
	}
	u.pull(m, sp, host, Step{Why: "missing"})
	sp.pending = true
	return nil
}

func (u *upper) pull(m *made, sp *supply, host string, s Step) {
	s.Kind, s.Host, s.Name, s.Service = Pull, host, sp.ref, sp.users[0]
	m.images[key{host, sp.ref}] = u.g.add(s)
}

// buildImage builds an image on one of the hosts, the first that may, after the images that it is made from.
func (u *upper) buildImage(m *made, sp *supply, prefer []string) error {
	s := sp.builder
	if sp.busy {
		return fmt.Errorf("service %s: %w", s.Name, errBuildCycle)
	}
	sp.busy = true
	host, err := u.buildHost(sp, prefer)
	if err != nil {
		return err
	}
	var after []int
	for _, name := range s.Build.Uses {
		used := u.p.Source(name)
		if used == nil {
			return fmt.Errorf("service %s is built from service %s, which the file does not have", s.Name, name)
		}
		base := u.supplyOf(u.p.ImageName(used), host)
		if base.made == none && base.builder != nil && !base.settled && (base.wanted == "" || base.builder.PullPolicy == "build") {
			if err := u.buildImage(m, base, []string{host}); err != nil {
				return err
			}
		}
		switch {
		case base.wanted == "" && base.made == none && u.o.Images[host][base.ref] == "":
			if err := u.pullMissing(m, base, host); err != nil {
				return err
			}
		case !u.has(base, host) || base.made != none:
			u.spread(m, base, host)
		}
		if id, ok := m.images[key{host, base.ref}]; ok {
			after = append(after, id)
		}
	}
	step := Step{Kind: Build, Host: host, Name: sp.ref, Service: s, Why: "missing", Anew: sp.wanted != "",
		Attempt: s.Image != "" && s.PullPolicy != "build" && s.PullPolicy != "never" && !sp.settled}
	if step.Attempt {
		step.Why = "missing, if the registry does not have it"
	}
	if s.PullPolicy == "build" {
		step.Why = "to be built"
	}
	sp.made = u.g.add(step, after...)
	m.images[key{host, sp.ref}] = sp.made
	sp.source, sp.pending, sp.digests, sp.busy = host, true, nil, false
	return nil
}

// buildHosts are the hosts to build on by preference: those that will run it, then the one that has an older one and
// so the cache.
func buildHosts(sp *supply) []string {
	if sp.source != "" {
		return append(slices.Clone(sp.hosts), sp.source)
	}
	return sp.hosts
}

// buildHost chooses where an image is built: the first that answers, is of a platform that the build names, and meets
// its constraints.
func (u *upper) buildHost(sp *supply, prefer []string) (string, error) {
	b := sp.builder.Build
	refuses := func(h *placement.Host) string {
		if h.State != placement.Ready {
			return "unreachable"
		}
		if arch := u.w.platforms[h.Name]; sp.arch != arch {
			return "platform is " + arch + ", " + sp.arch + " wanted"
		}
		if !h.Runs(sp.builder.Platform) || len(b.Platforms) > 0 && !slices.ContainsFunc(b.Platforms, h.Runs) {
			return "platform is " + h.OS + "/" + h.Arch + ", which the build does not name"
		}
		for _, c := range b.On {
			if !c.Match(h) {
				return c.Explain(h)
			}
		}
		return ""
	}
	for _, name := range prefer {
		if h := u.o.Host(name); h != nil && refuses(h) == "" {
			return name, nil
		}
	}
	var reasons []Reason
	for i := range u.o.Hosts {
		why := refuses(&u.o.Hosts[i])
		if why == "" {
			return u.o.Hosts[i].Name, nil
		}
		reasons = append(reasons, Reason{Host: u.o.Hosts[i].Name, Text: why})
	}
	return "", fmt.Errorf("service %s: no host can build its image:%s", sp.builder.Name, Reasons(reasons))
}

// spread brings an image from the host that has it, or is going to, to another.
func (u *upper) spread(m *made, sp *supply, host string) {
	k := key{host, sp.ref}
	if _, done := m.images[k]; done || host == sp.source {
		return
	}
	why := "missing"
	if u.o.Images[host][sp.ref] != "" {
		why = "another than on " + sp.source
	}
	s := sp.users[0]
	never := !slices.ContainsFunc(sp.users, func(s *placement.Service) bool { return s.PullPolicy != "never" })
	step := Step{Host: host, Name: sp.ref, Service: s, Why: why, From: sp.source}
	switch named := inRegistry(u.o.Registry, sp.ref); {
	case strings.Contains(sp.ref, "@"): // engines give such a name to what they pulled by it only
		step.Kind, step.From = Pull, ""
	case sp.builder == nil && !never && sp.digest(sp.ref) != "":
		step.Kind, step.Digest = Pull, sp.digest(sp.ref)
	case named != "" && sp.digest(named) != "":
		step.Kind, step.Ref, step.Digest, step.From = Pull, named, sp.digest(named), ""
	case named != "":
		if sp.pushed == none {
			sp.pushed = u.g.add(Step{Kind: Push, Host: sp.source, Name: sp.ref, Ref: named, Service: s}, sp.made)
		}
		step.Kind, step.Ref, step.From = Pull, named, ""
	default:
		step.Kind = Send
	}
	m.images[k] = u.g.add(step, sp.made, sp.pushed)
}
