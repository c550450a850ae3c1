package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/execute"
	"berth/runtime/logs"
	"berth/scheduler"
)

// attached is an up that shows what the containers write, from the first start until all have ended. It hears of starts
// from the plan's steps and, of what others start later, from the engines' events; of ends from the containers' logs.
type attached struct {
	ss *session
	o  attachOptions

	ctx      context.Context // of what is shown; it outlives an interrupt, after which the containers end
	cancel   context.CancelFunc
	follower *logs.Follower
	printer  *logs.Printer
	work     sync.WaitGroup
	shown    chan error    // what the follower ended with
	aborted  chan struct{} // closed when an end is to end the others

	mu      sync.Mutex
	plan    *scheduler.Plan
	making  int  // containers of the plan that are not made yet
	started bool // a start has come up
	begun   bool
	tracked map[string]*track         // by container ID
	early   map[string][]engine.Event // by container ID: of those that the plan makes, before they are tracked
	left    int                       // tracked ones that are awaited and have not ended
	final   bool                      // all that the command starts has been started
	closed  bool
	stopped func(service string) bool // services that have been stopped; nil before
	first   *int                      // exit code of the one that aborts
}

// track is one container on its way.
type track struct {
	placement.Container
	over  bool
	last  time.Time // of its lines that were shown; zero when there was none. All times are the engine's clock
	run   time.Time // start of the latest run that was looked at; zero for one made by the plan
	end   time.Time // of the run before; zero when there was none
	again bool      // an event told of a start while it was followed, perhaps of another run
	died  *int      // exit code that an event of an end told, and that has not been said
}

// attaching prepares an attached up; ctx ends when the command's own does.
func (ss *session) attaching(ctx context.Context, o attachOptions) *attached {
	a := &attached{ss: ss, o: o, shown: make(chan error, 1), aborted: make(chan struct{}), tracked: map[string]*track{}, early: map[string][]engine.Event{}}
	a.ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	a.printer = ss.printer(nil, ss.env.Stderr)
	a.follower = logs.NewFollower(logs.Merger{Idle: flush(a.printer), Report: a.report}, nil, logs.Options{Follow: true})
	return a
}

// close ends what is under way and waits for it.
func (a *attached) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.cancel()
	a.work.Wait()
}

// planned takes in the plan that is going to be carried out.
func (a *attached) planned(p *scheduler.Plan) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.plan, a.making = p, 0
	if slices.ContainsFunc(p.Steps, func(s scheduler.Step) bool { return s.Kind == scheduler.Provide }) {
		a.making++ // what depends on the provider is made by a later plan
	}
	for i := range p.Steps {
		if makes(&p.Steps[i]) {
			a.making++
		}
	}
}

// makes reports whether a container has its final name with a step.
func makes(s *scheduler.Step) bool { return s.Kind == scheduler.Create || s.Kind == scheduler.Rename }

// step is told of a step's progress, after it was shown: when all containers are made and the first is started, the display
// of progress ends, and each start has its output shown.
func (a *attached) step(r execute.Report) {
	if makes(r.Step) && r.Phase == execute.Done {
		a.mu.Lock()
		a.making--
		a.mu.Unlock()
		a.beginIfMade()
	}
	if r.Step.Kind != scheduler.Start {
		return
	}
	switch r.Phase {
	case execute.Working:
		a.mu.Lock()
		a.started = true
		a.mu.Unlock()
		a.beginIfMade()
		if id := r.Step.ContainerID; id != "" && a.o.concerns(r.Step.Task.Service) {
			a.known(a.container(r.Step, id))
		}
	case execute.Done:
		ct := a.container(r.Step, r.Container)
		if !a.o.concerns(ct.Task.Service) {
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if r.Step.ContainerID != "" {
			a.look(ct, false)
		} else if a.tracked[ct.ID] == nil { // else an event came first
			a.add(ct, "")
			a.catchUp(a.tracked[ct.ID])
		}
	}
}

// known notes when a container ended that is about to be started again.
func (a *attached) known(ct placement.Container) {
	st, err := a.ss.cluster.Engines()[ct.Host].State(a.ctx, ct.ID)
	if err != nil {
		return // its start is going to fail too
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tracked[ct.ID] = &track{Container: ct, over: true, run: st.StartedAt, end: st.FinishedAt}
}

// container is what a start step is about.
func (a *attached) container(s *scheduler.Step, id string) placement.Container {
	return placement.Container{ID: id, Name: s.Name, Host: s.Host, Task: s.Task, Labels: logs.Labels(a.ss.name, s.Task)}
}

// beginIfMade begins when something is started and nothing is left to make. What has been started before is shown from
// its first line on.
func (a *attached) beginIfMade() {
	a.mu.Lock()
	ready := a.started && a.making == 0
	a.mu.Unlock()
	if ready {
		a.begin()
	}
}

// begin says whose output follows, and shows that of what runs already from now on.
func (a *attached) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun {
		return
	}
	a.begun = true
	a.ss.display.Close() // what follows is the containers' own output
	var labels []string
	for i := range a.plan.Steps {
		if s := &a.plan.Steps[i]; s.Kind == scheduler.Start && a.o.shows(s.Task.Service) {
			labels = append(labels, logs.Label(a.container(s, "")))
		}
	}
	for _, ct := range a.plan.Running {
		if a.o.shows(ct.Task.Service) {
			labels = append(labels, logs.Label(ct))
		}
		if a.o.concerns(ct.Task.Service) {
			a.add(ct, logs.Now)
		}
	}
	slices.Sort(labels)
	if len(labels) > 0 {
		a.printer.Attaching(slices.Compact(labels))
	}
	for _, h := range a.ss.inv.Hosts {
		a.ss.events(h.Name).Subscribe(func(ev engine.Event) bool { a.event(h.Name, ev); return false })
	}
	a.work.Go(func() { a.shown <- a.follower.Run(a.ctx, a.printer.Line) })
}

// look follows the latest run of a container that has been started, unless that run is known already: what it wrote in
// earlier ones is not shown. With running set, only if it goes on: events repeat the latest past. a.mu is held.
func (a *attached) look(ct placement.Container, running bool) {
	a.left++ // until it is known
	a.work.Go(func() {
		st, err := a.ss.cluster.Engines()[ct.Host].State(a.ctx, ct.ID)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.left--
		t := a.tracked[ct.ID]
		if t == nil {
			if t = (&track{Container: ct, over: true}); !a.makes(ct) {
				t.end = st.FinishedAt
			}
		}
		if err == nil && (st.Running || !running) && t.over && st.StartedAt.After(t.run) {
			a.tracked[ct.ID] = t
			t.run = st.StartedAt
			a.add(ct, t.since())
			a.catchUp(t)
		}
		a.settle()
	})
}

// makes reports whether the plan makes a container, all runs of which are the command's then. a.mu is held.
func (a *attached) makes(ct placement.Container) bool {
	return slices.ContainsFunc(a.plan.Steps, func(s scheduler.Step) bool {
		return s.Kind == scheduler.Start && s.ContainerID == "" && s.Name == ct.Name && s.Host == ct.Host
	})
}

// since is the time that the lines of a track's latest run come after. Lines are stamped when the engine reads them,
// which may be a little later than the end of the run before, and earlier than what counts as the start.
func (t *track) since() string {
	at := t.last.Add(time.Nanosecond)
	switch {
	case !t.last.IsZero():
	case t.end.IsZero():
		return ""
	default:
		at = t.end.Add(t.run.Sub(t.end) / 2)
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// add tracks a container from since on. a.mu is held.
func (a *attached) add(ct placement.Container, since string) {
	t := a.tracked[ct.ID]
	if t == nil {
		t = &track{Container: ct}
		a.tracked[ct.ID] = t
	} else if !t.over {
		return
	}
	t.over = false
	a.count(t, 1)
	if !a.o.shows(ct.Task.Service) {
		a.work.Go(func() { a.ended(t, a.ss.stream(ct), false) })
	} else if a.follower.Add(a.ss.stream(ct), since) != nil {
		t.over = true // all others have ended
		a.count(t, -1)
	}
}

// count notes that one more container is awaited, or one less, if that one is. a.mu is held.
func (a *attached) count(t *track, n int) {
	if a.o.awaits(t.Task.Service) {
		a.left += n
	}
}

// event is told what happens on a host; it must not block.
func (a *attached) event(host string, ev engine.Event) {
	if ev.Type == engine.Lost {
		a.follower.Lost(host, errors.New(ev.Attributes["error"]))
		return
	}
	if ev.Type != "container" || ev.Action != "start" && ev.Action != "die" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	if t := a.tracked[ev.ID]; t != nil {
		a.happened(t, ev)
		if ev.Action == "start" {
			if t.again = !t.over; t.over {
				a.look(t.Container, true)
			}
		}
		return
	}
	project, ct := ev.Container(host)
	if project != a.ss.name || ct.OneOff || !a.o.concerns(ct.Task.Service) {
		return
	}
	if a.makes(ct) {
		a.early[ev.ID] = append(a.early[ev.ID], ev)
	}
	if ev.Action == "start" {
		a.look(ct, true)
	}
}

// happened takes in the end of a run, or that another one has begun, of a container that is followed. a.mu is held.
func (a *attached) happened(t *track, ev engine.Event) {
	switch {
	case ev.Action == "die":
		if code, err := strconv.Atoi(ev.Attributes["exitCode"]); err == nil && !t.over {
			t.died = &code
		}
	case t.died != nil:
		a.status(t, fmt.Sprintf("exited with code %d (restarting)", *t.died))
		t.died = nil
	}
}

// catchUp takes in what happened to a container before it was tracked. a.mu is held.
func (a *attached) catchUp(t *track) {
	for _, ev := range a.early[t.ID] {
		a.happened(t, ev)
	}
	delete(a.early, t.ID)
}
