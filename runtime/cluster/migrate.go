package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"berth/placement"
	"berth/runtime/agent"
	"berth/runtime/engine"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

// Migrate moves the cluster's store to another address: it copies what is kept, closes the old one for commands, and
// switches the agents over, one after the other. Interrupted anywhere, the same migration again goes on: until the copy is
// complete the new store says so, and from then on it is the one that counts. Nothing is removed from the old one. The
// result is how many keys were copied; 0 when an earlier migration had.
func (c *Cluster) Migrate(ctx context.Context, url string) (int, error) {
	if url == "embedded" && c.embedded() {
		return 0, errMovedIn
	}
	snaps, err := c.Snapshots(ctx, engine.Query{Light: true}, nil)
	if err != nil {
		return 0, err
	}
	at := slices.IndexFunc(snaps, func(s engine.Snapshot) bool { return s.Agent != nil && s.Agent.State != "created" })
	if at < 0 {
		return 0, ErrNoCluster
	}
	inv := *c.inv
	inv.Store = url
	to, err := Connect(&inv, c.opts)
	if err != nil {
		return 0, err
	}
	defer to.Close()
	if to.embedded() {
		if err := c.Open(ctx, false); err != nil {
			return 0, err
		}
		err = c.moveIn(ctx, to, snaps)
	} else {
		err = to.Open(ctx, false)
	}
	if err != nil {
		return 0, err
	}
	if mine := snaps[at].Agent.Cluster; to.access.Cluster != mine {
		return 0, fmt.Errorf("the store %s is that of another cluster (%s, not %s); name one that is empty", url, to.access.Cluster, mine)
	}
	copied := 0
	view, err := to.View(ctx)
	if err != nil {
		return 0, err
	}
	if e := view.Epoch; e.ID == "" || e.Restoring != "" || e.Moved != "" {
		if copied, err = c.copyTo(ctx, to, url); err != nil {
			return 0, err
		}
	}
	if to.access.Seal, err = c.anySealKey(ctx, snaps); err != nil {
		return copied, err
	}
	c.forget()
	if err := c.switchAgents(ctx, to, snaps); err != nil || !to.embedded() {
		return copied, err
	}
	return copied, to.spread(ctx)
}

// copyTo closes this store for commands and copies what is kept of it to another.
func (c *Cluster) copyTo(ctx context.Context, to *Cluster, url string) (int, error) {
	if err := c.Open(ctx, false); err != nil {
		return 0, err
	}
	snap, err := c.closeFor(ctx, url)
	if err != nil {
		return 0, err
	}
	return to.receive(ctx, snap)
}

// closeFor closes this store, which is open, for commands, because its content moves to url, and reads it.
func (c *Cluster) closeFor(ctx context.Context, url string) (store.Snapshot, error) {
	view, err := c.View(ctx)
	if err != nil {
		return store.Snapshot{}, err
	}
	switch {
	case view.Epoch.Restoring != "":
		_, err := c.usable(ctx)
		return store.Snapshot{}, err
	case view.Epoch.Moved != "" && view.Epoch.Moved != url:
		return store.Snapshot{}, movedError(view.Epoch.Moved)
	case view.Epoch.Moved == "":
		if err := c.unlocked(view); err != nil {
			return store.Snapshot{}, err
		}
		closed := view.Epoch
		closed.Moved = url
		// The allocation key, too: a command that has made its plan by now does not get to record it.
		_, err := c.store.Commit(ctx, store.Txn{Compares: still(view), Puts: []store.Put{{Key: ledger.Allocation}, epochPut(closed)}})
		if errors.Is(err, store.ErrConflict) {
			return store.Snapshot{}, errors.New("a command has changed the store meanwhile; run the migration again")
		}
		if err != nil {
			return store.Snapshot{}, err
		}
	}
	return c.Dump(ctx)
}

// receive fills this store with what is kept of another, and begins an epoch when it has it all.
func (c *Cluster) receive(ctx context.Context, from store.Snapshot) (int, error) {
	have, err := c.Dump(ctx)
	if err != nil {
		return 0, err
	}
	view, err := ledger.Decode(have)
	if err != nil {
		return 0, err
	}
	end := ledger.NewEpoch(false)
	begin := end
	begin.Restoring = byMigration
	at, err := c.store.Commit(ctx, store.Txn{Compares: []store.Compare{{Key: ledger.EpochKey, Modified: view.Began}}, Puts: []store.Put{epochPut(begin)}})
	if err != nil {
		return 0, err
	}
	var t store.Txn
	want := map[string][]byte{}
	for _, p := range from.Pairs {
		if ledger.Kept(p.Key) {
			t.Puts = append(t.Puts, store.Put{Key: p.Key, Value: p.Value})
			want[p.Key] = p.Value
		}
	}
	for _, p := range have.Pairs {
		if _, ok := want[p.Key]; !ok && ledger.Kept(p.Key) {
			t.Deletes = append(t.Deletes, p.Key)
		}
	}
	guard := store.Compare{Key: ledger.EpochKey, Modified: at}
	if err := writeParts(ctx, c.store, t, guard); err != nil {
		return 0, err
	}
	have, err = c.Dump(ctx)
	if err != nil {
		return 0, err
	}
	found := 0
	for _, p := range have.Pairs {
		if value, ok := want[p.Key]; ok && bytes.Equal(value, p.Value) {
			found++
		}
	}
	if found != len(want) {
		return 0, fmt.Errorf("of %d keys that were copied, %d are in the new store; does something else write there? Run the migration again", len(want), found)
	}
	_, err = c.store.Commit(ctx, store.Txn{Compares: []store.Compare{guard}, Puts: []store.Put{{Key: ledger.Allocation}, epochPut(end)}})
	return found, err
}

// anySealKey is the cluster's key from wherever it is kept: with the access to the embedded store, which may not serve any
// more, or in the agents' volumes.
func (c *Cluster) anySealKey(ctx context.Context, snaps []engine.Snapshot) ([]byte, error) {
	if c.access != nil && c.access.Seal != nil {
		return c.access.Seal, nil
	}
	var last error
	for _, s := range snaps {
		if s.Agent == nil || s.Agent.State == "created" {
			continue
		}
		if key, err := c.readFile(ctx, s.Host.Name, sealKeyFile); err == nil {
			return key, nil
		}
		b, err := c.readFile(ctx, s.Host.Name, agent.AccessFile)
		var a Access
		if err == nil && json.Unmarshal(b, &a) == nil && a.Seal != nil {
			return a.Seal, nil
		}
		last = err
	}
	return nil, fmt.Errorf("the cluster's key cannot be read from any host: %w", last)
}

// switchAgents has every agent use the store that to is connected to: first those that are no members of the old one, so
// that it serves the others as long as it can. It waits until they have told the new one what runs on their hosts.
func (c *Cluster) switchAgents(ctx context.Context, to *Cluster, snaps []engine.Snapshot) error {
	_, version, err := c.binary()
	if err != nil {
		return err
	}
	var silent, switched []string
	var plain, members []func(context.Context) error
	for i, s := range snaps {
		h := c.inv.Hosts[i]
		switch {
		case s.Host.State != placement.Ready:
			silent = append(silent, h.Name)
			continue
		case s.Agent == nil || s.Agent.State == "created":
			continue // the next up puts one there
		}
		change, member, err := c.switching(ctx, to, h)
		if err != nil {
			return err
		}
		switched = append(switched, h.Name)
		if member {
			members = append(members, change)
		} else if change != nil {
			plain = append(plain, change)
		}
	}
	if len(plain)+len(members) > 0 {
		c.opts.Notify("switching the berth agents over to " + to.inv.Store)
	}
	for _, batch := range [][]func(context.Context) error{plain, members} {
		g, ctx := errgroup.WithContext(ctx)
		for _, change := range batch {
			g.Go(func() error { return change(ctx) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	if err := to.settle(ctx, switched, version, settleTime); err != nil {
		return err
	}
	if len(silent) > 0 {
		return fmt.Errorf("the store is moved, but %s does not answer, and its agent still uses the old one; run the migration again when it is back",
			strings.Join(silent, ", "))
	}
	return nil
}

// switching is what changes one host's agent; nil when it uses the new store already. member says that it is one of the
// old store's.
func (c *Cluster) switching(ctx context.Context, to *Cluster, h placement.InventoryHost) (change func(context.Context) error, member bool, err error) {
	b, err := c.readFile(ctx, h.Name, agent.ConfigFile)
	if err != nil {
		return nil, false, err
	}
	var now agent.Config
	if err := json.Unmarshal(b, &now); err != nil {
		return nil, false, fmt.Errorf("host %s: %s in volume %s is broken: %w", h.Name, agent.ConfigFile, AgentName, err)
	}
	with := installation{}
	if with.caKey, err = to.caKey(ctx, to.access); err != nil {
		return nil, false, err
	}
	cfg, files, err := to.describe(ctx, h, to.access, with)
	if err != nil {
		return nil, false, err
	}
	if to.embedded() && slices.Contains(to.access.Members, h.Name) {
		return nil, false, nil // it has begun there
	}
	_, version, err := c.binary()
	if err != nil {
		return nil, false, err
	}
	if reflect.DeepEqual(now.Store, cfg.Store) && now.Version == version {
		return nil, false, nil
	}
	member = now.Store.Member != nil
	if b, err := c.readFile(ctx, h.Name, agent.AccessFile); err == nil {
		// Whoever asks for the old store is told where the new one is.
		var a Access
		if json.Unmarshal(b, &a) == nil {
			a.Moved = to.inv.Store
			if to.embedded() {
				a = *to.access // what was left of one before it; its agent takes it away
			}
			if files[agent.AccessFile], err = json.Marshal(a); err != nil {
				return nil, member, err
			}
		}
	}
	return func(ctx context.Context) error { return to.install(ctx, h, cfg, files) }, member, nil
}
