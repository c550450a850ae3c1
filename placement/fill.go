package placement

import (
	"cmp"
	"math/bits"
	"slices"
)

// Fill puts up to n requests like r on the hosts that suit them best and appends the host of each to hosts; less than n
// come back when no host has room for more.
//
// The order is: soft rules (the hosts where most of them hold, by weight); spread preferences (fewest tasks of the service
// in the value's hosts); then for Spread the fewest tasks of the service, the lowest load, the inventory's order; for
// Binpack the highest load that has room.
//
// It does what putting one after the other does, but goes through the hosts in order of load once for a whole
// round of the service, so that a task costs the same on ten hosts and on ten thousand.
func (b *Board) Fill(r *Request, n int, hosts []int32) []int32 {
	service := r.parts[0].index
	b.services[service].on = slices.Grow(b.services[service].on, n*int(r.parts[0].count))
	b.count(service)
	defer b.forget()
	return b.fill(r, n, hosts, true)
}

// Best is the host that Fill would choose for one request; ok is false when none has room.
func (b *Board) Best(r *Request) (host int, ok bool) {
	b.count(r.parts[0].index)
	defer b.forget()
	var one [1]int32
	got := b.fill(r, 1, one[:0], false)
	if len(got) == 0 {
		return 0, false
	}
	return int(got[0]), true
}

// Admitted is the number of hosts that take tasks and that the lasting filters admit for r.
func (b *Board) Admitted(r *Request) int {
	all := b.admitted(r)
	if all == nil {
		return b.taking.len()
	}
	return all.shared(b.taking)
}

func (b *Board) fill(r *Request, n int, hosts []int32, put bool) []int32 {
	f := filler{b: b, r: r, n: n, hosts: hosts, put: put, lasting: b.admitted(r)}
	f.admitted = f.lasting
	f.ask()
	if r.beside {
		may, single, wants := b.besides(r)
		if f.single = single; may != nil {
			f.narrow(may)
		}
		if wants && n > 1 { // the first decides where the others may be
			if first := b.fill(r, 1, hosts, put); len(first) > len(hosts) {
				return b.fill(r, n-1, first, put)
			}
			return hosts
		}
	}
	scores := b.scores(r)
	if scores == nil {
		f.run()
		return f.hosts
	}
	if n > 1 && r.changes() {
		for range n {
			more := b.fill(r, 1, hosts, put)
			if len(more) == len(hosts) {
				break
			}
			hosts = more
		}
		return hosts
	}
	// Hosts that agree with more of the soft rules first, as long as they have room.
	admitted := f.admitted
	for _, score := range slices.Backward(slices.Compact(slices.Sorted(slices.Values(scores)))) {
		tier := newSet(len(b.hosts))
		for h, s := range scores {
			if s == score {
				tier.add(h)
			}
		}
		f.admitted = admitted
		f.narrow(tier)
		if f.run(); f.n == 0 {
			break
		}
	}
	return f.hosts
}

func (f *filler) run() {
	switch {
	case f.r.strategy == Binpack:
		f.pack()
	case f.r.strategy == Random:
		f.random()
	case len(f.r.preferences) > 0:
		f.spreadOver()
	default:
		f.spread()
	}
}

// filler is one Fill on its way.
type filler struct {
	b        *Board
	r        *Request
	n        int // requests that still want a host
	hosts    []int32
	put      bool     // else the first host found is the answer, and nothing is put there
	lasting  set      // hosts that the lasting filters admit; nil is all
	admitted set      // those of them that may be chosen
	capacity bool     // CPU and memory count
	asked    []filter // what else tells whether a host has room
	single   bool     // one request a host, because its tasks do not want to be together
}

// ask finds out which filters a host has to be asked about each time.
func (f *filler) ask() {
	for _, x := range f.b.passing {
		switch x.(type) {
		case pauseFilter: // such hosts are not in the queue
		case besideFilter: // worked out for all hosts at once
		case capacityFilter:
			f.capacity = true
		default:
			if x.applies(f.r) {
				f.asked = append(f.asked, x)
			}
		}
	}
}

// narrow leaves only hosts of a set.
func (f *filler) narrow(to set) {
	if f.admitted == nil {
		f.admitted = to
		return
	}
	f.admitted = slices.Clone(f.admitted)
	f.admitted.keep(to)
}

// fits reports whether a host takes the request now.
func (f *filler) fits(host int32) bool {
	if f.admitted != nil && !f.admitted.has(host) || f.capacity && !f.b.slots[host].free.holds(f.r.reservation) ||
		f.single && f.b.counts[host] > 0 {
		return false
	}
	for _, x := range f.asked {
		if !x.passes(f.b, f.r, int(host)) {
			return false
		}
	}
	return true
}

// holds reports whether what is free has room: what is not wanted fits even where it is overdrawn.
func (r Reservation) holds(want Reservation) bool {
	return (want.CPU <= 0 || want.CPU <= r.CPU) && (want.Memory <= 0 || want.Memory <= r.Memory)
}

// take puts one request on a host.
func (f *filler) take(host int32) {
	if f.put {
		if f.r.fixedPorts && f.r.Names != nil {
			f.r.parts[0].task = f.r.Names(len(f.hosts))
		}
		f.b.Put(int(host), f.r)
	}
	f.hosts = append(f.hosts, host)
	f.n--
}

// spread goes round after round: in each, hosts with the fewest tasks of the service get one more, in order of load.
func (f *filler) spread() {
	if f.admitted != nil && f.admitted.len() < len(f.b.hosts)/16 {
		f.spreadFew()
		return
	}
	b, counts := f.b, f.b.counts
	for round := int32(0); f.n > 0; {
		following := endless
		for h := b.queue.lowest(0); h != noHost && f.n > 0; {
			host := h
			h = b.queue.after(h) // before the host moves on: where it comes in again, its turn is over
			switch c := counts[host]; {
			case c < round, c >= following:
			case !f.fits(host):
			case c > round:
				following = c
			default:
				f.take(host)
				following = min(following, counts[host])
				if !f.put {
					return
				}
			}
		}
		if following == endless {
			return
		}
		round = following
	}
}

// spreadFew is spread for few hosts among many: they are sorted instead of looked for.
func (f *filler) spreadFew() {
	b := f.b
	var all []int32
	for f.n > 0 {
		all = all[:0]
		f.admitted.each(func(h int32) {
			if b.open(h) && f.fits(h) {
				all = append(all, h)
			}
		})
		at, fewest := b.queue.at, endless
		for _, h := range all {
			fewest = min(fewest, b.counts[h])
		}
		all = slices.DeleteFunc(all, func(h int32) bool { return b.counts[h] > fewest })
		slices.SortFunc(all, func(x, y int32) int { return cmp.Or(cmp.Compare(at[x], at[y]), cmp.Compare(x, y)) })
		if len(all) == 0 {
			return
		}
		for _, h := range all[:min(len(all), f.n)] {
			f.take(h)
		}
	}
}

// pack fills the hosts one after the other, those with the highest load first: a host that was filled is the fullest.
func (f *filler) pack() {
	var all []int32
	for h := range f.b.hosts {
		if f.b.open(int32(h)) && f.fits(int32(h)) {
			all = append(all, int32(h))
		}
	}
	at := f.b.queue.at
	slices.SortFunc(all, func(x, y int32) int { return cmp.Or(-cmp.Compare(at[x], at[y]), cmp.Compare(x, y)) })
	for _, h := range all {
		for f.n > 0 && f.fits(h) {
			f.take(h)
			if !f.put {
				return
			}
		}
	}
}

// random takes any host that has room, by a sequence of numbers that the seed, the service and the number of its tasks
// decide (splitmix64).
func (f *filler) random() {
	var all []int32
	for h := range f.b.hosts {
		if f.b.open(int32(h)) && f.fits(int32(h)) {
			all = append(all, int32(h))
		}
	}
	s := f.r.parts[0].service
	state := s.Seed
	for _, c := range []byte(s.Name) {
		state = state*1099511628211 + uint64(c)
	}
	state += uint64(len(f.b.services[f.r.parts[0].index].on)) << 32
	for len(all) > 0 && f.n > 0 {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		high, _ := bits.Mul64(z^z>>31, uint64(len(all)))
		if h := all[high]; f.fits(h) {
			f.take(h)
		} else {
			all[high] = all[len(all)-1]
			all = all[:len(all)-1]
		}
	}
}
