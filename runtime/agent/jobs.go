package agent

import (
	"context"
	"reflect"
	"time"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/ledger"
)

// jobLimit bounds what an agent asks of its engine at the same time.
const jobLimit = 4

// jobTime bounds one job; an engine that hangs must not hold a slot for ever.
const jobTime = 2 * time.Minute

// result is what a job found.
type result struct {
	// of a list job
	listed     bool
	containers []engine.ContainerInfo
	facts      ledger.Engine
	after      int // jobs of networks that had ended when the listing began
	id         string
	nets       []engine.NetworkInfo
	// of a network's job; id is the engine network's
	network string
	made    made
	removed bool
	probed  *probed // of a round of probes

	device *deviceResult // of a job at the WireGuard device
	// of a job that puts a container back onto a network
	rejoined  [2]string
	container string
	err       error
}

// start runs a network's job; one a network at a time.
func (a *agent) start(ctx context.Context, n *network, f func(context.Context) result) {
	n.busy = true
	a.job(ctx, func(ctx context.Context) result {
		r := f(ctx)
		r.network = n.name
		return r
	})
}

// job runs f when a slot is free and sends its result to the loop.
func (a *agent) job(ctx context.Context, f func(context.Context) result) {
	a.jobs.Go(func() {
		select {
		case a.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		jctx, cancel := context.WithTimeout(ctx, jobTime)
		r := f(jctx)
		cancel()
		<-a.slots
		select {
		case a.results <- r:
		case <-ctx.Done():
		}
	})
}

// list asks the engine for its networks and containers, and who it is.
func (a *agent) list(ctx context.Context) {
	if a.listing {
		a.relist = true
		return
	}
	a.listing, a.relist = true, false
	after, ask := a.ended, !a.asked
	a.asked = true
	a.job(ctx, func(ctx context.Context) result {
		r := result{listed: true, after: after}
		if ask {
			if r.facts, r.err = a.describe(ctx); r.err != nil {
				return r
			}
		}
		if r.containers, r.err = a.observe.list(ctx); r.err == nil {
			r.nets, r.err = a.engine.Networks(ctx, placement.NetworkLabel)
		}
		return r
	})
}

// describe asks the engine what it is.
func (a *agent) describe(ctx context.Context) (ledger.Engine, error) {
	snap, err := a.engine.Observe(ctx, engine.Query{})
	if err != nil {
		return ledger.Engine{}, err
	}
	h := snap.Host
	if h.State != placement.Ready {
		return ledger.Engine{}, errNotReady(h.Problem)
	}
	return ledger.Engine{
		ID: h.EngineID, Hostname: h.Hostname, OS: h.OS, Arch: h.Arch, Version: h.Version,
		Kernel: h.Kernel, System: h.System, StorageDriver: h.StorageDriver,
		CPU: h.Capacity.CPU, Memory: h.Capacity.Memory, Labels: h.EngineLabels,
		Resources: h.Resources,
	}, nil
}

// errNotReady is why the engine does not answer, as it was observed.
type errNotReady string

func (e errNotReady) Error() string { return string(e) }

// finish takes a job's result in.
func (a *agent) finish(ctx context.Context, r result) {
	a.ports.stale = true // networks may stand that ports wait for
	if r.listed {
		a.finishList(ctx, r)
		return
	}
	if r.device != nil {
		a.finishDevice(ctx, r.device, r.err)
		return
	}
	if r.probed != nil {
		a.finishProbe(ctx, r)
		return
	}
	if r.container != "" {
		a.finishRejoin(ctx, r)
		return
	}
	n := a.network(r.network)
	n.busy = false
	a.ended++
	switch {
	case r.err != nil:
		n.failed = time.Now()
		n.pause = min(max(2*n.pause, time.Second), reconcileEvery)
		what, revision := notMade, a.view.networks[n.name].revision
		if r.removed {
			// Nothing that a command waits for in vain: it may be about to remove what is in the way.
			what, revision = notRemoved, 0
		}
		a.trouble(n, revision, what, r.err)
		if ctx.Err() == nil {
			a.later(ctx, n.pause)
		}
		return
	case r.removed:
		delete(a.engineNets, n.name)
		n.id, n.made, n.tried, n.problem, n.pause = "", made{}, made{}, "", 0
		a.log.Info("network removed", "network", n.name)
	default:
		n.id, n.made, n.problem = r.id, r.made, ""
		a.engineNets[n.name] = engine.NetworkInfo{ID: r.id, Name: n.name, Bridge: r.made.spec.Bridge, Gateway: r.made.spec.Gateway, Labels: r.made.spec.Labels}
		a.probeSoon()
		a.log.Info("network stands", "network", n.name, "vni", r.made.vni, "bridge", r.made.spec.Bridge)
	}
	// The engine has been at the bridge: compare again, report, and go on with what waited.
	a.due = true
}

// finishAll takes a result in, and all others that are at hand: when an agent starts, its host's networks are ready at about
// the same time, and a comparison of everything for each of them would keep the last one waiting.
func (a *agent) finishAll(ctx context.Context, r result) {
	for {
		a.finish(ctx, r)
		select {
		case r = <-a.results:
			continue
		default:
		}
		if a.due {
			a.reconcile(ctx)
		}
		return
	}
}

func (a *agent) finishList(ctx context.Context, r result) {
	a.listing = false
	if r.err != nil {
		if ctx.Err() == nil {
			a.log.Warn("engine not listed", "err", r.err)
			a.asked = false
			a.later(ctx, time.Second)
		}
		return
	}
	if r.facts.ID != "" && !reflect.DeepEqual(a.facts, r.facts) {
		a.facts = r.facts
		a.refresh()
	}
	if a.relist || r.after != a.ended {
		// What was listed may be older than what a job did meanwhile.
		a.list(ctx)
		return
	}
	if a.engineNets == nil {
		a.log.Info("engine listed", "engine", a.facts.ID, "networks", len(r.nets))
	}
	a.engineNets = map[string]engine.NetworkInfo{}
	for _, info := range r.nets {
		if labelVNI(info) != 0 {
			a.engineNets[info.Name] = info
		}
	}
	a.listed = make(map[string]engine.ContainerInfo, len(r.containers))
	for _, c := range r.containers {
		a.listed[c.Name] = c
	}
	a.reconcile(ctx)
	a.rejoin(ctx)
	a.standIn(ctx)
}

// later makes the loop compare again after a while.
func (a *agent) later(ctx context.Context, after time.Duration) {
	a.jobs.Go(func() {
		if sleep(ctx, after) == nil {
			a.observe.again()
		}
	})
}
