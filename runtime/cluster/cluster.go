// Package cluster is the hosts of an inventory, connected: their engines, the agents that berth puts on them, and the
// store between them. It bootstraps what is missing, holds the project's lock, and makes the observation that a plan
// is made from.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

// Options are what Connect needs beside the inventory.
type Options struct {
	CacheDir string        // for store credentials, made 0700; "" keeps none
	Timeout  time.Duration // for a host to answer; 0 is 5 s
	CertLife time.Duration // of new certificates; 0 is identity.Life
	Notify   func(string)  // told in one sentence what takes time (bootstrap, waiting for a lock); nil is silent
}

// Cluster is one inventory's hosts. Close it after use. It serves one command and is not safe for concurrent use,
// but for Engine.
type Cluster struct {
	inv     *placement.Inventory
	opts    Options
	engines map[string]*engine.Engine
	access  *Access                // how the store is reached; nil until opened, and on one host
	reached atomic.Pointer[Access] // the same for the connections to the embedded store, which are made at any time
	store   store.Store            // nil until opened, and on one host
	lock    *ProjectLock
	view    *ledger.View                  // of the last Observe
	warned  bool                          // of the authority's end
	hashes  map[*placement.Service]hashes // config hashes without what furnish adds

	placing sync.Mutex
	places  []whereabouts         // of the inventory's hosts; nil until they were looked up
	refused []string              // hosts that this command has taken out; see sweep
	told    map[string]netip.Addr // where agents say that their hosts are; nil until it mattered

	warming     sync.WaitGroup
	stopWarming context.CancelFunc
	opened      chan error    // of the store, begun by Warm; nil when it was not
	ahead       *engine.Ahead // of the one host, begun by Warm; nil when it was not, and when it was used
}

// Connect prepares the connections to all hosts. It does no I/O.
func Connect(inv *placement.Inventory, opts Options) (*Cluster, error) {
	if opts.Timeout == 0 {
		opts.Timeout = 5 * time.Second
	}
	if opts.Notify == nil {
		opts.Notify = func(string) {}
	}
	c := &Cluster{inv: inv, opts: opts, engines: map[string]*engine.Engine{}}
	for _, h := range inv.Hosts {
		e, err := engine.Connect(h)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.engines[h.Name] = e
	}
	return c, nil
}

// Close ends the lock and all connections.
func (c *Cluster) Close() error {
	var errs []error
	if c.stopWarming != nil {
		c.stopWarming()
		c.warming.Wait()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	errs = append(errs, c.Unlock(ctx))
	if c.store != nil {
		errs = append(errs, c.store.Close())
	}
	for _, e := range c.engines {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}

// Inventory is what the cluster was connected from.
func (c *Cluster) Inventory() *placement.Inventory { return c.inv }

// Engines are the hosts' engines by host name.
func (c *Cluster) Engines() map[string]*engine.Engine { return c.engines }

// Warm begins to connect to the hosts while the caller reads its files. With change set the caller is about to change
// something: a store is reached that an earlier command has reached, and one host without a store, where there is no lock
// to be had first, is asked for what the first Observe lists. What fails is tried again, and reported, when it is needed.
func (c *Cluster) Warm(ctx context.Context, change bool) {
	ctx, c.stopWarming = context.WithCancel(ctx)
	if change && !c.inv.Cluster() {
		for _, e := range c.engines {
			c.ahead = e.Ahead(ctx)
			c.warming.Go(c.ahead.Wait)
		}
		return
	}
	for _, e := range c.engines {
		c.warming.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
			defer cancel()
			_ = e.Ping(ctx)
		})
	}
	if !change {
		return
	}
	if a := c.cached(); a != nil && c.embedded() {
		c.opened = make(chan error, 1)
		c.warming.Go(func() { c.opened <- c.tryOpen(ctx, a, cachedTime) })
	}
}

// Snapshots asks all hosts at once. A host that does not answer is in the result as unreachable; that none answers, in
// which case the result comes with the error, and two names for one engine, are errors. view holds what the agents say of their engines; nil asks the engines.
func (c *Cluster) Snapshots(ctx context.Context, q engine.Query, view *ledger.View) ([]engine.Snapshot, error) {
	snaps := make([]engine.Snapshot, len(c.inv.Hosts))
	q.Timeout = c.opts.Timeout
	g, ctx := errgroup.WithContext(ctx)
	for i, h := range c.inv.Hosts {
		g.Go(func() error {
			q := q
			q.Inventory = h
			if view != nil {
				q.Known, q.KnownBy = facts(view, h.Name), c.access.Cluster
			}
			var err error
			snaps[i], err = c.engines[h.Name].Observe(ctx, q)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := c.anyAnswers(snaps); err != nil {
		return snaps, err
	}
	byID := map[string]string{}
	for _, s := range snaps {
		if s.Host.EngineID == "" {
			continue
		}
		if first, dup := byID[s.Host.EngineID]; dup {
			return nil, fmt.Errorf("inventory: hosts %s and %s are the same engine (ID %s); remove one of them from %s",
				first, s.Host.Name, s.Host.EngineID, c.inv.Path)
		}
		byID[s.Host.EngineID] = s.Host.Name
	}
	return snaps, nil
}

// facts is what a host's agent has recorded of its engine; nil when it has not.
func facts(view *ledger.View, host string) *engine.Facts {
	f := view.Hosts[host].Engine
	if f.ID == "" || !view.Alive[host] {
		return nil
	}
	return &engine.Facts{
		ID: f.ID, Hostname: f.Hostname, OS: f.OS, Arch: f.Arch, Version: f.Version, Labels: f.Labels, Resources: f.Resources,
		Capacity: placement.Reservation{CPU: f.CPU, Memory: f.Memory},
		Kernel:   f.Kernel, System: f.System, StorageDriver: f.StorageDriver,
	}
}

// anyAnswers fails when no host could be reached at all: there is nothing then that a command could work on.
func (c *Cluster) anyAnswers(snaps []engine.Snapshot) error {
	for _, s := range snaps {
		if s.Host.State == placement.Ready {
			return nil
		}
	}
	problem := snaps[0].Host.Problem
	switch {
	case c.inv.Path == "" && strings.HasPrefix(problem, "Cannot connect to the Docker daemon"): // docker's words, which end with a question
		return errors.New(problem + " The hosts of a cluster are named by -i FILE, BERTH_INVENTORY or a hosts.yml beside the compose file")
	case !c.inv.Cluster():
		return errors.New(problem)
	}
	return fmt.Errorf("no host of %s answers; the first, %s: %s", c.inv.Path, snaps[0].Host.Name, snaps[0].Host.Problem)
}

// Observe makes the observation of a project: one store read, and one snapshot of all hosts in parallel. project may be
// nil when only the name is known (down without a file). On a cluster it completes the project (see furnish).
func (c *Cluster) Observe(ctx context.Context, name string, project *placement.Project) (*placement.Observation, error) {
	q := engine.Query{Project: name, Compose: project, Cluster: c.inv.Cluster()}
	if !c.inv.Cluster() {
		q.Ahead, c.ahead = c.ahead, nil
		snaps, err := c.Snapshots(ctx, q, nil)
		if err != nil {
			return nil, err
		}
		return assemble(c.inv, name, snaps, nil), nil
	}
	view, err := c.usable(ctx)
	if err != nil {
		return nil, err
	}
	if err := moved(c.inv, vteps(view)); err != nil {
		return nil, err
	}
	snaps, err := c.Snapshots(ctx, q, view)
	if err != nil {
		return nil, err
	}
	changed, err := c.ensureAgents(ctx, snaps, view)
	if err != nil {
		return nil, err
	}
	if changed {
		if view, err = c.View(ctx); err != nil {
			return nil, err
		}
	}
	if changed, err = c.ensureMembers(ctx, snaps, view); err != nil {
		return nil, err
	}
	if changed {
		if view, err = c.View(ctx); err != nil {
			return nil, err
		}
	}
	if changed, err = c.refuse(ctx, view); err != nil {
		return nil, err
	}
	if changed {
		if view, err = c.View(ctx); err != nil {
			return nil, err
		}
	}
	c.view = view
	if err := c.tellEncryption(ctx, view); err != nil {
		return nil, err
	}
	if err := c.furnish(ctx, project, view); err != nil {
		return nil, err
	}
	return assemble(c.inv, name, snaps, view), nil
}

// Look is Observe without its effects: no agent is made or updated, and a cluster that does not exist yet (Open said
// ErrNoCluster) looks like one with an empty store.
func (c *Cluster) Look(ctx context.Context, name string, project *placement.Project) (*placement.Observation, error) {
	q := engine.Query{Project: name, Compose: project, Cluster: c.inv.Cluster()}
	var view *ledger.View
	if c.store != nil {
		var err error
		if view, err = c.usable(ctx); err != nil {
			return nil, err
		}
	}
	snaps, err := c.Snapshots(ctx, q, view)
	if err != nil {
		return nil, err
	}
	if view != nil {
		if view, err = c.awaitTold(ctx, snaps, view); err != nil {
			return nil, err
		}
		if err := c.furnish(ctx, project, view); err != nil {
			return nil, err
		}
	}
	return assemble(c.inv, name, snaps, view), nil
}

// Glance is Look for commands that act on containers that are there: one list of containers a host. The store is asked
// only when a host does not answer, for what ran there; when that does not answer either, the observation's Revision is
// 0. So these commands go on working while a cluster has no store.
func (c *Cluster) Glance(ctx context.Context, name string) (*placement.Observation, error) {
	snaps, err := c.Snapshots(ctx, engine.Query{Project: name, Cluster: c.inv.Cluster(), Light: true}, nil)
	if err != nil {
		return nil, err
	}
	missing := slices.ContainsFunc(snaps, func(s engine.Snapshot) bool { return s.Host.State != placement.Ready })
	if !missing || !c.inv.Cluster() {
		return assemble(c.inv, name, snaps, nil), nil
	}
	storeCtx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	if err := c.Open(storeCtx, false); err != nil {
		return assemble(c.inv, name, snaps, nil), ctx.Err()
	}
	view, err := c.View(storeCtx)
	if err != nil {
		return assemble(c.inv, name, snaps, nil), ctx.Err()
	}
	return assemble(c.inv, name, snaps, view), nil
}

// Dump is everything that berth keeps in the store, at one revision. The store must be open.
func (c *Cluster) Dump(ctx context.Context) (store.Snapshot, error) {
	return c.store.Get(ctx, ledger.Root)
}

// View is Dump, decoded.
func (c *Cluster) View(ctx context.Context) (*ledger.View, error) {
	snap, err := c.Dump(ctx)
	if err != nil {
		return nil, err
	}
	return ledger.Decode(snap)
}

// assemble joins the hosts' snapshots and the store's view (nil on one host).
func assemble(inv *placement.Inventory, project string, snaps []engine.Snapshot, view *ledger.View) *placement.Observation {
	o := &placement.Observation{
		Cluster: inv.Cluster(), Images: map[string]map[string]string{}, Pool: inv.Pool, MTU: inv.MTU,
		Recorded: map[placement.Task]placement.TaskRecord{}, Pins: map[string]string{},
		ImageFacts: map[string]map[string]placement.Image{}, ImageNames: map[string][]string{}, Registry: inv.Registry, Time: time.Now(),
	}
	for _, s := range snaps {
		o.Hosts = append(o.Hosts, s.Host)
		o.Containers = append(o.Containers, s.Containers...)
		o.Networks = append(o.Networks, s.Networks...)
		o.Volumes = append(o.Volumes, s.Volumes...)
		o.Outside = append(o.Outside, s.Outside...)
		o.Images[s.Host.Name], o.ImageFacts[s.Host.Name] = s.Images, s.ImageFacts
		if s.ImageNames != nil {
			o.ImageNames[s.Host.Name] = s.ImageNames
		}
	}
	if view == nil {
		return o
	}
	o.Revision, o.Overlays, o.Guests, o.Ingress = view.Revision, view.Networks, view.Guests, view.Ports
	o.Unanswered = map[string]string{}
	for i := range o.Hosts {
		host := o.Hosts[i].Name
		for port, problem := range view.Answers[host].Problems {
			if o.Unanswered[port] == "" {
				o.Unanswered[port] = "host " + host + ": " + problem
			}
		}
	}
	if p := view.Projects[project]; p != nil {
		o.Recorded, o.Pins = p.Tasks, p.Pins
	}
	for _, e := range view.Endpoints {
		if e.Project == project || named(view.Networks, e.Network, project) {
			o.Endpoints = append(o.Endpoints, e)
		}
	}
	for i := range o.Hosts {
		h, ok := view.Hosts[o.Hosts[i].Name]
		if !ok {
			continue
		}
		o.Hosts[i].Routes = h.Routes
		if h.VTEP.IsValid() {
			o.Hosts[i].IP = h.VTEP.String()
		}
	}
	return o
}

func named(networks []placement.Network, name, project string) bool {
	for _, n := range networks {
		if n.Name == name {
			return n.Project == project
		}
	}
	return false
}
