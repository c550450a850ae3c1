package agent

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"berth/runtime/ledger"
	"berth/runtime/store"
	"berth/runtime/store/etcd"
)

// update is news from the store: a whole snapshot of what this host needs, the events of one revision, or that it needs other
// parts of the store now; or that the store was told what runs here.
type update struct {
	snapshot *store.Snapshot
	batch    store.Batch
	shift    *shift
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
	wg.Go(func() { a.keepUp(ctx, st) })
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
		scope := scopeOf(a.config.Host, a.log, snap)
		needed := scope.cut(snap)
		if a.tell(ctx, update{snapshot: &needed}) {
			a.watch(ctx, st, snap.Revision, scope, desk)
		}
		desk.signing.Wait()
	}
}

// watch sends each change of what this host needs to the loop, until the store has to be read anew.
func (a *agent) watch(ctx context.Context, st store.Store, after int64, scope *scope, desk *desk) {
	floor := map[string]int64{}
	for parts := scope.parts(); ; {
		next, ok := a.watchParts(ctx, st, after, parts, floor, scope, desk)
		if !ok {
			return
		}
		after = next
		for now := scope.parts(); !slices.Equal(parts, now); now = scope.parts() {
			shift, err := scope.shift(ctx, st, parts, now, floor)
			if err != nil || !a.tell(ctx, update{shift: &shift}) {
				return
			}
			for _, snap := range shift.came {
				scope.takeAll(snap) // endpoints whose projects' locks are needed too
			}
			parts = now
		}
	}
}

// watchParts sends each change of parts of the store to the loop until others are needed, and says after which revision to go
// on; ok is false when the store has to be read anew.
func (a *agent) watchParts(ctx context.Context, st store.Store, after int64, parts []string, floor map[string]int64, scope *scope, desk *desk) (next int64, ok bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	whole := scope.everywhere()
	batches := scope.watch(ctx, st, parts, after)
	for {
		var b store.Batch
		select {
		case b = <-batches:
		case <-a.publish.renewed:
			// Its lease ended: perhaps for want of a store that had it. The watch would not see that it has gone back.
			if a.wentBack(ctx, st) {
				a.log.Info("reading the store anew")
				return 0, false
			}
			continue
		}
		if b.Err != nil {
			if ctx.Err() == nil && !errors.Is(b.Err, store.ErrCompacted) {
				a.log.Warn("store watch broke, reading anew", "err", b.Err)
				_ = sleep(ctx, firstPause)
			}
			return 0, false
		}
		if b = unknown(b, parts, floor); len(b.Events) == 0 {
			continue
		}
		others := false
		for _, e := range b.Events {
			desk.take(ctx, st, e)
			others = scope.take(e) || others
		}
		if a.another(b) || !a.tell(ctx, update{batch: b}) {
			return 0, false
		}
		a.memory.at(b.Revision)
		if others && (whole != scope.everywhere() || !slices.Equal(parts, scope.parts())) {
			return b.Revision, true
		}
	}
}

// wentBack reports whether the store is in another epoch than the one that this agent knows, or not as far. It reads one key:
// where leases end because a store has too much to do, reading all of it would give it more.
func (a *agent) wentBack(ctx context.Context, st store.Store) bool {
	var snap store.Snapshot
	if retry(ctx, a.log, "reading of the store's epoch", func(ctx context.Context) (err error) {
		snap, err = st.Get(ctx, ledger.EpochKey)
		return err
	}) != nil {
		return true // it ends
	}
	return !a.memory.get().goesOn(snap)
}

// keepUp remembers how far the store has come, also while nothing happens that this host watches.
func (a *agent) keepUp(ctx context.Context, st store.Store) {
	for sleep(ctx, keepUpEvery) == nil {
		if snap, err := st.Get(ctx, ledger.EpochKey); err == nil {
			a.memory.at(snap.Revision)
		}
	}
}

// keepUpEvery is how often the store is asked how far it has come.
const keepUpEvery = time.Minute

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
