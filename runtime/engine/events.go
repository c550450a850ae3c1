package engine

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"berth/placement"
)

// Event is something that happened on an engine.
type Event struct {
	Time       time.Time // the engine's clock
	Type       string    // "container", "network"; or Resync, Lost
	Action     string    // "start", "die", "health_status: healthy", "connect" …
	ID         string    // of the container or network
	Name       string    // its name at the time
	Attributes map[string]string
}

// Container is what an event of a container tells about it, and its project; "" for one that is none's.
func (ev Event) Container(host string) (project string, c placement.Container) {
	labels := ev.Attributes
	c = placement.Container{ID: ev.ID, Name: ev.Name, Host: host, Labels: labels, OneOff: labels[labelOneOff] == "True"}
	c.Task.Service = labels[labelService]
	if !c.OneOff {
		c.Task.Number, _ = strconv.Atoi(labels[labelNumber])
	}
	return labels[labelProject], c
}

// Resync is the type of the event that tells of a newly opened stream: a restarted engine has forgotten what happened
// before, so look again.
const Resync = "resync"

// Lost is the type of the event that tells that the engine has not answered for lostAfter or longer. Its attribute
// "error" says why. It comes again with each further attempt that fails.
const Lost = "lost"

// lostAfter is how long an engine may be away (a restart takes some seconds) before its waiters are told.
const lostAfter = 20 * time.Second

// Events is one stream of an engine's container and network events, shared by any number of subscribers. It survives
// the engine's restarts: the stream is opened again from where it broke.
type Events struct {
	engine   *Engine
	query    EventQuery
	cancel   context.CancelFunc
	anchored chan struct{} // closed when everything from now on will be delivered
	done     chan struct{} // closed when the stream has ended
	patience time.Duration // after it an engine that does not answer is lost

	mu   sync.Mutex
	next int
	subs map[int]func(Event) bool
}

// Events opens the engine's event stream. It ends with ctx or Close.
func (e *Engine) Events(ctx context.Context) *Events { return e.events(ctx, EventQuery{}, lostAfter) }

func (e *Engine) events(ctx context.Context, q EventQuery, patience time.Duration, first ...func(Event) bool) *Events {
	ctx, cancel := context.WithCancel(ctx)
	h := &Events{engine: e, query: q, cancel: cancel, patience: patience, anchored: make(chan struct{}),
		done: make(chan struct{}), subs: map[int]func(Event) bool{}}
	for _, f := range first {
		h.Subscribe(f)
	}
	go h.run(ctx)
	return h
}

// Close ends the stream and waits for its goroutine.
func (h *Events) Close() error {
	h.cancel()
	<-h.done
	return nil
}

// Done is closed when the stream has ended.
func (h *Events) Done() <-chan struct{} { return h.done }

// Anchored is closed as soon as every later event is sure to be delivered, even if the stream opens after it.
func (h *Events) Anchored() <-chan struct{} { return h.anchored }

// Subscribe calls f for each event, in order, until f returns true or cancel is called; after cancel one call may
// still be under way. f must not block: all subscribers share one goroutine.
func (h *Events) Subscribe(f func(Event) (done bool)) (cancel func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := h.next
	h.next++
	h.subs[id] = f
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, id)
	}
}

func (h *Events) deliver(ev Event) {
	h.mu.Lock()
	subs := maps.Clone(h.subs)
	h.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(subs)) {
		if subs[id](ev) {
			h.mu.Lock()
			delete(h.subs, id)
			h.mu.Unlock()
		}
	}
}

// Pauses between attempts to open the stream: they double from the first to the last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

func (h *Events) run(ctx context.Context) {
	defer close(h.done)
	since, began := h.query.Since, false
	if !since.IsZero() {
		close(h.anchored)
	}
	until, pause, answered := h.query.Until, firstPause, time.Now()
	for ctx.Err() == nil {
		if !until.IsZero() && since.After(until) {
			return // all that was asked for has come; the engine refuses the question
		}
		var err error
		if since.IsZero() {
			if since, err = h.engine.now(ctx); err == nil {
				close(h.anchored)
			}
		}
		if err == nil {
			var heard time.Time
			if since, heard, err = h.stream(ctx, since, h.query.Fresh && !began); !heard.IsZero() {
				pause, answered, began = firstPause, heard, true
			}
			if h.over(ctx, err) {
				return
			}
		}
		if time.Since(answered) >= h.patience && ctx.Err() == nil {
			h.deliver(Event{Time: answered, Type: Lost, Attributes: map[string]string{"error": problem(h.engine, err)}})
			if !until.IsZero() && time.Now().After(until) { // by this machine's clock, as the engine's is not to be had
				return
			}
		}
		_ = sleep(ctx, pause) // the loop looks at ctx
		pause = min(2*pause, lastPause)
	}
}

// now is the engine's time, cut to the whole second by HTTP's Date header: a stream anchored there repeats up to a
// second of the past and misses nothing, whatever this machine's clock says.
func (e *Engine) now(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*heartbeat)
	defer cancel()
	header, err := e.greet(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return http.ParseTime(header.Get("Date"))
}

// heartbeat is how often an engine with an open stream is asked whether it is there, and how long it has to answer: a
// connection to a host that was cut off stays open for minutes, and silent like that of an engine with nothing to tell.
const heartbeat = 5 * time.Second

// stream reads one connection's events until it breaks. It gives the time just after the latest event, or the one
// before when there was none, and when the engine was last heard: zero if it did not answer at all.
//
// With fresh set the engine is asked for what happens from now on, and since is only where the next stream would begin.
func (h *Events) stream(ctx context.Context, since time.Time, fresh bool) (last, heard time.Time, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A request may go out on a connection that died in silence, and would wait there for a quarter of an hour.
	opening := time.AfterFunc(2*heartbeat, cancel)
	defer opening.Stop()
	options := h.query.options()
	if !fresh {
		options.Since = unix(since)
	}
	messages, errs := h.engine.api.Events(ctx, options)
	// The client has waited for the answer; a refusal may be on its way to errs still, so ask once more.
	if _, err := h.engine.greet(ctx); err != nil {
		cancel()
		for range errs { // until the client's goroutine has ended
		}
		return since, time.Time{}, err
	}
	if !opening.Stop() {
		for range errs {
		}
		return since, time.Time{}, context.DeadlineExceeded
	}
	last, heard = since, time.Now()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	type answer struct{ err error }
	beats := make(chan answer, 1)
	asking := false
	h.deliver(Event{Time: since, Type: Resync})
	for {
		select {
		case m := <-messages:
			ev := eventOf(m)
			last = ev.Time.Add(1) // the engine's since includes its instant
			h.deliver(ev)
			heard = time.Now()
		case <-beat.C:
			if asking {
				continue
			}
			asking = true
			go func() {
				ctx, cancel := context.WithTimeout(ctx, heartbeat)
				defer cancel()
				_, err := h.engine.greet(ctx)
				beats <- answer{err}
			}()
		case a := <-beats:
			if asking = false; a.err != nil {
				cancel()
				for range errs {
				}
				return last, heard, a.err
			}
			heard = time.Now()
		case err := <-errs:
			if cancel(); asking {
				<-beats
			}
			for range errs { // until the client's goroutine has ended
			}
			return last, heard, err
		}
	}
}
