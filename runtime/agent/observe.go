package agent

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"

	"berth/runtime/engine"
	"berth/runtime/ledger"
)

// inspectLimit bounds the containers looked at at the same time.
const inspectLimit = 16

// observer turns the engine's events into states of containers. It keeps the events' order for each container: what an
// inspection says counts only if nothing happened to the container since it was asked for. A start whose event tells enough
// counts at once.
type observer struct {
	engine Engine
	log    *slog.Logger
	wake   chan struct{} // of size 1: there is something to take
	sem    *semaphore.Weighted
	wg     sync.WaitGroup

	mu      sync.Mutex
	seq     uint64
	latest  map[string]uint64 // container ID → sequence of its last event; of one that is gone, until a listing lacks it
	seen    map[string]seen   // by container ID
	changed bool
	resync  bool            // the event stream was opened anew
	network bool            // an engine network came or went
	freed   bool            // a container went or left a network
	left    map[string]bool // containers (ID) that left a network and were not asked for by strayed yet
}

// seen is a container as last seen.
type seen struct {
	name   string
	state  ledger.State
	joined map[string]engine.Address // by engine network; nil while it does not run
	looked bool                      // joined is from an inspection: a listing does not tell the names there
}

// at reports whether a container is where another sighting saw it, names apart.
func (s seen) at(t seen) bool {
	return maps.EqualFunc(s.joined, t.joined, func(a, b engine.Address) bool {
		return a.NetworkID == b.NetworkID && a.IP == b.IP && a.IP6 == b.IP6 && a.MAC == b.MAC
	})
}

// news is what happened since the last take.
type news struct {
	containers map[string]ledger.State // by name, all of the engine; nil when nothing changed
	joined     map[string]joined       // by name, those that run; nil likewise
	resync     bool
	network    bool
	freed      bool
	left       bool
}

// joined is where a container is.
type joined struct {
	id       string
	networks map[string]engine.Address
	looked   bool // see seen
}

func newObserver(e Engine, log *slog.Logger) *observer {
	return &observer{engine: e, log: log, wake: make(chan struct{}, 1), sem: semaphore.NewWeighted(inspectLimit),
		latest: map[string]uint64{}, seen: map[string]seen{}, left: map[string]bool{}}
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
		case "connect", "disconnect":
			o.freed = o.freed || ev.Action == "disconnect"
			if id := ev.Attributes["container"]; ev.Action == "disconnect" && o.seen[id].state.Running {
				o.left[id] = true
			}
			o.poke()
			o.moved(ctx, ev.Attributes["container"])
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
	case "die":
		o.set(ev.ID, seen{name: ev.Name})
	case "pause": // it keeps its addresses
		s := o.seen[ev.ID]
		s.name, s.state = ev.Name, ledger.State{}
		o.set(ev.ID, s)
	case "destroy":
		delete(o.seen, ev.ID) // a listing that is under way may still have it
		o.changed, o.freed = true, true
		o.poke()
	case "health_status":
		s := o.seen[ev.ID]
		s.name, s.state = ev.Name, ledger.State{Running: true, Health: detail}
		o.set(ev.ID, s)
	default:
		if (action == "start" || action == "unpause") && startServes(ev) {
			s := o.seen[ev.ID]
			s.name, s.state = ev.Name, ledger.State{Running: true}
			o.set(ev.ID, s)
		}
		asked := o.seq // where it is, and under which names, is still to be looked up
		o.wg.Go(func() { o.inspect(ctx, ev.ID, asked) })
	}
}

// moved looks at a container that runs and joined or left a network. One that starts or stops does so too, and has
// events of its own.
func (o *observer) moved(ctx context.Context, id string) {
	if !o.seen[id].state.Running {
		return
	}
	o.seq++
	o.latest[id] = o.seq
	asked := o.seq
	o.wg.Go(func() { o.inspect(ctx, id, asked) })
}

// look inspects a container whose listing did not tell enough.
func (o *observer) look(ctx context.Context, id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.moved(ctx, id)
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
		now := seen{name: s.Name, state: ledger.State{Running: s.Running && s.Status != "paused", Health: s.Health}, looked: true}
		if s.Running {
			now.joined = s.Networks
		}
		o.set(id, now)
	case engine.IsNotFound(err):
		delete(o.latest, id)
	case ctx.Err() == nil:
		// The stream will be opened anew, or the next listing finds it.
		o.log.Warn("container not looked at", "id", short(id), "err", err)
	}
}

func (o *observer) set(id string, s seen) {
	if old, known := o.seen[id]; !known || !reflect.DeepEqual(old, s) {
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
func (o *observer) list(ctx context.Context) ([]engine.ContainerInfo, error) {
	o.mu.Lock()
	began := o.seq
	o.mu.Unlock()
	all, err := o.engine.Containers(ctx, engine.Filter{All: true})
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	there := make(map[string]bool, len(all))
	for _, c := range all {
		there[c.ID] = true
		if o.latest[c.ID] <= began {
			now := seen{name: c.Name, state: ledger.State{Running: c.State == "running", Health: c.Health}}
			if c.State == "running" || c.State == "paused" {
				now.joined = c.Networks
			}
			if old := o.seen[c.ID]; old.looked && now.at(old) {
				now.joined, now.looked = old.joined, true
			}
			o.set(c.ID, now)
		}
	}
	for id := range o.seen {
		if !there[id] && o.latest[id] <= began {
			delete(o.seen, id)
			o.changed = true
		}
	}
	maps.DeleteFunc(o.latest, func(id string, last uint64) bool { return !there[id] && last <= began })
	o.poke()
	return all, nil
}

// strayed reports whether a container has left a network, since it was last asked, and runs on.
func (o *observer) strayed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	runs := false
	for id := range o.left {
		runs = runs || o.seen[id].state.Running
	}
	clear(o.left)
	return runs
}

// take returns the news and clears them.
func (o *observer) take() news {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := news{resync: o.resync, network: o.network, freed: o.freed, left: len(o.left) > 0}
	if o.changed {
		n.containers = make(map[string]ledger.State, len(o.seen))
		n.joined = map[string]joined{}
		for id, s := range o.seen {
			// While a successor takes over a name, the one that runs counts.
			if old, ok := n.containers[s.name]; !ok || !old.Running {
				n.containers[s.name] = s.state
				delete(n.joined, s.name)
				if len(s.joined) > 0 {
					n.joined[s.name] = joined{id, s.joined, s.looked}
				}
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
