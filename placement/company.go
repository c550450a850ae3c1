package placement

import (
	"slices"
	"strings"
)

// Rules about services say what must or must not be beside a task. Those that exclude work both ways: where web does not
// want to be beside cache, cache is kept off the hosts of web as well.

// besideFilter keeps to the hard rules about services.
type besideFilter struct{}

func (besideFilter) applies(r *Request) bool { return r.beside }

func (f besideFilter) passes(b *Board, r *Request, host int) bool { return f.broken(b, r, host) == "" }

// broken says which rule does not hold, "" when all do.
func (besideFilter) broken(b *Board, r *Request, host int) string {
	here := func(i int) bool { return b.tasks(i, host) > 0 }
	for i := range r.parts {
		p := &r.parts[i]
		for j := range p.service.Constraints {
			c := &p.service.Constraints[j]
			if c.Soft || c.Kind() != AboutService {
				continue
			}
			found := r.with(p, c)
			for k := range b.services {
				if found == "" && c.MatchValue(b.services[k].name) && here(k) {
					found = b.services[k].name
				}
			}
			switch {
			case c.Negated() && found != "":
				return c.ExplainBeside(found)
			case !c.Negated() && found == "" && !b.first(p, c):
				return c.ExplainBeside("")
			}
		}
		for k := range b.services {
			if c := b.services[k].avoids(p.service.Name); c != nil && k != p.index && here(k) {
				return "service " + b.services[k].name + " is here and wants " + strings.TrimSpace(c.String())
			}
		}
	}
	return ""
}

func (f besideFilter) explain(b *Board, r *Request, host int) string { return f.broken(b, r, host) }

// with is the service that a rule of one part finds among the parts of the request, "" for none.
func (r *Request) with(of *part, c *Constraint) string {
	for i := range r.parts {
		if p := &r.parts[i]; (p != of || p.count > 1) && c.MatchValue(p.service.Name) {
			return p.service.Name
		}
	}
	return ""
}

// first reports whether a task that wants to be beside its own service is the first of it, and may be anywhere.
func (b *Board) first(p *part, c *Constraint) bool {
	if !c.MatchValue(p.service.Name) {
		return false
	}
	for i := range b.services {
		if c.MatchValue(b.services[i].name) && len(b.services[i].on) > 0 {
			return false
		}
	}
	return true
}

// avoids is the hard rule of a service that keeps another off its hosts, nil for none.
func (t *tally) avoids(name string) *Constraint {
	if t.service == nil {
		return nil
	}
	for i := range t.service.Constraints {
		if c := &t.service.Constraints[i]; !c.Soft && c.Kind() == AboutService && c.Negated() && c.MatchValue(name) {
			return c
		}
	}
	return nil
}

// Know tells the board of a service's rules before any task of it is asked for.
func (b *Board) Know(s *Service) {
	b.services[b.Service(s.Name)].service = s
	for i := range s.Constraints {
		b.excluding = b.excluding || !s.Constraints[i].Soft && s.Constraints[i].Kind() == AboutService && s.Constraints[i].Negated()
	}
}

// minds reports whether a service has hard rules about services, or another has one that is about it. One host without
// a cluster has no choice, so that they say nothing there.
func (b *Board) minds(s *Service) bool {
	if !slices.ContainsFunc(b.passing, func(f filter) bool { return f == filter(besideFilter{}) }) {
		return false
	}
	for i := range s.Constraints {
		if !s.Constraints[i].Soft && s.Constraints[i].Kind() == AboutService {
			return true
		}
	}
	if b.excluding {
		for i := range b.services {
			if b.services[i].avoids(s.Name) != nil {
				return true
			}
		}
	}
	return false
}

// besides works the hard rules about services out for all hosts: those that the request may be on (nil is all), and
// whether a host may have one request only. wants is set when there is a rule to be beside its own service, of which no
// task is placed yet: the first decides for the others.
func (b *Board) besides(r *Request) (may set, single, wants bool) {
	begin := func() set {
		if may == nil {
			may = newSet(len(b.hosts))
			for h := range b.hosts {
				may.add(h)
			}
		}
		return may
	}
	for i := range r.parts {
		p := &r.parts[i]
		for j := range p.service.Constraints {
			c := &p.service.Constraints[j]
			if c.Soft || c.Kind() != AboutService {
				continue
			}
			found := r.with(p, c) != ""
			switch {
			case c.Negated() && found:
				clear(begin())
			case c.Negated():
				begin().drop(b.have(c))
				single = single || c.MatchValue(p.service.Name)
			case found:
			case b.first(p, c):
				wants = true
			default:
				begin().keep(b.have(c))
			}
		}
		for k := range b.services {
			if t := &b.services[k]; k != p.index && t.avoids(p.service.Name) != nil {
				begin().drop(b.on(k))
			}
		}
	}
	return may, single, wants
}

// have is the hosts with a task of a service that a rule about services matches, whether it is negated or not.
func (b *Board) have(c *Constraint) set {
	all := newSet(len(b.hosts))
	for i := range b.services {
		if c.MatchValue(b.services[i].name) {
			for _, h := range b.services[i].on {
				all.add(int(h))
			}
		}
	}
	return all
}

// on is the hosts with a task of a service.
func (b *Board) on(service int) set {
	all := newSet(len(b.hosts))
	for _, h := range b.services[service].on {
		all.add(int(h))
	}
	return all
}

// changes reports whether a soft rule is about the request's own services, so that each task that is placed changes the
// scores.
func (r *Request) changes() bool {
	for i := range r.parts {
		for j := range r.parts[i].service.Constraints {
			c := &r.parts[i].service.Constraints[j]
			if c.Soft && c.Kind() == AboutService && r.with(nil, c) != "" {
				return true
			}
		}
	}
	return false
}

// failure is what a host's score loses where a service fails: more than all soft rules of a service can make good for.
const failure = 1 << 20

// scores are how much each host agrees with the soft rules of a request, by host, less where its service fails; nil without
// such rules and failures.
func (b *Board) scores(r *Request) []int32 {
	var scores []int32
	count := func(weight int, holds func(h int32) bool) {
		if scores == nil {
			scores = make([]int32, len(b.hosts))
		}
		for h := range scores {
			if holds(int32(h)) {
				scores[h] += int32(weight)
			}
		}
	}
	for i := range r.parts {
		s := r.parts[i].service
		for j := range s.Constraints {
			c := &s.Constraints[j]
			switch {
			case !c.Soft:
			case c.Kind() == AboutHost:
				count(c.Weight, b.where(c).has)
			case c.Kind() == AboutService:
				there, negated := b.have(c), c.Negated()
				count(c.Weight, func(h int32) bool { return there.has(h) != negated })
			}
		}
	}
	for i := range r.wishes {
		count(r.wishes[i].Weight, func(h int32) bool { return r.wishes[i].Hosts[h] })
	}
	for i := range r.parts {
		for _, h := range b.services[r.parts[i].index].failing {
			count(0, func(int32) bool { return false }) // there are scores
			scores[h] -= failure
		}
	}
	return scores
}
