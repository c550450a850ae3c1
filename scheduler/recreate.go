package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"berth/placement"
)

// decideRecreate says of each task that stays on its host whether its container is replaced, and which are restarted
// because a dependency is replaced (COMPOSE.md, "When up recreates").
func (u *upper) decideRecreate() error {
	if err := u.decideVolumes(); err != nil {
		return err
	}
	for _, t := range u.placed() { // providers come before those who share with them
		if t.old != nil && !t.moves() {
			u.decideTask(t)
		}
	}
	for _, st := range u.order {
		if !st.inScope {
			continue
		}
		replaced := slices.ContainsFunc(st.service.DependsOn, func(d placement.Dependency) bool {
			dep := u.byName[d.Service]
			return d.Restart && dep != nil && dep.inScope &&
				slices.ContainsFunc(dep.tasks, func(t *task) bool { return t.old != nil && (t.fresh() || t.rejoins != "") })
		})
		for _, t := range st.tasks {
			t.restart = replaced && t.host() != "" && t.old != nil && !t.fresh() && t.rejoins == "" && up(t.old)
		}
	}
	return nil
}

// decideTask decides about one task that stays on its host.
func (u *upper) decideTask(t *task) {
	switch v := u.renewedFor(t.old); {
	case v != "":
		t.recreate, t.renews = "volume "+v+" is made anew", true
	case u.opts.NoRecreate:
	case t.set.lacks != "":
		if why := u.recreateCause(t); why != "" {
			u.plan.Failures = append(u.plan.Failures, fmt.Sprintf("%s stays as it is (%s): nothing of service %s runs, which it depends on",
				t.Task, why, t.set.lacks))
		}
	default:
		t.recreate = u.recreateCause(t)
	}
	if t.recreate == "" {
		t.rejoins = u.rejoined(t)
	}
}

func (u *upper) recreateCause(t *task) string {
	st := t.set
	if why := cmp.Or(u.forced(t), u.diverged(st.service, t.old)); why != "" {
		return why
	}
	if st.selected && u.opts.RenewAnonVolumes {
		return "anonymous volumes are renewed"
	}
	if n := u.lostNetwork(st.service, t.host()); n != "" {
		return "network " + n + " is made anew"
	}
	for _, e := range t.endpoints {
		known, ok := u.w.endpoints[key{e.Network, e.Container}]
		if !ok {
			return "no address on network " + e.Network
		}
		if ip := t.old.Networks[e.Network]; known.IP != e.IP || t.old.Running() && ip != "" && ip != e.IP.String() {
			return "address on network " + e.Network + " changed"
		}
	}
	for _, p := range u.providers(t) {
		if p.fresh() {
			return "shares with " + p.Task.String() + ", which is made anew"
		}
	}
	return ""
}

// forced says that the user wants a task's container replaced in any case.
func (u *upper) forced(t *task) string {
	if t.set.selected && u.opts.ForceRecreate || !t.set.selected && u.opts.AlwaysRecreateDeps {
		return "forced"
	}
	return ""
}

// lostNetwork names a network of the project that a service's containers on a host are on, and that is not there any more.
func (u *upper) lostNetwork(s *placement.Service, host string) string {
	for _, a := range s.Networks {
		if n := u.networks[a.Network]; n != nil && !n.External && u.w.networks[key{host, n.Name}] == nil {
			return n.Name
		}
	}
	return ""
}

// divergedNetwork reports whether the project's network on one host is not what the file says and can be made anew.
// Networks that others made, and those with containers that this plan does not touch, are left as they are. On a
// cluster the record tells (checkRecord), not the engine.
func (u *upper) divergedNetwork(host string, n *placement.NetworkSpec) bool {
	e := u.w.networks[key{host, n.Name}]
	if u.o.Cluster && u.isOverlay(n) || n.External || u.opts.NoRecreate || e == nil || e.Project != u.p.Name {
		return false
	}
	want := n.ConfigHash
	return e.ConfigHash != "" && want != "" && e.ConfigHash != want && len(u.strangers(host, n)) == 0
}

// rejoined names a network that is made anew under a task's container: as for docker compose, the container stays, and
// leaves and joins it.
func (u *upper) rejoined(t *task) string {
	for _, a := range t.set.service.Networks {
		n := u.networks[a.Network]
		if n == nil || !u.divergedNetwork(t.host(), n) {
			continue
		}
		if _, on := t.old.Networks[n.Name]; on {
			return n.Name
		}
	}
	return ""
}

// strangers are running containers of the project on a network that this plan neither replaces nor removes.
func (u *upper) strangers(host string, n *placement.NetworkSpec) []string {
	touched := map[*placement.Container]bool{}
	for _, d := range u.drops() {
		touched[d.c] = true
	}
	for _, t := range u.placed() {
		if t.old != nil && (t.moves() || attachment(t.set.service, n.Key) != nil || u.diverged(t.set.service, t.old) != "") {
			touched[t.old] = true
		}
	}
	var names []string
	for i := range u.w.containers {
		c := &u.w.containers[i]
		if _, on := c.Networks[n.Name]; on && c.Host == host && up(c) && !touched[c] {
			names = append(names, c.Name)
		}
	}
	return names
}

// inherited lists the anonymous volumes that a successor takes over. Engines name those with 64 hex digits; what the
// service mounts at the same place by now wins.
func inherited(s *placement.Service, old *placement.Container) []placement.Mount {
	var all []placement.Mount
	for _, m := range old.Mounts {
		if m.Type != "volume" || len(m.Source) != 64 || strings.Trim(m.Source, "0123456789abcdef") != "" {
			continue
		}
		if slices.ContainsFunc(s.Mounts, func(x placement.Mount) bool { return x.Target == m.Target && x.Source != "" }) {
			continue
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b placement.Mount) int { return cmp.Compare(a.Target, b.Target) })
	return all
}
