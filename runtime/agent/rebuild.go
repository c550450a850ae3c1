package agent

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"berth/runtime/ledger"
	"berth/runtime/store"
)

// othersTime is how long an agent that has told a store what runs here waits for the other hosts to do so, before it goes
// by what the store says: until then names and entries stay as they are. A host that takes longer counts as lost.
const othersTime = leaseTTL * time.Second

// rebuildBatch is how many operations go into one transaction, until the store says that it takes less: what an etcd takes as
// it comes, less the compares.
const rebuildBatch = 100

// told says that the store knows, in its epoch, what runs here.
type told struct {
	epoch    string
	problems []string
}

// another reports whether a batch begins another epoch, or ends the one that is known.
func (a *agent) another(b store.Batch) bool {
	return slices.ContainsFunc(b.Events, func(e store.Event) bool {
		var epoch ledger.Epoch
		return e.Key == ledger.EpochKey && (e.Deleted || json.Unmarshal(e.Value, &epoch) != nil || epoch.ID != a.memory.get().Epoch)
	})
}

// remember keeps what is known of the store, for an agent that comes after this one.
func (a *agent) remember() {
	if err := a.memory.save(); err != nil {
		a.log.Warn("what is known of the store not kept", "err", err)
	}
}

// knows reports whether a store knows what runs here: it is of the epoch that this agent has told it in, and has not gone
// back since. One that does not is told, and has to be read again. An error is the end of ctx.
func (a *agent) knows(ctx context.Context, st store.Store, snap store.Snapshot) (bool, error) {
	view, err := ledger.Decode(head(snap))
	if err != nil {
		a.log.Error("store not understood", "err", err)
		return true, nil // the loop leaves out what it cannot read
	}
	was := a.memory.get()
	if view.Epoch.ID != "" && view.Epoch.ID == was.Epoch && view.Revision >= was.Revision && view.Epoch.Restoring == "" {
		a.memory.of(view)
		a.remember()
		if a.epochTold != was.Epoch { // of an agent before this one
			a.epochTold = was.Epoch
			return true, a.say(ctx, told{epoch: was.Epoch, problems: view.Hosts[a.config.Host].Problems})
		}
		return true, nil
	}
	if view.Epoch.Restoring != "" {
		a.log.Info("a backup is being restored into the store")
		return false, a.next(ctx, st, ledger.EpochKey, view.Revision)
	}
	a.log.Info("the store does not know what runs here, telling it", "epoch", view.Epoch.ID, "known", was.Epoch,
		"revision", view.Revision, "seen", was.Revision)
	news, err := a.rebuild(ctx, st, was)
	if err != nil || news.epoch == "" {
		return false, err
	}
	a.publish.all()
	a.epochTold = news.epoch
	if err := a.say(ctx, news); err != nil {
		return false, err
	}
	return false, a.awaitOthers(ctx, st, news.epoch, was.Hosts)
}

// head is what of a snapshot says whose life of the store it is, and which hosts there are: most of the rest would be decoded
// for nothing.
func head(snap store.Snapshot) store.Snapshot {
	out := store.Snapshot{Revision: snap.Revision}
	for _, p := range snap.Pairs {
		if p.Key == ledger.EpochKey || strings.HasPrefix(p.Key, ledger.Hosts) {
			out.Pairs = append(out.Pairs, p)
		}
	}
	return out
}

// say tells the loop, which publishes it with the host's record.
func (a *agent) say(ctx context.Context, t told) error {
	a.tell(ctx, update{told: &t})
	return ctx.Err()
}

// rebuild tells the store what runs here, for as long as it takes. The result is without an epoch when a restore has
// begun meanwhile: after it, everything begins anew.
func (a *agent) rebuild(ctx context.Context, st store.Store, was remembered) (told, error) {
	var t told
	batch := rebuildBatch
	refused := a.member.knownRefusals() // as before this life of the store
	for done := false; !done; {
		err := retry(ctx, a.log, "telling the store what runs here", func(ctx context.Context) error {
			found, err := a.find(ctx)
			if err != nil {
				return err
			}
			found.Refused = refused
			snap, err := st.Get(ctx, ledger.Root)
			if err != nil {
				return err
			}
			view, err := ledger.Decode(snap)
			if err != nil {
				return err
			}
			if view.Epoch.Restoring != "" {
				t, done = told{}, true
				return nil
			}
			txn, problems, err := telling(view, found, was, a.config.Cluster, batch)
			if err != nil {
				return err
			}
			if len(txn.Puts)+len(txn.Deletes) == 0 {
				t, done = told{view.Epoch.ID, problems}, true
				a.memory.of(view)
				return nil
			}
			_, err = st.Commit(ctx, txn)
			if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUncertain) {
				return nil // once more, from what there is now
			}
			if errors.Is(err, store.ErrTooLarge) && batch > 1 {
				batch /= 2
				return nil
			}
			if err == nil {
				was.Revision = 0 // the epoch that was begun because of it is there
				a.log.Info("store told what runs here", "records", len(txn.Puts), "dropped", len(txn.Deletes))
			}
			return err
		})
		if err != nil {
			return t, err
		}
	}
	for _, p := range t.problems {
		a.log.Error("what runs here contradicts what runs elsewhere", "problem", p)
	}
	a.remember()
	return t, nil
}

// telling is the next transaction that tells the store what runs here; empty when it knows everything. A store without an
// epoch, or one that has gone back in the one that this agent knows, gets a new one. In view is what it will be. batch is how
// many records it may have.
func telling(view *ledger.View, found ledger.Found, was remembered, cluster string, batch int) (store.Txn, []string, error) {
	stored := view.Epoch
	switch {
	case stored.ID == "":
		view.Epoch = ledger.NewEpoch(was.Epoch != "" || len(found.Networks)+len(found.Tasks) > 0)
	case stored.ID == was.Epoch && view.Revision < was.Revision:
		view.Epoch = ledger.NewEpoch(true)
	}
	t, problems := ledger.Rebuild(view, found)
	t.Puts = t.Puts[:min(len(t.Puts), batch)]
	t.Deletes = t.Deletes[:min(len(t.Deletes), batch-len(t.Puts))]
	if len(t.Puts)+len(t.Deletes) > 0 {
		view.Epoch.Lost = true
		t.Compares = append(t.Compares, store.Compare{Key: ledger.Allocation, Modified: view.Allocated})
		t.Puts = append(t.Puts, store.Put{Key: ledger.Allocation})
	}
	if view.Epoch != stored {
		b, err := json.Marshal(view.Epoch)
		if err != nil {
			return t, problems, err
		}
		t.Compares = append(t.Compares, store.Compare{Key: ledger.EpochKey, Modified: view.Began})
		t.Puts = append(t.Puts, store.Put{Key: ledger.EpochKey, Value: b})
	}
	if view.Cluster == "" && cluster != "" {
		t.Compares = append(t.Compares, store.Compare{Key: ledger.ClusterKey})
		t.Puts = append(t.Puts, store.Put{Key: ledger.ClusterKey, Value: []byte(cluster)})
	}
	return t, problems, nil
}

// awaitOthers waits until the other hosts have told what runs on them, for othersTime at most.
func (a *agent) awaitOthers(ctx context.Context, st store.Store, epoch string, others []string) error {
	limited, cancel := context.WithTimeout(ctx, othersTime)
	defer cancel()
	for limited.Err() == nil {
		snap, err := st.Get(limited, ledger.Root)
		if err != nil {
			_ = sleep(limited, firstPause)
			continue
		}
		view, err := ledger.Decode(snap)
		if err != nil || view.Epoch.ID != epoch {
			return ctx.Err()
		}
		untold := slices.DeleteFunc(slices.Clone(others), func(h string) bool { return h == a.config.Host || view.Told(h) })
		if len(untold) == 0 {
			return ctx.Err()
		}
		a.log.Info("waiting for other hosts to tell the store what runs on them", "hosts", strings.Join(untold, " "))
		_ = a.next(limited, st, ledger.Root, view.Revision)
	}
	return ctx.Err()
}

// next returns at the first event under a prefix after a revision, or when the watch breaks; with an error when ctx ends.
func (a *agent) next(ctx context.Context, st store.Store, prefix string, after int64) error {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	if b := <-st.Watch(watching, prefix, after); b.Err != nil {
		_ = sleep(ctx, firstPause)
	}
	return ctx.Err()
}
