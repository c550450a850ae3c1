package placement

import (
	"maps"
	"slices"

	"berth/placement/pack"
)

// Batch is requests that are alike.
type Batch struct {
	Request *Request
	Count   int
}

// Pack finds hosts for all batches at once and puts them there: first so that as many as possible have a host, then on as
// few hosts as possible beside those that hold something already (package pack has the search). It returns the hosts of
// each batch; those that have less than Count could not all be placed. Soft rules and preferences do not count.
func (b *Board) Pack(batches []Batch) [][]int32 {
	p := packing{b: b, keys: map[any]pack.Key{}, batches: batches}
	p.describe()
	result := pack.Batch(&p.problem, 0)
	hosts := make([][]int32, len(batches))
	for more := true; more; { // what wants to be beside another batch goes after it
		more = false
		for i := range batches {
			r := batches[i].Request
			result.Hosts[i] = slices.DeleteFunc(result.Hosts[i], func(h int32) bool {
				// What packing does not know of is asked here.
				if h < 0 || !b.Admits(r, int(h)) || !b.Fits(r, int(h)) {
					return false
				}
				if r.Names != nil {
					r.parts[0].task = r.Names(len(hosts[i]))
				}
				b.Put(int(h), r)
				hosts[i], more = append(hosts[i], h), true
				return true
			})
		}
	}
	return hosts
}

// packing turns requests into a problem of package pack.
type packing struct {
	b       *Board
	batches []Batch
	problem pack.Problem
	keys    map[any]pack.Key // of ports, of services, of things that somebody wants all of
	kinds   []string         // of counted resources that are wanted
}

type (
	serviceKey string
	allKey     string
)

func (p *packing) key(of any) pack.Key {
	k, ok := p.keys[of]
	if !ok {
		k = pack.Key(len(p.keys))
		p.keys[of] = k
	}
	return k
}

func (p *packing) describe() {
	kinds, ports := map[string]bool{}, []Port{}
	for _, batch := range p.batches {
		for kind := range batch.Request.resources {
			kinds[kind] = true
		}
		batch.Request.eachPort(func(want Port) {
			if !slices.Contains(ports, want) {
				ports = append(ports, want)
			}
		})
	}
	p.kinds = slices.Sorted(maps.Keys(kinds))
	b := p.b
	for h := range b.hosts {
		s := &b.slots[h]
		host := pack.Host{Free: []int64{s.free.CPU, s.free.Memory}, Used: s.tasks > 0 || s.used != Reservation{}}
		for _, kind := range p.kinds {
			free := b.hosts[h].Resources[kind] - s.resources[kind]
			if b.hosts[h].Resources[kind] == Uncounted {
				free = all
			}
			host.Free = append(host.Free, free)
		}
		p.problem.Hosts = append(p.problem.Hosts, host)
	}
	for i := range b.services {
		for _, h := range b.services[i].on {
			host := &p.problem.Hosts[h]
			if key := p.key(serviceKey(b.services[i].name)); !slices.Contains(host.Has, key) {
				host.Has = append(host.Has, key)
			}
		}
	}
	for _, batch := range p.batches {
		p.problem.Kinds = append(p.problem.Kinds, p.kind(batch, ports))
	}
}

// kind describes requests that are alike.
func (p *packing) kind(batch Batch, ports []Port) pack.Kind {
	b, r := p.b, batch.Request
	k := pack.Kind{Count: batch.Count, Demand: []int64{max(r.reservation.CPU, 0), max(r.reservation.Memory, 0)}, Allowed: p.allowed(r)}
	for _, kind := range p.kinds {
		want := r.resources[kind]
		if want == all {
			k.Avoids = append(k.Avoids, p.key(allKey(kind)))
			want = 1
		}
		if want > 0 {
			k.Has = append(k.Has, p.key(allKey(kind)))
		}
		k.Demand = append(k.Demand, want)
	}
	r.eachPort(func(want Port) {
		k.Has = append(k.Has, p.key(want))
		for _, other := range ports {
			if want.Conflicts(other) {
				k.Avoids = append(k.Avoids, p.key(other))
			}
		}
	})
	for i := range r.parts {
		part := &r.parts[i]
		k.Has = append(k.Has, p.key(serviceKey(part.service.Name)))
		if limit := part.service.MaxPerHost; limit > 0 {
			if most := limit / int(part.count); k.PerHost == 0 || most < k.PerHost {
				k.PerHost = max(most, 1)
				k.Present = make([]int32, len(b.hosts))
				for _, h := range b.services[part.index].on {
					k.Present[h]++
				}
			}
		}
		p.rules(&k, r, part)
	}
	return k
}

// rules adds what the hard rules about services say of those that are packed with it.
func (p *packing) rules(k *pack.Kind, r *Request, of *part) {
	for i := range of.service.Constraints {
		c := &of.service.Constraints[i]
		if c.Soft || c.Kind() != AboutService || !c.Negated() && (r.with(of, c) != "" || p.b.first(of, c)) {
			continue
		}
		var about []pack.Key
		for j := range p.b.services {
			if name := p.b.services[j].name; c.MatchValue(name) {
				about = append(about, p.key(serviceKey(name)))
			}
		}
		switch {
		case c.Negated():
			k.Avoids = append(k.Avoids, about...)
		case len(about) == 1:
			k.Needs = append(k.Needs, about[0])
		}
	}
}

// allowed is where a request may be for what is there already.
func (p *packing) allowed(r *Request) pack.Set {
	b := p.b
	may := pack.NewSet(len(b.hosts))
	admitted := b.admitted(r)
	for h := range b.hosts {
		if !b.open(int32(h)) || admitted != nil && !admitted.has(int32(h)) {
			continue
		}
		free := true
		for _, f := range b.passing {
			switch f.(type) {
			case portFilter, resourceFilter:
				free = free && (!f.applies(r) || f.passes(b, r, h))
			case besideFilter:
				free = free && (!r.beside || !b.excluded(r, int32(h)))
			}
		}
		if free {
			may.Add(h)
		}
	}
	return may
}

// eachPort calls f for each fixed port of a request.
func (r *Request) eachPort(f func(Port)) {
	for i := range r.parts {
		for _, want := range r.parts[i].service.Ports {
			if want.Published != 0 {
				f(want)
			}
		}
	}
}

// excluded reports whether a service on the host keeps the request off it. What the request's own rules say is part of
// the problem.
func (b *Board) excluded(r *Request, host int32) bool {
	for i := range r.parts {
		for k := range b.services {
			if t := &b.services[k]; k != r.parts[i].index && t.avoids(r.parts[i].service.Name) != nil && slices.Contains(t.on, host) {
				return true
			}
		}
	}
	return false
}
