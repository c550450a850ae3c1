package scheduler

import (
	"fmt"
	"slices"

	"berth/placement"
)

// bundle is tasks that must be on one host: replica i of services that share namespaces or volumes_from. Most
// bundles are one task.
type bundle struct {
	tasks  []*task // providers before those who share with them
	admits int     // hosts that the lasting filters admit
	size   int64   // reservation in millionths of the largest host
	stuck  bool    // has no other host: what runs of it holds its place
}

// bundles joins the tasks of services in scope into bundles, in the order of services and numbers.
func (u *upper) bundles() []*bundle {
	parent := map[*task]*task{}
	var find func(t *task) *task
	find = func(t *task) *task {
		p, ok := parent[t]
		if !ok || p == t {
			return t
		}
		root := find(p)
		parent[t] = root
		return root
	}
	for _, st := range u.sets {
		if !st.inScope {
			continue
		}
		for _, t := range st.tasks {
			for _, provider := range u.providers(t) {
				if provider.set.inScope && !provider.away && !t.away {
					parent[find(t)] = find(provider)
				}
			}
		}
	}
	byRoot := map[*task]*bundle{}
	var all []*bundle
	for _, st := range u.order {
		if !st.inScope {
			continue
		}
		for _, t := range st.tasks {
			if t.away {
				continue
			}
			root := find(t)
			b := byRoot[root]
			if b == nil {
				b = &bundle{}
				byRoot[root] = b
				all = append(all, b)
			}
			b.tasks = append(b.tasks, t)
		}
	}
	return all
}

// providers are the tasks whose namespaces or volumes a task uses: replica i of each service where there is one, else
// its first.
func (u *upper) providers(t *task) []*task {
	var all []*task
	for _, name := range t.set.service.SharesWith {
		st := u.byName[name]
		if st == nil || len(st.tasks) == 0 {
			continue
		}
		p := st.tasks[0]
		if t.only != "" && st.service.Mode == placement.Global {
			if i := slices.IndexFunc(st.tasks, func(x *task) bool { return x.only == t.only }); i >= 0 {
				p = st.tasks[i]
			}
		} else if t.rank < len(st.tasks) {
			p = st.tasks[t.rank]
		}
		all = append(all, p)
	}
	return all
}

// ask makes the bundle's request anew: pins may have come since the last time.
func (u *upper) ask(b *bundle) *placement.Request {
	var r *placement.Request
	for _, t := range b.tasks {
		needs := u.needs.Of(t.set.service)
		if t.only != "" {
			needs = append(needs, u.needs.Only(t.only, "this task of the global service belongs to "+t.only))
		}
		for _, p := range u.providers(t) {
			if p.away || !p.set.inScope && p.host != "" {
				needs = append(needs, u.needs.Only(p.host, fmt.Sprintf("shares with %s on %s", p.Task, p.host)))
			}
		}
		needs = append(needs, u.stays(t)...)
		for _, taken := range u.staticTaken(t) {
			needs = append(needs, u.needs.Only("", taken))
		}
		if r == nil {
			r = u.board.NewRequest(t.set.service, t.Task, needs...)
		} else {
			u.board.Add(r, t.set.service, t.Task, needs...)
		}
	}
	return r
}

// staticTaken says which static addresses of a service another of its tasks has: an address serves one task.
func (u *upper) staticTaken(t *task) []string {
	if t.rank == 0 {
		return nil
	}
	var all []string
	for _, a := range t.set.service.Networks {
		if a.IPv4 != "" {
			all = append(all, fmt.Sprintf("address %s on network %s is taken by %s", a.IPv4, a.Network, t.set.tasks[0].Task))
		}
	}
	return all
}
