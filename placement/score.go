package placement

import (
	"cmp"
	"slices"
)

// Score is how well a host suits a request, in the order in which a strategy looks at it.
type Score struct {
	Host    string
	Refused string  // why it cannot be; "" when it can
	Agrees  int     // sum of the weights of the soft rules that hold there
	Fails   bool    // tasks of the service fail there
	Groups  []Group // for each spread preference, the group that the host is in
	Tasks   int     // of the service on the host
	Load    int     // in thousandths: what is reserved of the scarcer of CPU and memory, and a trifle for each task
	CPU     int     // reserved, in thousandths of the capacity
	Memory  int     // likewise
}

// Group is hosts with one value of a spread preference.
type Group struct {
	Key, Value string
	Tasks      int // of the service on all hosts with the value that may keep them
	Share      int // weight of the value
}

// Scores tells of each host how well it suits the request as things stand, best first as Fill sees it; hosts that refuse
// come last, in inventory order.
func (b *Board) Scores(r *Request) []Score {
	agrees, lasting := b.scores(r), b.admitted(r)
	service := r.parts[0].index
	b.count(service)
	defer b.forget()
	all := make([]Score, len(b.hosts))
	order := make([]int, len(b.hosts))
	for h := range b.hosts {
		s := &b.slots[h]
		x := Score{
			Host: b.hosts[h].Name, Refused: b.Explain(r, h), Tasks: int(b.counts[h]), Load: int(s.load()) * 1000 / fullLoad,
			CPU: thousandths(s.used.CPU, b.hosts[h].Capacity.CPU), Memory: thousandths(s.used.Memory>>10, b.hosts[h].Capacity.Memory>>10),
		}
		if agrees != nil {
			x.Agrees = int(agrees[h])
		}
		for i := range r.parts {
			for _, at := range b.services[r.parts[i].index].failing {
				if int(at) == h {
					x.Fails = true
					x.Agrees += failure
				}
			}
		}
		for i, p := range r.preferences {
			value, _ := attribute(&b.hosts[h], p.Spread)
			g := Group{Key: p.Spread, Value: value, Share: p.Share(value)}
			for _, on := range b.services[service].on {
				if b.keeps(on) && (lasting == nil || lasting.has(on)) && b.alike(h, int(on), r.preferences[:i+1]) {
					g.Tasks++
				}
			}
			x.Groups = append(x.Groups, g)
		}
		all[h], order[h] = x, h
	}
	slices.SortStableFunc(order, func(x, y int) int { return b.compare(r, &all[x], &all[y], x, y) })
	sorted := make([]Score, len(all))
	for i, h := range order {
		sorted[i] = all[h]
	}
	return sorted
}

func thousandths(part, whole int64) int { return int(part * 1000 / max(whole, 1)) }

// alike reports whether two hosts have the same values of all keys.
func (b *Board) alike(x, y int, preferences []Preference) bool {
	return !slices.ContainsFunc(preferences, func(p Preference) bool {
		vx, _ := attribute(&b.hosts[x], p.Spread)
		vy, _ := attribute(&b.hosts[y], p.Spread)
		return vx != vy
	})
}

// compare orders hosts as a strategy does.
func (b *Board) compare(r *Request, s, t *Score, x, y int) int {
	if (s.Refused == "") != (t.Refused == "") {
		return cmp.Compare(min(len(s.Refused), 1), min(len(t.Refused), 1))
	}
	if s.Refused != "" {
		return cmp.Compare(x, y)
	}
	if s.Fails != t.Fails {
		if s.Fails {
			return 1
		}
		return -1
	}
	if c := -cmp.Compare(s.Agrees, t.Agrees); c != 0 || r.strategy == Random {
		return c
	}
	loads := cmp.Compare(b.slots[x].load(), b.slots[y].load())
	if r.strategy == Binpack {
		return -loads
	}
	for i := range s.Groups {
		if c := cmp.Compare((s.Groups[i].Tasks+1)*t.Groups[i].Share, (t.Groups[i].Tasks+1)*s.Groups[i].Share); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(s.Tasks, t.Tasks), loads)
}
