package scheduler

import (
	"errors"
	"slices"
	"strings"

	"berth/placement"
)

// needFiles refuses to make containers that would lack a secret or config.
func (u *upper) needFiles(tasks []*task) error {
	var problems []error
	seen := map[*placement.Service]bool{}
	for _, t := range tasks {
		if s := t.set.service; t.fresh() && !seen[s] {
			seen[s] = true
			for _, sentence := range s.Absent {
				problems = append(problems, errors.New(sentence))
			}
		}
	}
	return errors.Join(problems...)
}

// needNetworks makes the networks that tasks are attached to on their hosts, and makes those anew that have changed.
func (u *upper) needNetworks(m *made, tasks []*task) error {
	for i := range u.o.Hosts {
		host := u.o.Hosts[i].Name
		for _, n := range u.sortedNetworks() {
			if !u.wantedOn(tasks, host, n) || n.External && !u.isOverlay(n) {
				continue
			}
			k := key{host, n.Name}
			s := Step{Kind: CreateNetwork, Host: host, Name: n.Name, Network: n}
			there := u.w.networks[k]
			switch {
			case u.outgrown(there):
				var err error
				if m.networks[k], err = u.outgrow(m, s, tasks); err != nil {
					return err
				}
			case there == nil || u.isOverlay(n) && !u.hasBlock(n.Name, host):
				m.networks[k] = u.g.add(s, m.record)
			case u.divergedNetwork(host, n):
				m.networks[k] = u.renewNetwork(s, tasks)
			default:
				u.checkNetwork(host, n, there)
			}
		}
	}
	return nil
}

// renewNetwork makes a network anew: its containers are stopped, those that stay leave it and join it again. create is
// the step that makes it.
func (u *upper) renewNetwork(create Step, tasks []*task) int {
	n := create.Network
	var before []int
	var staying []*task
	for _, t := range tasks {
		if t.old == nil || t.old.Host != create.Host {
			continue
		}
		if _, on := t.old.Networks[n.Name]; !on {
			continue
		}
		u.stopOld(t, "network "+n.Name+" changed")
		before = append(before, t.stopped)
		if !t.fresh() {
			leave := t.onOld(Leave)
			leave.Network = n
			before = append(before, u.g.add(leave, t.stopped))
			staying = append(staying, t)
		}
	}
	for _, d := range u.drops() {
		if _, on := d.c.Networks[n.Name]; on && d.c.Host == create.Host {
			before = append(before, d.removed)
		}
	}
	create.Why = "configuration changed"
	remove := create
	remove.Kind = RemoveNetwork
	made := u.g.add(create, u.g.add(remove, before...))
	for _, t := range staying {
		join := t.onOld(Join)
		join.Network = n
		t.joins = append(t.joins, u.g.add(join, made))
	}
	return made
}

func (u *upper) hasBlock(network, host string) bool {
	v := u.w.overlays[network]
	if v == nil {
		return false
	}
	_, ok := v.Blocks[host]
	return ok
}

// wantedOn reports whether a host needs a network: a task on it, or on one host any service in scope.
func (u *upper) wantedOn(tasks []*task, host string, n *placement.NetworkSpec) bool {
	for _, t := range tasks {
		if t.host() == host && u.attaches(t, n) {
			return true
		}
	}
	if u.o.Cluster {
		return false
	}
	return u.opts.AllResources || slices.ContainsFunc(u.sets, func(st *set) bool { return st.inScope && attachment(st.service, n.Key) != nil })
}

// checkNetwork warns where an engine's network is used although it is not what the file says.
func (u *upper) checkNetwork(host string, n *placement.NetworkSpec, there *placement.EngineNetwork) {
	where := ""
	if u.o.Cluster {
		where = " on host " + host
	}
	switch {
	case n.External:
	case there.Project == "":
		u.warn("a network with name %s exists%s but was not created by compose. Set `external: true` to use an existing network", n.Name, where)
	case there.Project != u.p.Name:
		u.warn("a network with name %s exists%s but was not created for project %q. Set `external: true` to use an existing network", n.Name, where, u.p.Name)
	case u.o.Cluster && u.isOverlay(n) || u.opts.NoRecreate:
	default:
		want := n.ConfigHash
		if names := u.strangers(host, n); there.ConfigHash != "" && want != "" && there.ConfigHash != want && len(names) > 0 {
			u.warn("network %s%s differs from the file and is left as it is, because %s uses it and is not part of this command", n.Name, where, shorten(names))
		}
	}
}

func (u *upper) sortedNetworks() []*placement.NetworkSpec {
	all := slices.Clone(u.p.Networks)
	slices.SortFunc(all, func(a, b *placement.NetworkSpec) int { return strings.Compare(a.Key, b.Key) })
	return all
}
