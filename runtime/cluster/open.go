package cluster

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"berth/runtime/engine"
	"berth/runtime/identity"
	"berth/runtime/ledger"
	"berth/runtime/store"
	"berth/runtime/store/etcd"
	"berth/runtime/store/external"
)

// Ports of the embedded store on its members, mutual TLS on both.
const (
	ClientPort = 23579
	PeerPort   = 23580
)

// ErrNoCluster says that no host has an agent yet.
var ErrNoCluster = errors.New("no host of the inventory has a berth agent yet; \"berth up\" puts one on each")

// Open reaches the store. With bootstrap set, a cluster that does not exist yet is made: an agent on each host, and
// the store; else that is ErrNoCluster.
func (c *Cluster) Open(ctx context.Context, bootstrap bool) error {
	// What Warm has begun is taken over below; until it has ended, the store is its own.
	if !c.inv.Cluster() || c.opened == nil && c.store != nil {
		return nil
	}
	if !c.embedded() {
		return c.openExternal(ctx)
	}
	if c.tryCached(ctx) {
		return nil
	}
	snaps, err := c.Snapshots(ctx, engine.Query{Light: true}, nil)
	if err != nil {
		return err
	}
	all, err := c.fetchAccess(ctx, snaps)
	if errors.Is(err, ErrNoCluster) && bootstrap || err == nil && c.incomplete(snaps, all[0]) && !c.tryAll(ctx, all, cachedTime) {
		err = c.alone(ctx, snaps, func(snaps []engine.Snapshot) error {
			all, err = c.fetchAccess(ctx, snaps)
			if errors.Is(err, ErrNoCluster) && bootstrap {
				var a *Access
				a, err = c.bootstrap(ctx, snaps)
				all = []*Access{a}
			} else if err == nil {
				err = c.complete(ctx, snaps, all[0])
			}
			return err
		})
	}
	if err != nil || c.store != nil {
		return err
	}
	if len(all) > 1 && c.tryAll(ctx, all, cachedTime) {
		return nil
	}
	a := all[0]
	if err := c.openMembers(ctx, snaps, a); err != nil {
		return err
	}
	c.cache(c.access)
	return nil
}

// tryAll opens the store with the first access that works.
func (c *Cluster) tryAll(ctx context.Context, all []*Access, timeout time.Duration) bool {
	for _, a := range all {
		if c.tryOpen(ctx, a, timeout) == nil {
			c.cache(c.access)
			return true
		}
	}
	return false
}

// embedded reports whether the cluster brings its own store.
func (c *Cluster) embedded() bool { return c.inv.Store == "" || c.inv.Store == "embedded" }

// cachedTime bounds the try with an access from an earlier command: beyond it, the engines are asked for a newer one.
const cachedTime = 2 * time.Second

// openTime bounds how long a store may take to answer whose members have their data.
const openTime = 25 * time.Second

// tryCached opens the store with the access of an earlier command, or takes over what Warm has begun.
func (c *Cluster) tryCached(ctx context.Context) bool {
	if c.opened != nil {
		err := <-c.opened
		c.opened = nil
		if err == nil {
			return true
		}
	} else if a := c.cached(); a == nil {
		return false
	} else if c.tryOpen(ctx, a, cachedTime) == nil {
		return true
	}
	if ctx.Err() == nil {
		c.forget()
	}
	return false
}

// tryOpen connects and proves it with one read, within so long. Later requests have the store's own time: its leader may
// be lost while a command runs.
func (c *Cluster) tryOpen(ctx context.Context, a *Access, timeout time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cfg := etcd.Config{Endpoints: a.Endpoints, Connect: timeout}
	if len(a.CA) > 0 {
		c.freshen(ctx, a)
		tc, err := identity.ClientConfig(a.CA, identity.KeyPair{Cert: a.Cert, Key: a.Key})
		if err != nil {
			return err
		}
		cfg.TLS = tc
		c.reached.Store(a)
		cfg.Dial = c.dial
	}
	st, err := etcd.Open(ctx, cfg)
	if err != nil {
		return err
	}
	snap, err := st.Get(limited, ledger.MembersKey)
	if err != nil {
		st.Close()
		return err
	}
	c.store, c.access = st, a
	view, err := ledger.Decode(snap)
	if err == nil && view.Members != nil {
		err = c.follow(*view.Members)
	}
	return err
}

func (c *Cluster) openExternal(ctx context.Context) error {
	st, err := external.Open(ctx, c.inv.Store, filepath.Dir(c.inv.Path), external.Options{Timeout: c.opts.Timeout})
	if err != nil {
		return err
	}
	c.store, c.access = st, &Access{Endpoints: []string{c.inv.Store}}
	id, err := c.externalID(ctx)
	c.access.Cluster = id
	return err
}

// externalID reads the cluster's ID from an external store, writing one the first time.
func (c *Cluster) externalID(ctx context.Context) (string, error) {
	const key = ledger.ClusterKey
	for {
		snap, err := c.store.Get(ctx, key)
		if err != nil {
			return "", err
		}
		for _, p := range snap.Pairs {
			if p.Key == key {
				return string(p.Value), nil
			}
		}
		id, err := c.agentsCluster(ctx)
		if err != nil {
			return "", err
		}
		if id == "" {
			id = newID()
		}
		_, err = c.store.Commit(ctx, store.Txn{
			Compares: []store.Compare{{Key: key}},
			Puts:     []store.Put{{Key: key, Value: []byte(id)}},
		})
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return "", err
		}
	}
}

// agentsCluster is the cluster that the hosts' agents belong to, "" when there are none: a store without an ID may have
// been emptied.
func (c *Cluster) agentsCluster(ctx context.Context) (string, error) {
	snaps, err := c.Snapshots(ctx, engine.Query{Light: true}, nil)
	if err != nil {
		return "", err
	}
	for _, s := range snaps {
		if s.Agent != nil && s.Agent.State != "created" {
			return s.Agent.Cluster, nil
		}
	}
	return "", nil
}
