package placement

import (
	"maps"
	"slices"
)

// Release takes back what Hold and HoldResources put on a host.
func (b *Board) Release(host int, t Task, r Reservation, ports []Port, held Resources) {
	s := &b.slots[host]
	s.hold(Reservation{}.Sub(r))
	s.tasks--
	s.resources = s.resources.sub(held)
	b.leave(b.Service(t.Service), int32(host))
	s.releasePorts(t, ports)
	b.moved(host)
}

// Take takes back what Put put on a host.
func (b *Board) Take(host int, r *Request) {
	s := &b.slots[host]
	s.hold(Reservation{}.Sub(r.reservation))
	s.resources = s.resources.sub(r.resources)
	for i := range r.parts {
		p := &r.parts[i]
		s.tasks -= p.count
		for range p.count {
			b.leave(p.index, int32(host))
		}
		if r.fixedPorts {
			s.releasePorts(p.task, p.service.Ports)
		}
	}
	b.moved(host)
}

// leave takes one task of a service off a host.
func (b *Board) leave(service int, host int32) {
	on := b.services[service].on
	last := len(on) - 1
	for i := last; i >= 0; i-- {
		if on[i] == host {
			on[i] = on[last]
			b.services[service].on = on[:last]
			break
		}
	}
	if service == b.counting {
		b.counts[host]--
	}
}

func (s *slot) releasePorts(by Task, ports []Port) {
	for _, p := range ports {
		if i := slices.Index(s.ports, heldPort{p, by}); i >= 0 {
			s.ports = slices.Delete(s.ports, i, i+1)
		}
	}
}

// Tasks is how many tasks a host holds, whatever their service.
func (b *Board) Tasks(host int) int { return int(b.slots[host].tasks) }

// Counts is how many tasks of a service each host holds.
func (b *Board) Counts(service string) []int32 {
	counts := make([]int32, len(b.hosts))
	for _, h := range b.services[b.Service(service)].on {
		counts[h]++
	}
	return counts
}

// sub is add the other way.
func (r Resources) sub(less Resources) Resources {
	if len(r) == 0 || len(less) == 0 {
		return r
	}
	rest := maps.Clone(r)
	for kind, n := range less {
		if n == Uncounted {
			n = all
		}
		rest[kind] = max(rest[kind]-n, 0)
	}
	return rest
}

// Needed reports whether so many tasks of a service cannot leave a host, because none would be left there that a hard rule
// of something else on the host wants beside it.
func (b *Board) Needed(service string, host, leave int) bool {
	for k := range b.services {
		of := &b.services[k]
		if of.service == nil || of.name == service {
			continue
		}
		for i := range of.service.Constraints {
			c := &of.service.Constraints[i]
			if c.Soft || c.Kind() != AboutService || c.Negated() || !c.MatchValue(service) || b.tasks(k, host) == 0 {
				continue
			}
			n := int32(0)
			for j := range b.services {
				if c.MatchValue(b.services[j].name) {
					n += b.tasks(j, host)
				}
			}
			if n <= int32(leave) {
				return true
			}
		}
	}
	return false
}

// Within is the request with one more need.
func (r *Request) Within(n Need) *Request {
	q := *r
	q.needs, q.asked = append(slices.Clone(r.needs), n), false
	return &q
}
