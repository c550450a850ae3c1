package scheduler

import (
	"fmt"
	"slices"
	"strings"

	"berth/placement"
)

// explain warns of what stays although it should be elsewhere, and says why.
func (r *rebalancer) explain() {
	for _, b := range r.bundles {
		pieces := r.pieces[b]
		for i := 0; i < len(pieces); {
			x := pieces[i]
			why := r.held(x)
			names := x.names()
			for i++; i < len(pieces) && pieces[i].at == x.at && why != "" && r.held(pieces[i]) == why; i++ {
				names = append(names, pieces[i].names()...)
			}
			if why != "" {
				r.warn("%s cannot leave host %s, which %s: %s", shorten(names), r.o.Hosts[x.at].Name, r.gives(x), why)
			}
		}
		r.explainUneven(b)
	}
	for i := range r.w.containers {
		c := &r.w.containers[i]
		if h := r.o.Host(c.Host); c.OneOff && up(c) && h != nil && h.Availability == placement.Drain {
			r.warn("%s cannot leave host %s, which is drained: it is a one-off, and ends where it has begun", c.Name, c.Host)
		}
	}
}

func (x *piece) names() []string {
	var all []string
	for _, t := range x.tasks {
		all = append(all, t.String())
	}
	return all
}

// gives says why a piece should leave its host.
func (r *rebalancer) gives(x *piece) string {
	if r.o.Hosts[x.at].Availability == placement.Drain {
		return "is drained"
	}
	return "does not admit it (" + r.board.Explain(r.ask(x.bundle), x.at) + ")"
}

// held says why a piece that its host may not keep stays there; "" for one that does not.
func (r *rebalancer) held(x *piece) string {
	if x.at != x.from || r.may(x) {
		return ""
	}
	if s := x.tasks[0].set.service; s.Mode == placement.Global {
		return "it is a global service's, and another host has its own; berth up takes it away"
	}
	if x.stays != "" {
		return x.stays
	}
	var reasons, from []string // each reason, and the first host that gives it
	for h := range r.o.Hosts {
		if text := r.board.Explain(r.ask(x.bundle), h); h != x.at && !slices.Contains(reasons, text) {
			reasons, from = append(reasons, text), append(from, r.o.Hosts[h].Name)
		}
	}
	switch len(reasons) {
	case 0:
		return "there is no other host"
	case 1:
		return reasons[0]
	}
	for i := range reasons {
		reasons[i] = from[i] + ": " + reasons[i]
	}
	return strings.Join(reasons[:min(len(reasons), 3)], "; ")
}

// explainUneven warns of tasks that are not even because of what ties them to their hosts: volumes, paths, each other.
func (r *rebalancer) explainUneven(b *bundle) {
	t := b.tasks[0]
	s := t.set.service
	if len(t.set.tasks) < 2 || s.Strategy == placement.Binpack || s.Strategy == placement.Random || s.Mode == placement.Global || s.Job ||
		t != t.set.tasks[0] { // said with the first bundle
		return
	}
	alone := len(b.tasks) == 1 || b.apart
	tied := r.needs.Of(s)
	if alone && len(tied) == 0 && s.HostPath() == "" && len(s.SharesWith) == 0 {
		return
	}
	have := r.board.Counts(s.Name)
	could := r.board.Even(r.board.NewRequest(s, t.Task), make([]int32, len(have)))
	for h := range could {
		if could[h] <= have[h] {
			continue
		}
		why := r.board.Explain(r.ask(b), h)
		if !alone || len(s.SharesWith) > 0 {
			why = "they share namespaces or volumes and cannot be there twice"
		} else if path := s.HostPath(); path != "" {
			why = fmt.Sprintf("they mount %s of their hosts", path)
		}
		if why != "" {
			var names []string
			for _, s := range b.services() {
				names = append(names, s.Name)
			}
			r.warn("the tasks of %s stay uneven: %s", shorten(names), why)
		}
		return
	}
}
