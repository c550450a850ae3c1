package pack_test

import (
	"slices"

	"pgregory.net/rapid"

	"berth/placement/pack"
)

// size says how large the problems are that drawProblem draws.
type size struct{ hosts, kinds, count int }

// drawProblem draws a problem with all that a problem can have. Kinds need only what kinds before them have, so that
// there are no rings.
func drawProblem(t *rapid.T, max size, restricted bool) *pack.Problem {
	p := &pack.Problem{}
	draw := func(name string, from, to int) int { return rapid.IntRange(from, to).Draw(t, name) }
	maybe := func(name string, one int) bool { return draw(name, 0, one) == 0 }
	dims := draw("resources", 1, 3)
	hosts := draw("hosts", 1, max.hosts)
	for range hosts {
		h := pack.Host{Used: maybe("used", 2)}
		for range dims {
			h.Free = append(h.Free, int64(draw("free", -1, 8)))
		}
		if maybe("holds a key", 4) {
			h.Has = append(h.Has, pack.Key(draw("has", 0, 2)))
		}
		if maybe("avoids a key", 6) {
			h.Avoids = append(h.Avoids, pack.Key(draw("avoids", 0, 2)))
		}
		p.Hosts = append(p.Hosts, h)
	}
	for i := range draw("kinds", 1, max.kinds) {
		k := pack.Kind{Count: draw("count", 0, max.count), Has: []pack.Key{pack.Key(10 + i)}}
		for range dims {
			k.Demand = append(k.Demand, int64(draw("demand", 0, 5)))
		}
		if maybe("has", 2) {
			k.Has = append(k.Has, pack.Key(draw("key", 0, 2)))
		}
		if maybe("avoids", 2) {
			k.Avoids = append(k.Avoids, pack.Key(draw("avoided", 0, 2)))
		}
		if maybe("apart", 4) {
			k.Avoids = append(k.Avoids, k.Has[0])
		}
		if i > 0 && maybe("needs", 5) {
			k.Needs = append(k.Needs, pack.Key(10+draw("needed", 0, i-1)))
		}
		if maybe("limited", 3) {
			k.PerHost = draw("per host", 1, 2)
			if maybe("present", 2) {
				for range hosts {
					k.Present = append(k.Present, int32(draw("present there", 0, 2)))
				}
			}
		}
		if restricted && maybe("restricted", 2) {
			k.Allowed = pack.NewSet(hosts)
			for h := range hosts {
				if maybe("allowed", 1) {
					k.Allowed.Add(h)
				}
			}
		}
		p.Kinds = append(p.Kinds, k)
	}
	return p
}

// bin is a host while a packing is checked: what is left of it and what it holds.
type bin struct {
	free        []int64
	has, avoids []pack.Key
	of          []int // items by kind
}

func bins(p *pack.Problem) []bin {
	all := make([]bin, len(p.Hosts))
	for i, h := range p.Hosts {
		all[i] = bin{free: slices.Clone(h.Free), has: slices.Clone(h.Has), avoids: slices.Clone(h.Avoids), of: make([]int, len(p.Kinds))}
		for j, k := range p.Kinds {
			if k.Present != nil {
				all[i].of[j] = int(k.Present[i])
			}
		}
	}
	return all
}

// refuses says why an item may not go on a host; "" when it may. It is written from the documentation of Kind, and has
// nothing in common with how the package does it.
func (b *bin) refuses(p *pack.Problem, host, kind int) string {
	k := &p.Kinds[kind]
	for r, d := range k.Demand {
		if d > 0 && b.free[r] < d {
			return "no room"
		}
	}
	if k.Allowed != nil && !k.Allowed.Has(host) {
		return "not allowed"
	}
	if k.PerHost > 0 && b.of[kind] >= k.PerHost {
		return "too many of the kind"
	}
	for _, key := range k.Has {
		if slices.Contains(b.avoids, key) {
			return "something there avoids it"
		}
	}
	for _, key := range k.Avoids {
		if slices.Contains(b.has, key) {
			return "it avoids something there"
		}
	}
	for _, key := range k.Needs {
		if !slices.Contains(b.has, key) {
			return "what it needs is not there"
		}
	}
	return ""
}

func (b *bin) put(p *pack.Problem, kind int) {
	k := &p.Kinds[kind]
	for r, d := range k.Demand {
		b.free[r] -= d
	}
	b.of[kind]++
	b.has = append(b.has, k.Has...)
	b.avoids = append(b.avoids, k.Avoids...)
}

func (b *bin) take(p *pack.Problem, kind int) {
	k := &p.Kinds[kind]
	for r, d := range k.Demand {
		b.free[r] += d
	}
	b.of[kind]--
	b.has = b.has[:len(b.has)-len(k.Has)]
	b.avoids = b.avoids[:len(b.avoids)-len(k.Avoids)]
}
