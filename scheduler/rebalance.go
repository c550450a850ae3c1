package scheduler

import (
	"fmt"
	"slices"
	"time"

	"berth/placement"
)

// RebalanceOptions say what `rebalance` is asked to do.
type RebalanceOptions struct {
	Services []string       // those whose tasks move, and those that share namespaces with them; empty is all
	Timeout  *time.Duration // of stops; nil is each container's own
}

// Rebalance plans the fewest moves after which tasks are where their strategy would have them: those of spread are even,
// at each level of their preferences and by the shares there, as far as capacity, constraints, ports and other rules have
// room; those of binpack leave hosts that the packing does not need, when such a host is empty then; those of random stay.
// Whatever the strategy, tasks leave hosts that may not keep them, drained ones above all; paused hosts get nothing and
// keep what they have.
//
// A task is moved by a successor with the next number: that runs, and is healthy if it has a health check, before the
// other is stopped. In whatever order the steps are done that After allows, no service ever has fewer tasks than before,
// and no host more than it has room for. What has a name or an address of its own, or shares namespaces, cannot be there
// twice: it moves only when it must, and stops first, as in Up.
//
// It makes and starts nothing else, and a second Rebalance has nothing to do. Rebalance is pure like Up, and the error is
// one of the file. Without a cluster the plan is empty.
func Rebalance(p *placement.Project, o *placement.Observation, opts RebalanceOptions) (*Plan, error) {
	u := newUpper(p, o, UpOptions{Services: withSharers(p, opts.Services), NoDeps: true, NoRecreate: true, Timeout: opts.Timeout})
	u.moving = true
	if !o.Cluster {
		return u.plan, nil
	}
	if err := u.scope(); err != nil {
		return nil, fmt.Errorf("rebalance: %w", err)
	}
	for _, st := range u.sets {
		st.arrange()
	}
	r := &rebalancer{upper: u, company: wantCompany(p)}
	r.start()
	r.decide()
	r.explain()
	r.sequence()
	u.reportHosts()
	if err := r.build(); err != nil {
		return nil, fmt.Errorf("rebalance: %w", err)
	}
	return u.plan, nil
}

// withSharers adds the services that share namespaces with those chosen: they are on one host together.
func withSharers(p *placement.Project, services []string) []string {
	all := slices.Clone(services)
	for grew := len(all) > 0; grew; {
		grew = false
		for _, s := range p.Services {
			for _, other := range s.SharesWith {
				switch here, there := slices.Contains(all, s.Name), slices.Contains(all, other); {
				case here == there || p.Service(other) == nil:
				case here:
					all, grew = append(all, other), true
				default:
					all, grew = append(all, s.Name), true
				}
			}
		}
	}
	return all
}

// rebalancer is one run of Rebalance.
type rebalancer struct {
	*upper
	bundles []*bundle
	pieces  map[*bundle][]*piece
	moves   []*piece         // those that move, in an order in which there is room for each
	ended   []*drop          // what is left of moves that were cut short
	removed map[string][]int // by host: the steps after which there is room again
	company bool             // some service has to be beside another: the order of moves counts where there is room, too
}

// piece is what goes to a host as a whole: a task, or those that share namespaces. All of it is there and up.
type piece struct {
	bundle   *bundle
	tasks    []*task
	from, at int    // hosts: where it is, and where it is going to be
	stays    string // why it cannot move; "" when it can

	next *task // of one that is started beside the old one
}

// start collects the pieces, and holds on the board what there is.
func (r *rebalancer) start() {
	r.hold()
	r.pinExisting()
	r.pieces, r.removed = map[*bundle][]*piece{}, map[string][]int{}
	for _, b := range r.upper.bundles() {
		b.pieces(func(tasks []*task) {
			for _, t := range tasks {
				if t.old == nil || !up(t.old) || !r.w.ready(t.old.Host) {
					return
				}
			}
			x := &piece{bundle: b, tasks: tasks, from: r.w.order(tasks[0].old.Host), stays: r.stuck(tasks)}
			x.at = x.from
			r.pieces[b] = append(r.pieces[b], x)
		})
		r.bundles = append(r.bundles, b)
	}
	for _, st := range r.order {
		for _, d := range st.drops {
			if st.inScope && d.moved {
				r.ended = append(r.ended, d)
			}
		}
	}
}

// hold makes a new board with all that is there.
func (r *rebalancer) hold() {
	r.board = r.newBoard()
	r.pins++ // requests belong to a board
	r.holdOthers()
	for _, st := range r.order {
		if !st.inScope {
			continue
		}
		for _, t := range st.tasks {
			r.holdContainer(t.old)
		}
		for _, d := range st.drops {
			if !d.moved {
				r.holdContainer(d.c)
			}
		}
	}
}

func (r *rebalancer) holdContainer(c *placement.Container) {
	if h, ok := r.hostOf(c); ok {
		r.board.Hold(h, c.Task, c.Reservation, c.Ports)
		r.board.HoldResources(h, c.Resources)
	}
}

func (r *rebalancer) hostOf(c *placement.Container) (int, bool) {
	if c == nil || !up(c) {
		return 0, false
	}
	h, ok := r.w.hosts[c.Host]
	return h, ok
}

// stuck says why tasks cannot move, wherever to; "" when they can.
func (r *rebalancer) stuck(tasks []*task) string {
	for _, t := range tasks {
		switch {
		case t.set.service.Mode == placement.Global:
			return "a global service has its tasks where they are"
		case t.set.service.Job:
			return "a job ends where it has begun"
		case t.old.State != "running":
			return "its container is " + t.old.State
		case len(tasks) > 1 && t.old.Host != tasks[0].old.Host:
			return "it is not beside " + tasks[0].String() + ", which it shares namespaces or volumes with"
		}
	}
	return ""
}

// twice reports whether a piece can be there twice: then its successor runs before it stops.
func (x *piece) twice() bool { return x.first() == "" }

// first says what it is about a piece that wants it stopped first.
func (x *piece) first() string {
	if len(x.tasks) > 1 {
		return "what shares namespaces or volumes"
	}
	s := x.tasks[0].set.service
	switch {
	case s.ContainerName != "":
		return "its container_name"
	case len(s.SharesWith) > 0:
		return "what shares namespaces or volumes"
	case slices.ContainsFunc(s.Networks, func(a placement.Attachment) bool { return a.IPv4 != "" }):
		return "its ipv4_address"
	case slices.ContainsFunc(s.Networks, func(a placement.Attachment) bool { return len(a.Fixed()) > 0 }):
		return "its ipv6_address or mac_address"
	}
	return ""
}

// may reports whether a piece may stay on the host where it is.
func (r *rebalancer) may(x *piece) bool { return r.board.Admits(r.ask(x.bundle), x.at) }

// put moves a piece on the board.
func (r *rebalancer) put(x *piece, to int) {
	if x.at == x.from {
		for _, t := range x.tasks {
			r.board.Release(x.at, t.Task, t.old.Reservation, t.old.Ports, t.old.Resources)
		}
	} else {
		r.board.Take(x.at, r.ask(x.bundle))
	}
	if x.at = to; to == x.from {
		for _, t := range x.tasks {
			r.holdContainer(t.old)
		}
	} else {
		r.board.Put(to, r.ask(x.bundle))
	}
}

// decide finds the host of each piece. It goes on until nothing is better elsewhere: what moves makes room for others.
func (r *rebalancer) decide() {
	for again := true; again; {
		again = false
		for _, b := range r.bundles {
			if r.evens(b) {
				again = r.even(b) || again
			} else {
				again = r.leave(b) || again
			}
		}
		again = r.gather() || again
	}
}

// leave lets pieces go from hosts that may not keep them.
func (r *rebalancer) leave(b *bundle) bool {
	moved := false
	for _, x := range r.pieces[b] {
		if x.stays != "" || r.may(x) {
			continue
		}
		if h, ok := r.board.Best(r.ask(b)); ok {
			r.put(x, h)
			moved = true
		}
	}
	return moved
}
