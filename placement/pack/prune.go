package pack

// pruned is the problem without what makes no difference: keys that nobody avoids or needs, avoided keys that nobody has,
// sets of all hosts. Kinds and hosts that differ only there are alike.
func pruned(p *Problem) *Problem {
	had, avoided, needed := map[Key]bool{}, map[Key]bool{}, map[Key]bool{} // by items
	there, refused := map[Key]bool{}, map[Key]bool{}                       // by what hosts hold already
	for i := range p.Kinds {
		if k := &p.Kinds[i]; k.Count > 0 {
			mark(had, k.Has)
			mark(avoided, k.Avoids)
			mark(needed, k.Needs)
		}
	}
	for i := range p.Hosts {
		mark(there, p.Hosts[i].Has)
		mark(refused, p.Hosts[i].Avoids)
	}
	q := &Problem{Hosts: append([]Host(nil), p.Hosts...), Kinds: append([]Kind(nil), p.Kinds...)}
	for i := range q.Kinds {
		k := &q.Kinds[i]
		k.Has = those(k.Has, avoided, needed, refused)
		k.Avoids = those(k.Avoids, had, there)
		if k.Allowed != nil && k.Allowed.within(len(q.Hosts)) == len(q.Hosts) {
			k.Allowed = nil
		}
	}
	for i := range q.Hosts {
		h := &q.Hosts[i]
		h.Has = those(h.Has, avoided, needed)
		h.Avoids = those(h.Avoids, had)
	}
	return q
}

func mark(set map[Key]bool, keys []Key) {
	for _, k := range keys {
		set[k] = true
	}
}

// those are the keys that are in one of the sets.
func those(keys []Key, sets ...map[Key]bool) []Key {
	var kept []Key
	for _, k := range keys {
		for _, set := range sets {
			if set[k] {
				kept = append(kept, k)
				break
			}
		}
	}
	return kept
}
