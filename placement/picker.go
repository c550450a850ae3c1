package placement

// Picker finds hosts for equal requests, one after the other, best first. It keeps the admitted hosts in a heap (one
// for each value that the preferences tell apart), so that a task costs the logarithm of the number of hosts. Between
// two calls of Next nothing else may be put on the board.
//
// The order is: spread preferences (fewest tasks of the service in the value's hosts); then for Spread the fewest
// tasks of the service, the most free share of the scarcer of CPU and memory, the fewest tasks of all; for Binpack the
// fullest by that share, then the most tasks; at last the inventory's order.
type Picker struct {
	board *Board
	req   *Request
	root  *group
}

// group is a set of hosts that share a preference's value: either a heap of hosts or, where another preference tells
// its hosts apart, groups.
type group struct {
	tasks    int32 // tasks of the service in it
	children []*group
	heap     []int32
}

// Picker prepares the choice for requests like r.
func (b *Board) Picker(r *Request) *Picker {
	p := &Picker{board: b, req: r}
	hosts := make([]int32, 0, len(b.hosts))
	for h := range b.hosts {
		if b.Admits(r, h) {
			hosts = append(hosts, int32(h))
		}
	}
	p.root = p.split(hosts, r.preferences)
	return p
}

// Admitted is the number of hosts that the lasting filters admit for r.
func (b *Board) Admitted(r *Request) int {
	n := 0
	for h := range b.hosts {
		if b.Admits(r, h) {
			n++
		}
	}
	return n
}

func (p *Picker) split(hosts []int32, preferences []Preference) *group {
	g := &group{}
	for _, h := range hosts {
		g.tasks += p.count(h)
	}
	if len(preferences) == 0 {
		g.heap = hosts
		for i := len(hosts)/2 - 1; i >= 0; i-- {
			p.sink(hosts, i)
		}
		return g
	}
	var values []string // in order of first appearance
	byValue := map[string][]int32{}
	for _, h := range hosts {
		v, _ := attribute(&p.board.hosts[h], preferences[0].Spread)
		if _, ok := byValue[v]; !ok {
			values = append(values, v)
		}
		byValue[v] = append(byValue[v], h)
	}
	for _, v := range values {
		g.children = append(g.children, p.split(byValue[v], preferences[1:]))
	}
	return g
}

// Peek returns the best host that has room without putting anything there; ok is false when none has.
func (p *Picker) Peek() (host int, ok bool) {
	h := p.best(p.root)
	return int(max(h, 0)), h >= 0
}

// Next puts one request on the best host that has room and returns the host; ok is false when none has. The request's
// first task goes by the name t from now on.
func (p *Picker) Next(t Task) (host int, ok bool) {
	p.req.parts[0].task = t
	h := p.best(p.root)
	if h < 0 {
		return 0, false
	}
	p.board.Put(int(h), p.req)
	p.placed(p.root, h)
	return int(h), true
}

// best is the host that is next in the group, -1 for none. Hosts without room leave their heap: while a picker works,
// hosts only get fuller.
func (p *Picker) best(g *group) int32 {
	if g.children == nil {
		for len(g.heap) > 0 {
			if p.board.Fits(p.req, int(g.heap[0])) {
				return g.heap[0]
			}
			last := len(g.heap) - 1
			g.heap[0] = g.heap[last]
			g.heap = g.heap[:last]
			p.sink(g.heap, 0)
		}
		return -1
	}
	best, fewest := int32(-1), int32(0)
	for _, c := range g.children {
		if best >= 0 && c.tasks > fewest {
			continue
		}
		if h := p.best(c); h >= 0 && (best < 0 || c.tasks < fewest || p.less(h, best)) {
			best, fewest = h, c.tasks
		}
	}
	return best
}

// placed restores the counts and the heap on the way to a host that was just filled. The host is the first of its
// heap, and of no other.
func (p *Picker) placed(g *group, host int32) bool {
	if g.children == nil {
		if len(g.heap) == 0 || g.heap[0] != host {
			return false
		}
		p.sink(g.heap, 0)
		g.tasks += p.req.parts[0].count
		return true
	}
	for _, c := range g.children {
		if p.placed(c, host) {
			g.tasks += p.req.parts[0].count
			return true
		}
	}
	return false
}

// count is the number of tasks of the request's service on a host.
func (p *Picker) count(h int32) int32 { return p.board.services[p.req.parts[0].index][h] }

// less orders hosts by how well they suit.
func (p *Picker) less(x, y int32) bool {
	b := p.board
	if p.req.strategy == Binpack {
		if ux, uy := b.usage(int(x)), b.usage(int(y)); ux != uy {
			return ux > uy
		}
		if tx, ty := b.slots[x].tasks, b.slots[y].tasks; tx != ty {
			return tx > ty
		}
		return x < y
	}
	if cx, cy := p.count(x), p.count(y); cx != cy {
		return cx < cy
	}
	if ux, uy := b.usage(int(x)), b.usage(int(y)); ux != uy {
		return ux < uy
	}
	if tx, ty := b.slots[x].tasks, b.slots[y].tasks; tx != ty {
		return tx < ty
	}
	return x < y
}

// sink lets the host at i find its place below.
func (p *Picker) sink(heap []int32, i int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && p.less(heap[child+1], heap[child]) {
			child++
		}
		if !p.less(heap[child], heap[i]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}
