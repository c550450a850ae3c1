package execute

import (
	"context"
	"fmt"
	"io"
	"sync"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/images"
	"berth/scheduler"
)

// World is everything that a plan's steps act on.
type World struct {
	Project *placement.Project
	Cluster bool
	Engines map[string]*engine.Engine // by host
	Store   Store                     // nil on one host; for plans that only withdraw, nil where it does not answer
	Build   images.BuildOptions       // of what the plan builds
	// Provided takes in the variables that a provider gave to the services that depend on it, under the names that these see.
	// Providers that run at the same time call it at the same time.
	Provided func(service string, variables map[string]string)
	// HookOutput gives where the output of a step's hooks goes; nil shows it in errors only.
	HookOutput func(s *scheduler.Step) io.WriteCloser
}

// Store is what steps need of a cluster's store; the project's lock is held by the caller.
type Store interface {
	// Commit applies a change in one transaction, guarded by the allocation key and the project's lock.
	Commit(ctx context.Context, c *scheduler.Change) error
	// NetworkReady waits until the host's agent reports the network up (or says why it cannot be).
	NetworkReady(ctx context.Context, network, host string) error
	// PortAnswered waits until the agents of the hosts answer a port in mode ingress, or one says why it cannot.
	PortAnswered(ctx context.Context, port string, hosts []string) error
	// Withdraw tells all hosts that a container is about to be stopped, and waits a while until none sends it anything new.
	Withdraw(ctx context.Context, host, container string) error
	// NetworkGone waits until the host's agent reports the network gone, which the plan's Record step asked for.
	NetworkGone(ctx context.Context, network, host string) error
}

// Run carries out the plan and reports each step. The error is *Error when steps failed.
func Run(ctx context.Context, w World, plan *scheduler.Plan, limits Limits, report func(Report)) error {
	r := &runner{world: w, plan: plan, hubs: map[string]*engine.Events{}, ids: map[string]string{}}
	r.report = serial(func(x Report) {
		if x.Step.Kind == scheduler.Start && x.Phase == Done {
			x.Container = r.container(x.Step)
		}
		report(x)
	})
	defer r.close()
	return runGraph(ctx, plan.Steps, limits, r.do, r.report)
}

// serial lets progress of pulls, which comes from other goroutines, interleave with the graph's own reports.
func serial(report func(Report)) func(Report) {
	var mu sync.Mutex
	return func(r Report) {
		mu.Lock()
		defer mu.Unlock()
		report(r)
	}
}

type runner struct {
	world  World
	plan   *scheduler.Plan
	report func(Report)

	mu     sync.Mutex
	hubs   map[string]*engine.Events // by host, opened by the first step that waits there
	ids    map[string]string         // "<host>/<container name>" → ID of containers this run created
	supply supply

	begun sync.Map // container ID → time.Time at which this run started it
}

func (r *runner) close() {
	for _, h := range r.hubs {
		h.Close()
	}
}

func (r *runner) engine(host string) (*engine.Engine, error) {
	if e := r.world.Engines[host]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("host %s is not in the inventory", host)
}

// events gives the host's event hub, one stream for all waits.
func (r *runner) events(e *engine.Engine) *engine.Events {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hubs[e.Host()]
	if h == nil {
		h = e.Events(context.Background())
		r.hubs[e.Host()] = h
	}
	return h
}

// container is the ID to call the engine with: what this run created, what the plan knows, or the name itself.
func (r *runner) container(s *scheduler.Step) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id := r.ids[s.Host+"/"+s.Name]; id != "" {
		return id
	}
	if s.ContainerID != "" {
		return s.ContainerID
	}
	return s.Name
}

func (r *runner) created(host, name, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[host+"/"+name] = id
}
