package agent

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"sync"

	"berth/runtime/ledger"
	"berth/runtime/store"
	"berth/runtime/store/etcd"
)

// update is news from the store: a whole snapshot, or the events of one revision; or that the store was told what runs
// here.
type update struct {
	snapshot *store.Snapshot
	batch    store.Batch
	told     *told
}

// session connects to the store and follows and writes it until ctx ends. Nothing that stands on the host depends on it:
// while the store is away, everything stays as last known.
func (a *agent) session(ctx context.Context, files Files, s *signer) {
	st, err := openStore(ctx, a.member.settings, files, a.away, a.log)
	if err != nil {
		return
	}
	a.connected.Store(true)
	a.member.reach(st)
	defer a.member.reach(nil)
	a.log.Info("store connected")
	var wg sync.WaitGroup
	wg.Go(func() { a.publish.run(ctx, st, a.away) })
	wg.Go(func() { a.follow(ctx, st, s) })
	wg.Go(func() { s.ask(ctx, st) })
	wg.Go(func() { a.moves(ctx, st) })
	wg.Wait()
	if err := st.Close(); err != nil {
		a.log.Debug("store not closed", "err", err)
	}
}

// moves tells the connection to the store whenever its members are others, until ctx ends.
func (a *agent) moves(ctx context.Context, st store.Store) {
	members, ok := etcd.MembersOf(st)
	if !ok {
		return // another kind of store knows its servers by itself
	}
	for {
		c, changed := a.member.settings.store()
		if len(c.Endpoints) > 0 { // an external store's are in its address
			if err := members.Move(c.Endpoints); err != nil {
				a.log.Error("the store's new members not taken over", "err", err)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// follow sends the store's state and then each of its changes to the loop, and has requests for certificates answered.
func (a *agent) follow(ctx context.Context, st store.Store, s *signer) {
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
		desk := newDesk(s)
		for _, p := range snap.Pairs {
			desk.take(ctx, st, store.Event{Pair: p}) // "refused" sorts before "renewals"
		}
		if a.tell(ctx, update{snapshot: &snap}) {
			a.watch(ctx, st, snap.Revision, desk)
		}
		desk.signing.Wait()
	}
}

// watch sends each change to the loop, until the store has to be read anew.
func (a *agent) watch(ctx context.Context, st store.Store, after int64, desk *desk) {
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
		for _, e := range b.Events {
			desk.take(ctx, st, e)
		}
		if a.another(b) || !a.tell(ctx, update{batch: b}) {
			return
		}
		a.memory.at(b.Revision)
	}
}

// desk is where requests for certificates arrive, and what is known of who is refused meanwhile.
type desk struct {
	signer  *signer
	refused map[string]string
	signing sync.WaitGroup
}

func newDesk(s *signer) *desk { return &desk{signer: s, refused: map[string]string{}} }

// take has a request answered, and notes a refusal.
func (d *desk) take(ctx context.Context, st store.Store, e store.Event) {
	if k := ledger.Split(e.Key, ledger.Renewals); len(k) == 1 && !e.Deleted {
		known := maps.Clone(d.refused)
		d.signing.Go(func() { d.signer.sign(ctx, st, k[0], e.Pair, known) })
	} else if k := ledger.Split(e.Key, ledger.Refused); len(k) == 1 {
		noteRefusal(d.refused, k[0], e)
	}
}

// noteRefusal takes an event under ledger.Refused in; one that is not understood refuses the host altogether.
func noteRefusal(refused map[string]string, host string, e store.Event) {
	var r ledger.Refusal
	if e.Deleted {
		delete(refused, host)
	} else {
		_ = json.Unmarshal(e.Value, &r)
		refused[host] = r.Admitted
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
