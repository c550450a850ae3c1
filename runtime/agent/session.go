package agent

import (
	"context"
	"errors"
	"sync"

	"berth/runtime/ledger"
	"berth/runtime/store"
)

// update is news from the store: a whole snapshot, or the events of one revision; or that the store was told what runs
// here.
type update struct {
	snapshot *store.Snapshot
	batch    store.Batch
	told     *told
}

// session connects to the store and follows and writes it until ctx ends. Nothing that stands on the host depends on
// it: while the store is away, everything stays as last known.
func (a *agent) session(ctx context.Context, files Files) {
	st, err := openStore(ctx, a.config.Store, files, a.log)
	if err != nil {
		return
	}
	a.connected.Store(true)
	a.log.Info("store connected")
	var wg sync.WaitGroup
	wg.Go(func() { a.publish.run(ctx, st) })
	wg.Go(func() { a.follow(ctx, st) })
	wg.Wait()
	if err := st.Close(); err != nil {
		a.log.Debug("store not closed", "err", err)
	}
}

// follow sends the store's state and then each of its changes to the loop.
func (a *agent) follow(ctx context.Context, st store.Store) {
	for ctx.Err() == nil {
		var snap store.Snapshot
		if retry(ctx, a.log, "reading of the store", func(ctx context.Context) (err error) {
			snap, err = st.Get(ctx, ledger.Root)
			return err
		}) != nil {
			return
		}
		if knows, err := a.knows(ctx, st, snap); err != nil {
			return
		} else if !knows {
			continue // it has been told meanwhile
		}
		if !a.tell(ctx, update{snapshot: &snap}) {
			return
		}
		a.watch(ctx, st, snap.Revision)
	}
}

// watch sends each change to the loop, until the store has to be read anew.
func (a *agent) watch(ctx context.Context, st store.Store, after int64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := st.Watch(ctx, ledger.Root, after)
	for {
		var b store.Batch
		select {
		case b = <-batches:
		case <-a.publish.renewed:
			// Its lease ended: perhaps for want of a store that had it. The watch would not see that it has gone back.
			a.log.Info("reading the store anew")
			return
		}
		if b.Err != nil {
			if ctx.Err() == nil && !errors.Is(b.Err, store.ErrCompacted) {
				a.log.Warn("store watch broke, reading anew", "err", b.Err)
				_ = sleep(ctx, firstPause)
			}
			return
		}
		if a.another(b) || !a.tell(ctx, update{batch: b}) {
			return
		}
		a.memory.at(b.Revision)
	}
}

func (a *agent) tell(ctx context.Context, u update) bool {
	select {
	case a.updates <- u:
		return true
	case <-ctx.Done():
		return false
	}
}
