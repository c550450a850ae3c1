package cluster

import (
	"context"
	"encoding/json"
	"errors"

	"berth/placement"
	"berth/runtime/agent"
	"berth/runtime/engine"
	"berth/runtime/identity"
	"berth/runtime/ledger"
)

// byMigration is where a store says it is being filled from while another one's content is copied to it.
const byMigration = "by way of \"berth store migrate\""

// moveIn makes the embedded store that this one's content is to be moved into, and connects to it: with one member, which
// says that it is being filled before anybody can ask it. That has a member already when an earlier migration was
// interrupted. Commands are kept out of this store from now on.
func (c *Cluster) moveIn(ctx context.Context, to *Cluster, snaps []engine.Snapshot) error {
	if a := c.movedIn(ctx, snaps); a != nil {
		return to.tryFor(ctx, a, aloneTime)
	}
	if _, err := c.closeFor(ctx, to.inv.Store); err != nil {
		return err
	}
	at := -1
	for i, s := range snaps {
		if s.Host.State == placement.Ready && !missing(s) {
			at = i
			break
		}
	}
	if at < 0 {
		return ErrNoCluster
	}
	h := c.inv.Hosts[at]
	ca, err := identity.NewCA(c.access.Cluster)
	if err != nil {
		return err
	}
	own, err := identity.Issue(ca, identity.Subject{Name: identity.CommandLine, Life: c.opts.CertLife})
	if err != nil {
		return err
	}
	client, peer, err := c.storeURLs(ctx, h)
	if err != nil {
		return err
	}
	a := &Access{Cluster: c.access.Cluster, CA: ca.Cert, Cert: own.Cert, Key: own.Key,
		Members: []string{h.Name}, Endpoints: []string{client}, Peers: []string{peer}}
	if a.Seal, err = c.anySealKey(ctx, snaps); err != nil {
		return err
	}
	cfg, files, err := to.describe(ctx, h, a, installation{caKey: ca.Key, begins: true})
	if err != nil {
		return err
	}
	filling := ledger.NewEpoch(false)
	filling.Restoring = byMigration
	epoch, err := json.Marshal(filling)
	if err != nil {
		return err
	}
	cfg.Store.Member.First = map[string]string{ledger.EpochKey: string(epoch), ledger.ClusterKey: a.Cluster}
	c.opts.Notify("putting the store on host " + h.Name)
	if err := to.install(ctx, h, cfg, files); err != nil {
		return err
	}
	return to.tryFor(ctx, a, aloneTime)
}

// movedIn is the access to the embedded store that an earlier migration has made; nil without one. What hosts have of a
// store that was moved away before is none.
func (c *Cluster) movedIn(ctx context.Context, snaps []engine.Snapshot) *Access {
	for _, s := range snaps {
		if s.Agent == nil || missing(s) {
			continue
		}
		b, err := c.readFile(ctx, s.Host.Name, agent.AccessFile)
		var a Access
		if err == nil && json.Unmarshal(b, &a) == nil && a.Moved == "" && a.Cluster == s.Agent.Cluster {
			return &a
		}
	}
	return nil
}

// spread makes the embedded store's members as many as there shall be, once all agents use it.
func (c *Cluster) spread(ctx context.Context) error {
	snaps, err := c.Snapshots(ctx, engine.Query{Light: true}, nil)
	if err != nil {
		return err
	}
	view, err := c.View(ctx)
	if err != nil {
		return err
	}
	_, err = c.ensureMembers(ctx, snaps, view)
	return err
}

var errMovedIn = errors.New("the store is in the agents already")
