package pack

import (
	"math/bits"
	"slices"
)

// sortClasses makes the classes out of the kinds. It runs after the hosts have got their order.
func (s *state) sortClasses() {
	p := s.problem
	start := 0 // of the classes with the same demand
	for _, i := range s.sortedKinds() {
		k := &p.Kinds[i]
		c := class{
			demand: make([]int64, s.d), kinds: []int{i}, count: k.Count, hosts: k.Allowed.within(len(p.Hosts)),
			perHost: int32(min(k.PerHost, 1<<30)), has: k.Has, avoids: k.Avoids, needs: k.Needs,
		}
		for j, r := range s.dims {
			c.demand[j] = amount(k.Demand, r)
		}
		if k.PerHost > 0 && k.Present != nil {
			c.present = make([]int32, len(s.order))
			for h, index := range s.order {
				c.present[h] = k.Present[index]
			}
		}
		c.special = c.perHost > 0 || len(c.has)+len(c.avoids)+len(c.needs) > 0
		s.keyed = s.keyed || len(c.has)+len(c.avoids)+len(c.needs) > 0
		if start < len(s.classes) && !slices.Equal(s.classes[start].demand, c.demand) {
			start = len(s.classes)
		}
		if !s.join(start, &c, k) {
			if k.Allowed != nil {
				c.allowed = NewSet(len(s.order))
				for h, index := range s.order {
					if k.Allowed.Has(index) {
						c.allowed.Add(h)
					}
				}
			}
			s.classes = append(s.classes, c)
		}
	}
	s.left = make([]int32, len(s.classes))
	for c := range s.classes {
		s.left[c] = int32(s.classes[c].count)
	}
	s.sortKeys()
}

// join lets a kind join a class from start on that it does not differ from.
func (s *state) join(start int, c *class, k *Kind) bool {
	if c.perHost > 0 {
		return false
	}
	for i := start; i < len(s.classes); i++ {
		o := &s.classes[i]
		if o.perHost == 0 && slices.Equal(o.has, c.has) && slices.Equal(o.avoids, c.avoids) && slices.Equal(o.needs, c.needs) &&
			slices.Equal(s.problem.Kinds[o.kinds[0]].Allowed, k.Allowed) {
			o.kinds = append(o.kinds, c.kinds[0])
			o.count += c.count
			return true
		}
	}
	return false
}

// sortKeys notes what the hosts hold already.
func (s *state) sortKeys() {
	if !s.keyed {
		return
	}
	s.keys = make([]held, len(s.order))
	for h, index := range s.order {
		for _, k := range s.problem.Hosts[index].Has {
			s.keys[h].has = add(s.keys[h].has, k)
		}
		for _, k := range s.problem.Hosts[index].Avoids {
			s.keys[h].avoids = add(s.keys[h].avoids, k)
		}
	}
}

// weigh finds what is scarce, and by that what an item weighs.
func (s *state) weigh() {
	ratio := make([]int64, s.d)
	most := int64(1)
	for j := range ratio {
		largest := s.scarce[j]
		var wanted, free int64
		for c := range s.classes {
			k := &s.classes[c]
			amount := scale(k.demand[j], largest)
			if k.demand[j] > 0 {
				amount = max(amount, 1)
			}
			k.scaled = append(k.scaled, amount)
			wanted = min(wanted+amount*int64(k.count), 1<<52)
		}
		for h := range s.order {
			free += s.room[h*s.d+j]
		}
		high, low := bits.Mul64(uint64(wanted), 1<<20)
		free = max(free, 1)
		q := uint64(1 << 50)
		if high < uint64(free) {
			q, _ = bits.Div64(high, low, uint64(free))
		}
		ratio[j] = int64(min(q, 1<<50))
		most = max(most, ratio[j])
	}
	for j := range ratio {
		s.scarce[j] = max(ratio[j]*1024/most, 1)
	}
	for c := range s.classes {
		k := &s.classes[c]
		for j := range k.scaled {
			k.weight += k.scaled[j] * s.scarce[j] / 1024
		}
		k.weight = max(k.weight, 1)
	}
}

// fits reports whether one more item of a class may go on a host.
func (s *state) fits(h int, c int32) bool {
	return s.hasRoom(h, c) && (!s.classes[c].special || s.admits(h, c))
}

// hasRoom is the part of fits that does not ask what else is on the host.
func (s *state) hasRoom(h int, c int32) bool {
	k := &s.classes[c]
	free := s.free[h*s.d : h*s.d+s.d]
	for j, d := range k.demand {
		if d > 0 && d > free[j] {
			return false
		}
	}
	return k.allowed.Has(h)
}

// admits is the part of fits that is about company.
func (s *state) admits(h int, c int32) bool {
	k := &s.classes[c]
	if k.perHost > 0 {
		n := int32(1)
		if k.present != nil {
			n += k.present[h]
		}
		for _, i := range s.items[h] {
			if i == c {
				n++
			}
		}
		if n > k.perHost {
			return false
		}
	}
	if !s.keyed {
		return true
	}
	there := &s.keys[h]
	for _, key := range k.avoids {
		if counts(there.has, key) {
			return false
		}
	}
	for _, key := range k.has {
		if counts(there.avoids, key) {
			return false
		}
	}
	for _, key := range k.needs {
		if !counts(there.has, key) {
			return false
		}
	}
	return true
}

// put places one of the items that are left.
func (s *state) put(h int, c int32) {
	k := &s.classes[c]
	for j := range k.demand {
		s.free[h*s.d+j] -= k.demand[j]
		s.room[h*s.d+j] -= k.scaled[j]
	}
	s.items[h] = append(s.items[h], c)
	s.left[c]--
	if s.keyed {
		for _, key := range k.has {
			s.keys[h].has = add(s.keys[h].has, key)
		}
		for _, key := range k.avoids {
			s.keys[h].avoids = add(s.keys[h].avoids, key)
		}
	}
}

// clear takes all items off a host. Items that others may need are never taken off while those stay.
func (s *state) clear(h int) {
	for _, c := range s.items[h] {
		s.release(h, c)
	}
	s.items[h] = s.items[h][:0]
}

// release gives back what an item held of a host.
func (s *state) release(h int, c int32) {
	k := &s.classes[c]
	for j := range k.demand {
		s.free[h*s.d+j] += k.demand[j]
		s.room[h*s.d+j] += k.scaled[j]
	}
	s.left[c]++
	if s.keyed {
		for _, key := range k.has {
			remove(s.keys[h].has, key)
		}
		for _, key := range k.avoids {
			remove(s.keys[h].avoids, key)
		}
	}
}

func add(list []keyCount, key Key) []keyCount {
	for i := range list {
		if list[i].key == key {
			list[i].count++
			return list
		}
	}
	return append(list, keyCount{key, 1})
}

func remove(list []keyCount, key Key) {
	for i := range list {
		if list[i].key == key {
			list[i].count--
		}
	}
}

func counts(list []keyCount, key Key) bool {
	for i := range list {
		if list[i].key == key {
			return list[i].count > 0
		}
	}
	return false
}
