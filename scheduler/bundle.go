package scheduler

import (
	"fmt"
	"slices"

	"berth/placement"
)

// bundle is tasks that are asked a host for with one request.
type bundle struct {
	tasks []*task // providers before those who share with them
	// apart says that they are equal and each may have a host of its own: new or changed tasks of one service. Otherwise
	// they must be on one host: replica i of services that share namespaces or volumes_from; mostly it is one task.
	apart  bool
	rank   int   // what it wants to be beside has a lower one
	admits int   // hosts that the lasting filters admit
	size   int64 // of one request, in millionths of the largest host

	request *placement.Request // as it was when pins were what they are in asked
	asked   int
}

// pieces calls f for each part of a bundle that goes to one host.
func (b *bundle) pieces(f func(tasks []*task)) {
	if !b.apart {
		f(b.tasks)
		return
	}
	for i := range b.tasks {
		f(b.tasks[i : i+1 : i+1])
	}
}

// only is the host that a bundle must be on because it is a global service's task, "" for any.
func (b *bundle) only() string {
	if len(b.tasks) > 1 {
		return "" // the request says it
	}
	return b.tasks[0].only()
}

// bundles joins the tasks of services in scope into bundles, in the order of services and numbers.
func (u *upper) bundles() []*bundle {
	shared := map[string]bool{} // services that share with another, and those
	for _, st := range u.sets {
		if st.inScope && len(st.service.SharesWith) > 0 {
			shared[st.service.Name] = true
			for _, name := range st.service.SharesWith {
				shared[name] = true
			}
		}
	}
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
		if !st.inScope || len(st.service.SharesWith) == 0 {
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
		if !shared[st.service.Name] && equal(st.service) {
			b := &bundle{apart: true, tasks: st.tasks}
			if st.known && slices.ContainsFunc(st.tasks, func(t *task) bool { return t.away }) {
				b.tasks = slices.DeleteFunc(slices.Clone(st.tasks), func(t *task) bool { return t.away })
			}
			if len(b.tasks) > 0 {
				all = append(all, b)
			}
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

// equal reports whether the tasks of a service are alike in what they want of a host.
func equal(s *placement.Service) bool {
	if s.Mode == placement.Global {
		return false
	}
	for _, a := range s.Networks {
		if len(a.Fixed()) > 0 {
			return false
		}
	}
	return s.HostPath() == ""
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
		if t.only() != "" && st.service.Mode == placement.Global {
			if i := slices.IndexFunc(st.tasks, func(x *task) bool { return x.only() == t.only() }); i >= 0 {
				p = st.tasks[i]
			}
		} else if int(t.rank) < len(st.tasks) {
			p = st.tasks[t.rank]
		}
		all = append(all, p)
	}
	return all
}

// ask makes the bundle's request: for all of its tasks together or, where they are apart, for any one of them.
func (u *upper) ask(b *bundle) *placement.Request {
	if b.request != nil && b.asked == u.pins {
		return b.request
	}
	tasks := b.tasks
	if b.apart {
		tasks = tasks[:1]
	}
	var r *placement.Request
	for _, t := range tasks {
		needs := u.needs.Of(t.set.service)
		if t.only() != "" && len(tasks) > 1 {
			needs = append(needs, u.needs.Only(t.only(), "this task of the global service belongs to "+t.only()))
		}
		for _, p := range u.providers(t) {
			if p.away || !p.set.inScope && p.host() != "" {
				needs = append(needs, u.needs.Only(p.host(), fmt.Sprintf("shares with %s on %s", p.Task, p.host())))
			}
		}
		if u.keeps(t) && !u.moving && len(tasks) > 1 && t.old != nil {
			needs = append(needs, u.needs.Only(t.old.Host, fmt.Sprintf("shares with %s, which is left alone on %s", t.Task, t.old.Host)))
		}
		needs = append(needs, u.stays(t)...)
		for _, taken := range u.staticTaken(t) {
			needs = append(needs, u.needs.Only("", taken))
		}
		if r == nil {
			r = u.board.NewRequest(t.set.service, t.Task, needs...)
			r.Wish(u.needs.Soft(t.set.service)...)
		} else {
			u.board.Add(r, t.set.service, t.Task, needs...)
		}
	}
	b.request, b.asked = r, u.pins
	return r
}

// staticTaken says which static addresses of a service another of its tasks has: an address serves one task.
func (u *upper) staticTaken(t *task) []string {
	if t.rank == 0 {
		return nil
	}
	var all []string
	for _, a := range t.set.service.Networks {
		for _, address := range a.Fixed() {
			all = append(all, fmt.Sprintf("address %s on network %s is taken by %s", address, a.Network, t.set.tasks[0].Task))
		}
	}
	return all
}
