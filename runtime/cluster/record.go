package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"berth/runtime/ledger"
	"berth/runtime/store"
	"berth/scheduler"
)

// networkTime bounds how long an agent may take to make or remove a network. It does so in a few hundred
// milliseconds; an agent that is down does not at all.
const networkTime = 60 * time.Second

// Records is the store as the steps of one plan use it (execute.Store). Close it after the run.
type Records struct {
	c         *Cluster
	project   string
	allocated int64 // revision of ledger.Allocation that the plan was made from

	mu      sync.Mutex
	ready   map[string]ledger.Ready // by key; nil until the watch stands
	changed chan struct{}           // closed and replaced at each change of ready
	broken  error                   // why the watch ended
	since   map[string]int64        // network → revision of the record that a step wants to see applied
	// recorded is the revision of the last change that a step has recorded.
	recorded int64
	cancel   context.CancelFunc
	done     chan struct{}
	start    sync.Once

	// Of Withdrawals: under what, and from which hosts, containers are withdrawn.
	lease *store.Lease
	alive []string
	lost  sync.Once // the store, on the way
}

// Records prepares the store for a plan of the project that was made from the last Observe.
func (c *Cluster) Records(project string) *Records {
	r := &Records{c: c, project: project, since: map[string]int64{}, changed: make(chan struct{}), done: make(chan struct{})}
	if c.view != nil {
		r.allocated = c.view.Allocated
		maps.Copy(r.since, c.view.Revisions)
	}
	return r
}

// Close ends the watch.
func (r *Records) Close() {
	r.giveBack()
	r.start.Do(func() { close(r.done) })
	if r.cancel != nil {
		r.cancel()
	}
	<-r.done
}

// Commit applies a change in one transaction, which fails with store.ErrConflict when another command has allocated
// since the plan was made, or when the project's lock is no longer held. What an external store refuses as too large
// (etcd as it comes takes 128 operations) goes in parts.
func (r *Records) Commit(ctx context.Context, change *scheduler.Change) error {
	if len(change.Networks)+len(change.Endpoints) > 0 && r.c.view != nil {
		if err := r.c.allTold(r.c.view); err != nil {
			return err
		}
	}
	t, err := ledger.Txn(r.project, change, r.allocated)
	if err != nil {
		return err
	}
	first, err := r.commit(ctx, t)
	last := first
	if errors.Is(err, store.ErrTooLarge) {
		first, last, err = r.commitParts(ctx, t)
	}
	if err != nil {
		return fmt.Errorf("record the plan in the store: %w", err)
	}
	r.mu.Lock()
	for _, n := range change.Networks {
		r.since[n.Name] = first
	}
	r.recorded = last
	r.mu.Unlock()
	return nil
}

// commit applies one transaction if the project's lock is still held.
func (r *Records) commit(ctx context.Context, t store.Txn) (int64, error) {
	if l := r.c.lock; l != nil {
		t.Compares = append(slices.Clone(t.Compares), l.Guard())
	}
	return r.c.store.Commit(ctx, t)
}

// partSize leaves room in etcd's 128 operations for the compares. What a store takes at once may be set lower.
const partSize = 100

// commitParts applies a large transaction piece by piece. The first piece has the compares and the networks; the project's
// lock keeps others from most of the rest, and from addresses and ports, which projects share, the allocation key does: each
// piece of a transaction that takes it compares it with the piece before and takes it again, so that nobody allocates from
// half of this. Cut short, the next command sees what is there and plans the remainder. It returns the first piece's revision,
// which is that of the networks, and the last one's.
func (r *Records) commitParts(ctx context.Context, t store.Txn) (first, last int64, err error) {
	allocates := func(p store.Put) bool { return p.Key == ledger.Allocation }
	takes := slices.ContainsFunc(t.Puts, allocates)
	left := slices.DeleteFunc(slices.Clone(t.Puts), allocates)
	deletes, compares := t.Deletes, t.Compares
	size := partSize
	for len(left)+len(deletes) > 0 || first == 0 {
		n := min(len(left), size)
		d := min(len(deletes), size-n)
		piece := store.Txn{Compares: compares, Puts: slices.Clone(left[:n]), Deletes: deletes[:d]}
		if takes {
			piece.Puts = append(piece.Puts, store.Put{Key: ledger.Allocation})
		}
		rev, err := r.commit(ctx, piece)
		if errors.Is(err, store.ErrTooLarge) && n+d > 1 {
			size = (n + d) / 2
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		if last = rev; first == 0 {
			first = rev
		}
		if compares = nil; takes {
			compares = []store.Compare{{Key: ledger.Allocation, Modified: rev}}
		}
		left, deletes = left[n:], deletes[d:]
	}
	return first, last, nil
}

// NetworkReady waits until the host's agent reports the network, as this plan recorded it, up.
func (r *Records) NetworkReady(ctx context.Context, network, host string) error {
	return r.await(ctx, network, host, "made", func(got ledger.Ready, there bool, want int64) (bool, error) {
		if !there || got.Revision < want {
			return false, nil
		}
		if got.Problem != "" {
			return false, fmt.Errorf("network %s on host %s: %s", network, host, got.Problem)
		}
		return true, nil
	})
}

// usedTime is how long a network that others' containers are on is waited for: they may be about to leave.
const usedTime = 3 * time.Second

// NetworkGone waits until the host's agent reports the network gone. One that is in use for longer than usedTime is an
// error for which engine.IsInUse holds.
func (r *Records) NetworkGone(ctx context.Context, network, host string) error {
	var since time.Time
	return r.await(ctx, network, host, "removed", func(got ledger.Ready, there bool, _ int64) (bool, error) {
		switch {
		case !there:
			return true, nil
		case !got.Used:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= usedTime:
			return false, errdefs.ErrConflict.WithMessage(fmt.Sprintf("network %s stays on host %s until nothing is on it any more: %s", network, host, got.Problem))
		}
		return false, nil
	})
}

func (r *Records) await(ctx context.Context, network, host, verb string, holds func(ledger.Ready, bool, int64) (bool, error)) error {
	r.start.Do(func() { r.watch() })
	ctx, cancel := context.WithTimeout(ctx, networkTime)
	defer cancel()
	key := ledger.ReadyKey(network, host)
	for {
		r.mu.Lock()
		got, there := r.ready[key]
		synced, want, changed, broken := r.ready != nil, r.since[network], r.changed, r.broken
		r.mu.Unlock()
		if synced {
			if ok, err := holds(got, there, want); ok || err != nil {
				return err
			}
		}
		var again <-chan time.Time
		if got.Used {
			again = time.After(usedTime)
		}
		if broken != nil {
			return fmt.Errorf("network %s on host %s: %w", network, host, broken)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) && got.Problem != "" {
				return fmt.Errorf("network %s was not %s on host %s within %s: %s", network, verb, host, networkTime, got.Problem)
			}
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("network %s was not %s on host %s within %s: its agent does not answer; look at \"docker logs %s\" there",
					network, verb, host, networkTime, AgentName)
			}
			return ctx.Err()
		}
	}
}

// watch follows the agents' reports: one read and one watch for all steps of the plan.
func (r *Records) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		err := r.follow(ctx)
		if ctx.Err() == nil {
			r.update(func() { r.broken = err })
		}
	}()
}

func (r *Records) follow(ctx context.Context) error {
	for {
		snap, err := r.c.store.Get(ctx, ledger.Readies)
		if err != nil {
			return err
		}
		ready := map[string]ledger.Ready{}
		for _, p := range snap.Pairs {
			decodeReady(ready, p)
		}
		r.update(func() { r.ready = ready })
		for b := range r.c.store.Watch(ctx, ledger.Readies, snap.Revision) {
			if b.Err != nil {
				err = b.Err
				break
			}
			r.update(func() {
				for _, ev := range b.Events {
					if ev.Deleted {
						delete(r.ready, ev.Key)
					} else {
						decodeReady(r.ready, ev.Pair)
					}
				}
			})
		}
		if !errors.Is(err, store.ErrCompacted) {
			return fmt.Errorf("watch the store: %w", errors.Join(err, ctx.Err()))
		}
	}
}

func decodeReady(into map[string]ledger.Ready, p store.Pair) {
	var v ledger.Ready
	if json.Unmarshal(p.Value, &v) == nil {
		into[p.Key] = v
	}
}

func (r *Records) update(f func()) {
	r.mu.Lock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
}
