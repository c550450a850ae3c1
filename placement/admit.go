package placement

import (
	"maps"
	"math/bits"
	"slices"
)

// set is a set of hosts, a bit each.
type set []uint64

func newSet(hosts int) set { return make(set, (hosts+63)/64) }

func (s set) add(host int)        { s[host>>6] |= 1 << (host & 63) }
func (s set) has(host int32) bool { return s[host>>6]>>(host&63)&1 != 0 }

func (s set) len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// shared is how many hosts are in both.
func (s set) shared(o set) int {
	n := 0
	for i, w := range s {
		n += bits.OnesCount64(w & o[i])
	}
	return n
}

// each calls f for every host in the set, in inventory order.
func (s set) each(f func(host int32)) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			f(int32(i<<6 + bits.TrailingZeros64(w)))
		}
	}
}

// keep removes what is not in o.
func (s set) keep(o set) {
	for i := range s {
		s[i] &= o[i]
	}
}

// drop removes what is in o.
func (s set) drop(o set) {
	for i := range s {
		s[i] &^= o[i]
	}
}

// admitted are the hosts that the lasting filters admit for a request, paused ones among them; nil is all. It does what asking Admits
// of each host does, but a constraint is worked out once for all services that have it.
func (b *Board) admitted(r *Request) set {
	if !r.asked || r.losses != b.losses {
		r.asked, r.losses, r.admitted = true, b.losses, b.admit(r)
	}
	return r.admitted
}

func (b *Board) admit(r *Request) set {
	var all set
	begin := func() set {
		if all == nil {
			all = slices.Clone(b.kept)
		}
		return all
	}
	for _, f := range b.lasting {
		switch f := f.(type) {
		case readyFilter, drainFilter: // such hosts are not in the queue
		case constraintFilter:
			for i := range r.parts {
				for j := range r.parts[i].service.Constraints {
					if c := &r.parts[i].service.Constraints[j]; !c.Soft && c.Kind() == AboutHost {
						begin().keep(b.where(c))
					}
				}
			}
		case needFilter:
			for i := range r.needs {
				can := newSet(len(b.hosts))
				for h, ok := range r.needs[i].Hosts {
					if ok {
						can.add(h)
					}
				}
				begin().keep(can)
			}
		default:
			if !f.applies(r) {
				continue
			}
			can := newSet(len(b.hosts))
			begin().each(func(h int32) {
				if f.passes(b, r, int(h)) {
					can.add(int(h))
				}
			})
			all = can
		}
	}
	return all
}

// fewConstraints is up to how many different constraints hosts are asked one by one; with more it pays to find out first
// which hosts are alike.
const fewConstraints = 8

// where is the hosts on which a constraint holds.
func (b *Board) where(c *Constraint) set {
	text := c.String()
	if s, ok := b.holds[text]; ok {
		return s
	}
	s := newSet(len(b.hosts))
	if len(b.holds) < fewConstraints || c.Identity() {
		for h := range b.hosts {
			if c.Match(&b.hosts[h]) {
				s.add(h)
			}
		}
	} else {
		b.classify()
		const unknown, no, yes = 0, 1, 2
		verdicts := make([]int8, b.kinds)
		for h := range b.hosts {
			v := &verdicts[b.classes[h]]
			if *v == unknown {
				*v = no
				if c.Match(&b.hosts[h]) {
					*v = yes
				}
			}
			if *v == yes {
				s.add(h)
			}
		}
	}
	b.holds[text] = s
	return s
}

// classify numbers the classes of hosts that constraints without identity cannot tell apart.
func (b *Board) classify() {
	if b.classes != nil {
		return
	}
	b.classes = make([]int32, len(b.hosts))
	numbers := map[string]int32{}
	var key []byte
	write := func(text string) { key = append(append(key, text...), 0) }
	for i := range b.hosts {
		h := &b.hosts[i]
		key = key[:0]
		write(h.OS)
		write(h.Arch)
		write(h.Version)
		write(h.Kernel)
		write(h.System)
		write(h.StorageDriver)
		for _, labels := range []map[string]string{h.Labels, h.EngineLabels} {
			for _, l := range slices.Sorted(maps.Keys(labels)) {
				write(l)
				write(labels[l])
			}
			write("")
		}
		n, ok := numbers[string(key)]
		if !ok {
			n = int32(len(numbers))
			numbers[string(key)] = n
		}
		b.classes[i] = n
	}
	b.kinds = len(numbers)
}
