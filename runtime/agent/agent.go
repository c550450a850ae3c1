package agent

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/ingress"
	"berth/runtime/ledger"
	"berth/runtime/names"
	"berth/runtime/overlay"
)

// reconcileEvery is the time between two comparisons of everything with kernel and engine; events start them sooner.
const reconcileEvery = 30 * time.Second

// settleLinks is how long link news are gathered before they start a comparison.
const settleLinks = 50 * time.Millisecond

// agent is one loop that owns all state and never blocks on engine or store: slow work is done by jobs, whose results
// come back to it, and by the publisher.
type agent struct {
	config Config
	engine Engine
	net    *overlay.Overlay
	names  *names.Server
	// ingress answers ports; its DropFlows is for jobs.
	ingress *ingress.Ingress
	log     *slog.Logger

	publish   *publisher
	observe   *observer
	updates   chan update
	results   chan result
	jobs      sync.WaitGroup
	slots     chan struct{} // bounds engine jobs
	keeping   chan struct{} // of size 1: full while what is known is being written
	connected atomic.Bool
	memory    *memory
	epochTold string // what the loop was last told; the session's own
	files     Files
	member    *keeper
	refusals  chan bool // of size 1: whether the store refuses this host's certificate, by the last word

	// All below belongs to the loop.
	view       *view // nil until the store was read
	unkept     bool  // it has changed since it was last kept; see keep
	recalled   *view // what an earlier agent knew; nil once the store has answered
	restored   bool  // whether tunnels have to be made by it was looked at
	underlay   overlay.Underlay
	facts      ledger.Engine                   // zero until the engine has been asked
	asked      bool                            // since it was last connected to: one restarted may be another version
	engineNets map[string]engine.NetworkInfo   // made by agents, by name; nil until the engine was listed
	containers map[string]ledger.State         // of this engine, by name
	joined     map[string]joined               // those that run and are on networks
	guests     map[string]placement.Endpoint   // by key, what this host has reported; see host
	warned     map[string]bool                 // keys of guests that could not be reported
	listed     map[string]engine.ContainerInfo // the last listing's containers, by name
	rejoined   map[[2]string]time.Time         // when a container (ID) was last put back onto a network
	waiting    bool                            // a container is to be put back when its project is not locked any more
	locals     map[string]bool                 // containers of this host with an endpoint; see stateKeys
	nets       map[string]*network
	zones      map[string]bool // networks that the name server knows
	listing    bool            // a list job is under way
	relist     bool            // another one is wanted
	ended      int             // jobs of networks that have ended
	due        bool            // one of them has changed something: everything is to be compared
	ports      ports
	paths      paths
	firewall   string   // complaint about the host's firewall last logged
	epoch      string   // in which the store was told what runs here; "" before
	problems   []string // with what it was told
	encryption encryption
	overlaps   []string // sentences about routes last logged
	retired    bool     // the host is refused
}

func newAgent(c Config, e Engine, net *overlay.Overlay, server *names.Server, in *ingress.Ingress, files Files, log *slog.Logger) *agent {
	return &agent{config: c, engine: e, net: net, names: server, ingress: in, files: files, log: log, refusals: make(chan bool, 1), keeping: make(chan struct{}, 1),
		publish: newPublisher(log), observe: newObserver(e, log),
		memory:  recall(""),
		updates: make(chan update, 256), results: make(chan result), slots: make(chan struct{}, jobLimit),
		nets: map[string]*network{}, zones: map[string]bool{}, warned: map[string]bool{}, paths: newPaths(net),
		rejoined: map[[2]string]time.Time{}}
}

// loop runs until ctx ends.
func (a *agent) loop(ctx context.Context, links <-chan struct{}) {
	defer a.jobs.Wait()
	// Agents that began together, with a command or when power came back, do not all compare at the same moments: hosts may
	// share processors, and all share the store.
	tick := time.NewTicker(reconcileEvery - rand.N(reconcileEvery/2))
	defer tick.Stop()
	settle := time.NewTimer(time.Hour)
	settle.Stop()
	a.paths.timer.Stop()
	left := time.NewTimer(time.Hour)
	left.Stop()
	recall := time.NewTimer(recallAfter)
	defer recall.Stop()
	defer a.keep(true)
	a.refresh()
	a.list(ctx)
	for {
		if a.ports.stale && !a.retired {
			a.setPorts(ctx)
		}
		var c changes
		select {
		case <-ctx.Done():
			return
		case u := <-a.updates:
			c = a.take(u)
		case r := <-a.results:
			a.finishAll(ctx, r)
			continue
		case refused := <-a.refusals:
			if refused {
				a.retire()
			}
			if refused || !a.retired {
				continue
			}
			c.whole = true // let in again: unless the store's own word is against it, everything goes on
		case <-a.member.news:
			a.refresh()
			continue
		case <-a.observe.wake:
			news := a.observe.take()
			if news.left {
				left.Reset(settleLeft)
			}
			a.noticed(ctx, news)
			continue
		case <-left.C:
			if a.observe.strayed() {
				a.list(ctx)
			}
			continue
		case <-links:
			settle.Reset(settleLinks)
			continue
		case <-settle.C:
			a.reconcile(ctx)
			continue
		case <-recall.C:
			a.recallKnown(ctx)
			continue
		case <-a.paths.timer.C:
			a.probe(ctx)
			continue
		case <-tick.C:
			tick.Reset(reconcileEvery)
			if a.retired {
				continue
			}
			a.refresh()
			a.remember()
			a.keep(false)
			a.names.Reload()
			a.list(ctx)
			a.reconcile(ctx)
			a.verifyPorts()
			a.probe(ctx)
			continue
		}
		a.act(ctx, c)
	}
}

// take applies an update and all others that are at hand.
func (a *agent) take(u update) changes {
	var c changes
	for {
		switch {
		case u.told != nil:
			a.epoch, a.problems = u.told.epoch, u.told.problems
			a.refresh()
		case u.snapshot != nil:
			a.view = load(a.config.Host, a.log, *u.snapshot)
			c = changes{whole: true}
		case u.shift != nil:
			a.view.shift(*u.shift, &c)
		case a.view != nil:
			for _, e := range u.batch.Events {
				a.view.apply(e, &c)
			}
			a.view.revision = u.batch.Revision
		}
		select {
		case u = <-a.updates:
		default:
			if a.view != nil {
				a.view.settle(&c)
			}
			return c
		}
	}
}

// act brings the host in line with what changed in the store: first how frames find their way, then names, then what
// takes longer.
func (a *agent) act(ctx context.Context, c changes) {
	if a.view == nil {
		return // the store was told something, and has not been read yet
	}
	if c.whole || c.members {
		if a.view.members != nil {
			a.member.follow(*a.view.members)
		}
	}
	if c.whole || c.refused {
		a.member.refuse(maps.Clone(a.view.refused))
		if a.refusesMe() {
			a.retire()
		} else if a.retired {
			a.log.Info("this host is part of the cluster again")
			a.retired = false
			a.publish.all() // what this host had said was deleted
			a.refresh()
			c.whole = true
		}
	}
	if a.retired {
		return
	}
	a.unkept, a.recalled = true, nil
	if c.whole {
		a.refresh()
	}
	if c.whole || c.paths {
		a.probeSoon()
	}
	switch {
	case c.whole || c.links:
		a.reconcile(ctx)
	case len(c.entries) > 0:
		// What does not stand gets its entries when it does.
		c.entries = slices.DeleteFunc(c.entries, func(e overlay.Change) bool { return !a.net.Stands(e.VNI) })
		if err := a.net.Apply(ctx, c.entries...); err != nil {
			a.log.Warn("entries not written, comparing everything", "err", err)
			a.reconcile(ctx)
		}
	}
	if c.keys && !c.whole && !c.links {
		a.encrypt(ctx)
	}
	a.setZones(c)
	for _, s := range c.serving {
		a.names.SetServing(s.host, s.container, a.serves(s.host, s.container))
	}
	if c.whole || c.local || c.links {
		a.host(ctx)
		a.stateKeys()
	}
	if c.whole || c.ports || c.links && len(a.view.ports) > 0 {
		a.ports.revision = a.view.revision
		a.ports.stale = true
	}
	a.ports.stale = a.ports.stale || len(a.view.ports) > 0 && (len(c.serving) > 0 || len(c.zones) > 0)
	if a.waiting && c.unlocked {
		a.list(ctx)
	}
}
