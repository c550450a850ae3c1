package placement

// Request is what is to be put on one host together: a task, or tasks that must not be apart.
type Request struct {
	parts       []part
	reservation Reservation // of all parts
	resources   Resources   // of all parts
	needs       []Need
	preferences []Preference
	strategy    Strategy
	wishes      []SoftNeed
	admitted    set // what the lasting filters admit; for as long as asked is set and the board has losses losses
	asked       bool
	losses      int
	fixedPorts  bool
	beside      bool // a hard rule about services is to be asked

	// Names, if set, is what the first task of each request that Fill puts goes by, counted from 0; for messages.
	Names func(i int) Task
}

// part is the tasks of one service in a request.
type part struct {
	service *Service
	index   int // on the board
	count   int32
	task    Task // the first, for messages
}

// Need is something that only some hosts have: a volume's data, an external network, a task to be beside.
type Need struct {
	Hosts []bool // by host index
	Text  string // the refusal of the other hosts: `volume app_data has its data on web1`
}

// NewRequest asks for a place for one task of a service. More tasks join with Add.
func (b *Board) NewRequest(s *Service, t Task, needs ...Need) *Request {
	r := &Request{strategy: s.Strategy, preferences: s.Preferences}
	b.Add(r, s, t, needs...)
	return r
}

// Wish adds what some hosts have and the request would rather have than not.
func (r *Request) Wish(wishes ...SoftNeed) { r.wishes = append(r.wishes, wishes...) }

// Add lets one more task stand beside the others of the request. Strategy and preferences stay those of the first.
func (b *Board) Add(r *Request, s *Service, t Task, needs ...Need) {
	r.asked = false
	r.needs = append(r.needs, needs...)
	r.reservation = r.reservation.Add(s.Reservation)
	r.resources = r.resources.add(s.Resources)
	for _, p := range s.Ports {
		r.fixedPorts = r.fixedPorts || p.Published != 0
	}
	for i := range r.parts {
		if r.parts[i].service == s {
			r.parts[i].count++
			return
		}
	}
	b.Know(s)
	r.beside = r.beside || b.minds(s)
	r.parts = append(r.parts, part{service: s, index: b.Service(s.Name), count: 1, task: t})
}

// Admits reports whether a host may hold the request at all, whatever else is on it: it answers, meets constraints,
// platform and needs.
func (b *Board) Admits(r *Request, host int) bool {
	for _, f := range b.lasting {
		if f.applies(r) && !f.passes(b, r, host) {
			return false
		}
	}
	return true
}

// Fits reports whether an admitted host has room now: capacity, ports, tasks per host.
func (b *Board) Fits(r *Request, host int) bool {
	for _, f := range b.passing {
		if f.applies(r) && !f.passes(b, r, host) {
			return false
		}
	}
	return true
}

// Explain says why the host refuses the request, with the first filter that does; "" when none does.
func (b *Board) Explain(r *Request, host int) string {
	if f := b.refuses(r, host); f != nil {
		return f.explain(b, r, host)
	}
	return ""
}
