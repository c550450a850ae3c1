package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth/runtime/agent"
	"berth/runtime/engine"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

const (
	// quorumTime is how long a store may take to answer before somebody looks how its members are: an election takes 1–2 s.
	quorumTime = 5 * time.Second
	// aloneTime bounds how long a member may take to serve alone.
	aloneTime = 60 * time.Second
)

// Recovery is what can be made of an embedded store most of whose members are lost.
type Recovery struct {
	Keep  string // the host whose member goes on alone; "" when no member's data is left, and a new store begins
	Found string // how the members were found

	snaps  []engine.Snapshot
	access *Access // nil when no member's data is left
	id     string  // of the member
}

// PlanRecovery looks at a store that has lost most of its members. One that answers, or that most members still have, is
// refused: nothing is to be recovered there.
func (c *Cluster) PlanRecovery(ctx context.Context) (*Recovery, error) {
	if !c.embedded() {
		return nil, fmt.Errorf("the store %s is not berth's own: recover it by its own means, or empty it, and the agents tell it again what runs on their hosts", c.inv.Store)
	}
	snaps, err := c.Snapshots(ctx, engine.Query{Light: true}, nil)
	if err != nil {
		return nil, err
	}
	all, err := c.fetchAccess(ctx, snaps)
	var lost *lostStoreError
	if errors.As(err, &lost) {
		return &Recovery{snaps: snaps, Found: lost.found()}, nil
	}
	if err != nil {
		return nil, err
	}
	if c.tryAll(ctx, all, quorumTime) {
		return nil, fmt.Errorf("the store on %s answers: there is nothing to recover; \"berth up\" replaces members that are lost", strings.Join(c.access.Members, ", "))
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	a := all[0]
	p := c.lookAtMembers(ctx, snaps, a)
	switch {
	case p.unread != nil:
		return nil, p.unread
	case p.errStuck() != nil:
		return nil, p.errStuck()
	case p.quorum():
		return nil, fmt.Errorf("the store does not answer, but %s, which is most of them: nothing is lost; look at \"docker logs %s\" there, and whether they reach each other's port %d",
			p.found(), AgentName, PeerPort)
	}
	r := &Recovery{Keep: p.newest(), Found: p.found(), snaps: snaps, access: a}
	r.id = p.data[r.Keep].ID
	return r, nil
}

// Recover carries a recovery out: the member that is kept goes on alone, or a new store begins. Either begins an epoch, in
// which the agents tell what runs on their hosts before an address is given out. Interrupted anywhere, the same again goes
// on.
func (c *Cluster) Recover(ctx context.Context, r *Recovery) error {
	return c.alone(ctx, r.snaps, func(snaps []engine.Snapshot) error {
		r.snaps = snaps
		if r.Keep == "" {
			return c.beginAnew(ctx, r)
		}
		return c.goOnAlone(ctx, r)
	})
}

// goOnAlone makes one member the only one.
func (c *Cluster) goOnAlone(ctx context.Context, r *Recovery) error {
	at := slices.Index(r.access.Members, r.Keep)
	a := *r.access
	a.Members, a.Endpoints, a.Peers = a.Members[at:at+1], a.Endpoints[at:at+1], a.Peers[at:at+1]
	a.Recovered++
	for _, s := range r.snaps {
		if s.Host.Name == r.Keep || s.Agent == nil || missing(s) {
			continue
		}
		// One that has data of the store, or waits for some, is no member any more. The others find the store by themselves.
		err := c.reconfigure(ctx, s.Host.Name, func(cfg *agent.Config, _ map[string][]byte) (bool, error) {
			was := cfg.Store.Member != nil
			cfg.Store.Member, cfg.Store.Endpoints = nil, a.Endpoints
			return was, nil
		})
		if err != nil {
			return err
		}
	}
	first, err := aloneRecords(r, &a)
	if err != nil {
		return err
	}
	c.opts.Notify(fmt.Sprintf("the store goes on with what host %s has", r.Keep))
	err = c.reconfigure(ctx, r.Keep, func(cfg *agent.Config, files map[string][]byte) (bool, error) {
		if cfg.Store.Member == nil {
			return false, fmt.Errorf("host %s is no member of the store any more; run the same command again", r.Keep)
		}
		m := cfg.Store.Member
		m.Alone, m.Began, m.First, cfg.Store.Endpoints = true, true, first, a.Endpoints
		access, err := json.Marshal(a)
		files[agent.AccessFile] = access
		return true, err
	})
	if err != nil {
		return err
	}
	c.forget()
	if err := c.tryFor(ctx, &a, aloneTime); err != nil {
		return fmt.Errorf("the store on host %s does not serve within %s: %w; look at \"docker logs %s\" there, and run the same command again",
			r.Keep, aloneTime, err, AgentName)
	}
	c.cache(c.access)
	view, err := c.View(ctx)
	if err != nil {
		return err
	}
	_, err = c.awaitTold(ctx, r.snaps, view)
	return err
}

// aloneRecords are what the store has to say of itself before anybody asks: it may have lost its last changes, so what
// runs on the hosts has to be told it; and it is on one host.
func aloneRecords(r *Recovery, a *Access) (map[string]string, error) {
	epoch, err := json.Marshal(ledger.NewEpoch(true))
	if err != nil {
		return nil, err
	}
	members, err := json.Marshal(ledger.Membership{Members: []ledger.Member{{Host: r.Keep, ID: r.id, Client: a.Endpoints[0], Peer: a.Peers[0]}}})
	return map[string]string{ledger.EpochKey: string(epoch), ledger.MembersKey: string(members)}, err
}

// reconfigure stops a host's agent, changes its configuration and files if change says so, and starts it.
func (c *Cluster) reconfigure(ctx context.Context, host string, change func(cfg *agent.Config, files map[string][]byte) (bool, error)) error {
	cfg, err := c.agentConfig(ctx, host)
	if err != nil {
		return err
	}
	if ok, err := change(&cfg, map[string][]byte{}); err != nil || !ok {
		return err
	}
	e := c.engines[host]
	if err := e.Stop(ctx, AgentName, nil); err != nil { // it writes its configuration too
		return err
	}
	files := map[string][]byte{}
	if cfg, err = c.agentConfig(ctx, host); err == nil {
		if _, err = change(&cfg, files); err == nil {
			files[agent.ConfigFile], err = json.Marshal(cfg)
		}
	}
	if err == nil {
		err = c.hand(ctx, e, files)
	}
	return errors.Join(err, e.Start(context.WithoutCancel(ctx), AgentName))
}

// tryFor tries to open the store until it answers or the time is over.
func (c *Cluster) tryFor(ctx context.Context, a *Access, limit time.Duration) error {
	end := time.Now().Add(limit)
	for {
		err := c.tryOpen(ctx, a, quorumTime)
		if err == nil || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
	}
}

// beginAnew takes away what is left of the cluster on the hosts that answer, and makes it again: the agents tell the new
// store what runs there.
func (c *Cluster) beginAnew(ctx context.Context, r *Recovery) error {
	c.opts.Notify("a new store begins, with what the agents tell of their hosts")
	for _, s := range r.snaps {
		if s.Agent == nil {
			continue
		}
		e := c.engines[s.Host.Name]
		for _, container := range []string{AgentName, engine.WireGuardName} {
			if err := e.Remove(ctx, container, false); err != nil {
				return err
			}
		}
		if err := e.RemoveVolume(ctx, AgentName); err != nil {
			return err
		}
	}
	c.forget()
	snaps, err := c.Snapshots(ctx, engine.Query{Light: true}, nil)
	if err != nil {
		return err
	}
	a, err := c.bootstrap(ctx, snaps)
	if err != nil {
		return err
	}
	if err := c.tryFor(ctx, a, aloneTime); err != nil {
		return fmt.Errorf("the new store on %s does not serve within %s: %w; look at \"docker logs %s\" there, and run \"berth up\"",
			strings.Join(a.Members, ", "), aloneTime, err, AgentName)
	}
	c.cache(c.access)
	return c.markLost(ctx)
}

// markLost says that the store knows only what it was told since it began, and waits until the agents have told it.
func (c *Cluster) markLost(ctx context.Context) error {
	for {
		view, err := c.View(ctx)
		if err != nil {
			return err
		}
		if view.Epoch.Lost {
			snaps, err := c.Snapshots(ctx, engine.Query{Light: true}, nil)
			if err == nil {
				_, err = c.awaitTold(ctx, snaps, view)
			}
			return err
		}
		epoch := view.Epoch
		if epoch.ID == "" {
			epoch = ledger.NewEpoch(true)
		}
		epoch.Lost = true
		_, err = c.store.Commit(ctx, store.Txn{
			Compares: []store.Compare{{Key: ledger.EpochKey, Modified: view.Began}}, Puts: []store.Put{epochPut(epoch)},
		})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}
