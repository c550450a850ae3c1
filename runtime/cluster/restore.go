package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth/runtime/engine"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

// Backup reads all that is kept of the store, at one revision. The store must be open.
func (c *Cluster) Backup(ctx context.Context, now time.Time) (ledger.Backup, error) {
	if _, err := c.usable(ctx); err != nil {
		return ledger.Backup{}, err
	}
	snap, err := c.Dump(ctx)
	if err != nil {
		return ledger.Backup{}, err
	}
	return ledger.NewBackup(c.access.Cluster, snap, now), nil
}

// Restoration is what a restore of a backup changes in the store.
type Restoration struct {
	Puts    []string // keys that are new or get another value
	Lost    []string // keys that the store has and the backup has not
	Same    int      // keys that stay
	Sealed  []string // secrets and configs of another cluster, which cannot be opened in this one
	Cluster string   // whose backup it is

	view   *ledger.View
	txn    store.Txn
	source string
}

// PlanRestore compares a backup with the store, which must be open. It is refused while a command works on a project.
// source names the backup, for the sentence about a restore that was interrupted.
func (c *Cluster) PlanRestore(ctx context.Context, b ledger.Backup, source string) (*Restoration, error) {
	snap, err := c.Dump(ctx)
	if err != nil {
		return nil, err
	}
	view, err := ledger.Decode(snap)
	if err != nil {
		return nil, err
	}
	if view.Epoch.Moved != "" {
		return nil, movedError(view.Epoch.Moved)
	}
	if err := c.unlocked(view); err != nil {
		return nil, err
	}
	r := &Restoration{view: view, source: source, Cluster: b.Cluster}
	now := map[string][]byte{}
	for _, p := range snap.Pairs {
		if ledger.Kept(p.Key) {
			now[p.Key] = p.Value
		}
	}
	for _, p := range b.Pairs {
		if !strings.HasPrefix(p.Key, ledger.Root) || !ledger.Kept(p.Key) {
			return nil, fmt.Errorf("the backup has the key %s, which is none that it may have", p.Key)
		}
		old, there := now[p.Key]
		delete(now, p.Key)
		if there && bytes.Equal(old, p.Value) {
			r.Same++
		} else {
			r.Puts = append(r.Puts, p.Key)
			r.txn.Puts = append(r.txn.Puts, store.Put{Key: p.Key, Value: p.Value})
		}
		if b.Cluster != c.access.Cluster && (strings.HasPrefix(p.Key, ledger.Secrets) || strings.HasPrefix(p.Key, ledger.Configs)) {
			r.Sealed = append(r.Sealed, p.Key)
		}
	}
	for key := range now {
		r.Lost = append(r.Lost, key)
	}
	slices.Sort(r.Lost)
	r.txn.Deletes = r.Lost
	return r, nil
}

// unlocked refuses to go on while commands work on projects; locks of dead processes of this machine do not count.
func (c *Cluster) unlocked(view *ledger.View) error {
	me, err := self("berth")
	if err != nil {
		return err
	}
	var busy []string
	for name, p := range view.Projects {
		if p.Lock != nil && !dead(*p.Lock, me) {
			busy = append(busy, fmt.Sprintf("project %s by \"%s\" (process %d on %s)", name, p.Lock.Command, p.Lock.PID, p.Lock.Machine))
		}
	}
	if len(busy) == 0 {
		return nil
	}
	slices.Sort(busy)
	return fmt.Errorf("the store is being worked on: %s; wait until that has ended", strings.Join(busy, ", "))
}

// still are the compares under which a store that was looked at is as it was: no address was given out since, and nobody
// else began an epoch.
func still(view *ledger.View) []store.Compare {
	out := []store.Compare{
		{Key: ledger.Allocation, Modified: view.Allocated},
		{Key: ledger.EpochKey, Modified: view.Began},
	}
	for name, p := range view.Projects {
		if p.Lock == nil {
			out = append(out, store.Compare{Key: ledger.LockKey(name)})
		}
	}
	return out
}

// Restore makes the store what the backup says, in one transaction, or, where the store takes no such large one, in
// several: until the last of them commands are refused, and the same restore again completes it. Then it waits until the
// agents that answer have told what runs on their hosts, which wins over the backup.
func (c *Cluster) Restore(ctx context.Context, r *Restoration) error {
	end := ledger.NewEpoch(true)
	whole := r.txn
	whole.Compares = still(r.view)
	whole.Puts = append(slices.Clone(whole.Puts), store.Put{Key: ledger.Allocation}, epochPut(end))
	_, err := c.store.Commit(ctx, whole)
	if errors.Is(err, store.ErrTooLarge) {
		err = c.restoreParts(ctx, r, end)
	}
	switch {
	case errors.Is(err, store.ErrConflict):
		return errors.New("a command has changed the store meanwhile; run the restore again")
	case errors.Is(err, store.ErrUncertain):
		return fmt.Errorf("%w; run the restore again, which does no harm", err)
	case err != nil:
		return err
	}
	snaps, err := c.Snapshots(ctx, engine.Query{Light: true}, nil)
	if err != nil {
		return err
	}
	view, err := c.View(ctx)
	if err != nil {
		return err
	}
	_, err = c.awaitTold(ctx, snaps, view)
	return err
}

func epochPut(e ledger.Epoch) store.Put {
	b, _ := json.Marshal(e) // a struct of texts
	return store.Put{Key: ledger.EpochKey, Value: b}
}

// restoreParts begins an epoch in which the store is being restored, writes piece by piece as long as it is that, and ends
// it.
func (c *Cluster) restoreParts(ctx context.Context, r *Restoration, end ledger.Epoch) error {
	begin := end
	begin.Restoring = r.source
	compares := still(r.view)
	if len(compares) > partSize {
		compares = compares[:2]
	}
	at, err := c.store.Commit(ctx, store.Txn{Compares: compares, Puts: []store.Put{{Key: ledger.Allocation}, epochPut(begin)}})
	if err != nil {
		return err
	}
	return writeParts(ctx, c.store, r.txn, store.Compare{Key: ledger.EpochKey, Modified: at}, epochPut(end))
}

// writeParts writes a transaction that a store does not take at once, while guard holds; last comes last. Parts are smaller
// where the store takes less, or values are large.
func writeParts(ctx context.Context, st store.Store, t store.Txn, guard store.Compare, last ...store.Put) error {
	size := partSize
	for len(t.Puts)+len(t.Deletes) > 0 {
		puts := min(len(t.Puts), size)
		deletes := min(len(t.Deletes), size-puts)
		part := store.Txn{Compares: []store.Compare{guard}, Puts: t.Puts[:puts], Deletes: t.Deletes[:deletes]}
		_, err := st.Commit(ctx, part)
		if errors.Is(err, store.ErrTooLarge) && puts+deletes > 1 {
			size = (puts + deletes) / 2
			continue
		}
		if err != nil {
			return err
		}
		t = store.Txn{Puts: t.Puts[puts:], Deletes: t.Deletes[deletes:]}
	}
	_, err := st.Commit(ctx, store.Txn{Compares: []store.Compare{guard}, Puts: last})
	return err
}
