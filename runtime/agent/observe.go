package agent

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"

	"berth/runtime/engine"
	"berth/runtime/ledger"
)

// inspectLimit bounds the containers looked at at the same time.
const inspectLimit = 16

// observer turns the engine's events into states of containers. It keeps the events' order for each container: what an
// inspection says counts only if nothing happened to the container since it was asked for.
type observer struct {
	engine Engine
	log    *slog.Logger
	wake   chan struct{} // of size 1: there is something to take
	sem    *semaphore.Weighted
	wg     sync.WaitGroup

	mu      sync.Mutex
	seq     uint64
	latest  map[string]uint64 // container ID → sequence of its last event
	seen    map[string]seen   // by container ID
	changed bool
	resync  bool // the event stream was opened anew
	network bool // an engine network came or went
	freed   bool // a container went or left a network
}

// seen is a container as last seen.
type seen struct {
	name  string
	state ledger.State
}

// news is what happened since the last take.
type news struct {
	containers map[string]ledger.State // by name, all of the engine; nil when nothing changed
	resync     bool
	network    bool
	freed      bool
}

func newObserver(e Engine, log *slog.Logger) *observer {
	return &observer{engine: e, log: log, wake: make(chan struct{}, 1), sem: semaphore.NewWeighted(inspectLimit),
		latest: map[string]uint64{}, seen: map[string]seen{}}
}

// run follows the engine's events until ctx ends.
func (o *observer) run(ctx context.Context) {
	hub := o.engine.Events(ctx)
	cancel := hub.Subscribe(func(ev engine.Event) bool {
		o.event(ctx, ev)
		return false
	})
	<-ctx.Done()
	cancel()
	_ = hub.Close()
	o.wg.Wait()
}

// event takes one event in; it must not block.
func (o *observer) event(ctx context.Context, ev engine.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch ev.Type {
	case engine.Resync:
		o.resync = true
		o.poke()
	case "network":
		switch ev.Action {
		case "create", "destroy":
			o.network = true
			o.poke()
		case "disconnect":
			o.freed = true
			o.poke()
		}
	case "container":
		o.container(ctx, ev)
	}
}

func (o *observer) container(ctx context.Context, ev engine.Event) {
	action, detail, _ := strings.Cut(ev.Action, ": ")
	switch action {
	case "die", "pause", "destroy", "health_status", "start", "unpause", "rename":
	default:
		return // exec_start, attach, top and such: many, and of no interest
	}
	o.seq++
	o.latest[ev.ID] = o.seq
	switch action {
	case "die", "pause":
		o.set(ev.ID, seen{ev.Name, ledger.State{}})
	case "destroy":
		delete(o.seen, ev.ID)
		delete(o.latest, ev.ID)
		o.changed, o.freed = true, true
		o.poke()
	case "health_status":
		o.set(ev.ID, seen{ev.Name, ledger.State{Running: true, Health: detail}})
	default:
		asked := o.seq
		o.wg.Go(func() { o.inspect(ctx, ev.ID, asked) })
	}
}

// inspect looks at a container whose event does not tell enough.
func (o *observer) inspect(ctx context.Context, id string, asked uint64) {
	if o.sem.Acquire(ctx, 1) != nil {
		return
	}
	defer o.sem.Release(1)
	s, err := o.engine.State(ctx, id)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.latest[id] != asked {
		return // a later event knows better
	}
	switch {
	case err == nil:
		o.set(id, seen{s.Name, ledger.State{Running: s.Running && s.Status != "paused", Health: s.Health}})
	case engine.IsNotFound(err):
		delete(o.latest, id)
	case ctx.Err() == nil:
		// The stream will be opened anew, or the next listing finds it.
		o.log.Warn("container not looked at", "id", short(id), "err", err)
	}
}

func (o *observer) set(id string, s seen) {
	if o.seen[id] != s {
		o.seen[id] = s
		o.changed = true
		o.poke()
	}
}

func (o *observer) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// list reads all containers; what events said since it began counts more.
func (o *observer) list(ctx context.Context) error {
	o.mu.Lock()
	began := o.seq
	o.mu.Unlock()
	all, err := o.engine.Containers(ctx, engine.Filter{All: true})
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	there := make(map[string]bool, len(all))
	for _, c := range all {
		there[c.ID] = true
		if o.latest[c.ID] <= began {
			o.set(c.ID, seen{c.Name, ledger.State{Running: c.State == "running", Health: c.Health}})
		}
	}
	for id := range o.seen {
		if !there[id] && o.latest[id] <= began {
			delete(o.seen, id)
			delete(o.latest, id)
			o.changed = true
		}
	}
	o.poke()
	return nil
}

// take returns the news and clears them.
func (o *observer) take() news {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := news{resync: o.resync, network: o.network, freed: o.freed}
	if o.changed {
		n.containers = make(map[string]ledger.State, len(o.seen))
		for _, s := range o.seen {
			// While a successor takes over a name, the one that runs counts.
			if old, ok := n.containers[s.name]; !ok || !old.Running {
				n.containers[s.name] = s.state
			}
		}
	}
	o.changed, o.resync, o.network, o.freed = false, false, false, false
	return n
}

// short is the part of an ID that people read.
func short(id string) string { return id[:min(12, len(id))] }

// again makes the loop look at the engine anew.
func (o *observer) again() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.resync = true
	o.poke()
}
