package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/runtime/store"
)

// broken is a store that does one thing wrong, now and then. Its clients are on one memory; what they share is guarded.
type broken struct {
	*memory
	mu     sync.Mutex
	random *rand.Rand
	commit func(b *broken, ctx context.Context, t store.Txn) (int64, error)
	get    func(b *broken, ctx context.Context, prefix string) (store.Snapshot, error)
	watch  func(b *broken, in store.Batch) []store.Batch
	leased func(b *broken, l *store.Lease)
	old    store.Snapshot
}

// seldom is true in about one of n calls.
func (b *broken) seldom(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.random.IntN(n) == 0
}

func (b *broken) Commit(ctx context.Context, t store.Txn) (int64, error) {
	if b.commit != nil {
		return b.commit(b, ctx, t)
	}
	return b.memory.Commit(ctx, t)
}

func (b *broken) Get(ctx context.Context, prefix string) (store.Snapshot, error) {
	if b.get != nil {
		return b.get(b, ctx, prefix)
	}
	return b.memory.Get(ctx, prefix)
}

func (b *broken) Lease(ctx context.Context, ttl int64) (*store.Lease, error) {
	l, err := b.memory.Lease(ctx, ttl)
	if b.leased != nil {
		b.leased(b, l)
	}
	return l, err
}

func (b *broken) Watch(ctx context.Context, prefix string, after int64) <-chan store.Batch {
	in := b.memory.Watch(ctx, prefix, after)
	if b.watch == nil {
		return in
	}
	out := make(chan store.Batch)
	go func() {
		defer close(out)
		for batch := range in {
			batches := []store.Batch{batch}
			if batch.Err == nil {
				batches = b.watch(b, batch)
			}
			for _, x := range batches {
				select {
				case out <- x:
				case <-ctx.Done():
				}
			}
		}
	}()
	return out
}

// violations runs clients on a store for a moment and gives what the judge says. pace keeps a store that answers in no
// time from making a history that is longer than any real one's.
func violations(t *testing.T, seed uint64, b *broken) []string {
	t.Helper()
	b.memory, b.random = newMemory(), rand.New(rand.NewPCG(seed, 2))
	h, _, err := Ordeal{Open: func(testing.TB) store.Store { return paced{b} }}.round(t, rand.New(rand.NewPCG(seed, 1)), 150*time.Millisecond)
	if err != nil {
		return []string{err.Error()}
	}
	wrong, counted := judge(h)
	t.Log(counted)
	return wrong
}

type paced struct{ store.Store }

func (p paced) Commit(ctx context.Context, t store.Txn) (int64, error) {
	rest(ctx, 200*time.Microsecond)
	return p.Store.Commit(ctx, t)
}

func (p paced) Get(ctx context.Context, prefix string) (store.Snapshot, error) {
	rest(ctx, 200*time.Microsecond)
	return p.Store.Get(ctx, prefix)
}

func TestAStoreThatKeepsTheContractIsAcquitted(t *testing.T) {
	for name, b := range map[string]*broken{
		"and always answers": {},
		"and loses answers to transactions that happened and to such that did not": {
			commit: func(b *broken, ctx context.Context, t store.Txn) (int64, error) {
				b.mu.Lock()
				fate := b.random.IntN(10)
				b.mu.Unlock()
				switch fate {
				case 0:
					_, _ = b.memory.Commit(ctx, t)
					fallthrough
				case 1:
					return 0, fmt.Errorf("gone: %w", store.ErrUncertain)
				case 2:
					return 0, fmt.Errorf("away: %w", store.ErrUnreachable)
				}
				return b.memory.Commit(ctx, t)
			},
		},
		"and ends leases, and says so": {
			leased: func(b *broken, l *store.Lease) {
				end := make(chan struct{})
				lost := l.Lost
				l.Lost = end
				var once sync.Once
				revoke := l.Revoke
				l.Revoke = func(ctx context.Context) error {
					once.Do(func() { close(end) })
					return revoke(ctx)
				}
				go func() {
					select {
					case <-time.After(20 * time.Millisecond):
						once.Do(func() { close(end) })
						b.end(l.ID)
					case <-lost:
					}
				}()
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				for _, v := range violations(t, seed, b) {
					t.Errorf("seed %d: %s", seed, v)
				}
			}
		})
	}
}

// Each of these is one bug that a driver or a server may have.
func TestABrokenStoreIsFoundOut(t *testing.T) {
	for name, c := range map[string]struct {
		store *broken
		says  string // part of what the judge says
	}{
		"a watch loses a revision": {
			&broken{watch: func(b *broken, in store.Batch) []store.Batch {
				if b.seldom(50) {
					return nil
				}
				return []store.Batch{in}
			}}, "lost revision",
		},
		"a watch repeats a revision": {
			&broken{watch: func(b *broken, in store.Batch) []store.Batch {
				if b.seldom(50) {
					return []store.Batch{in, in}
				}
				return []store.Batch{in}
			}}, "sent revision",
		},
		"a watch cuts a revision": {
			&broken{watch: func(b *broken, in store.Batch) []store.Batch {
				if len(in.Events) > 1 && b.seldom(10) {
					in.Events = in.Events[1:]
				}
				return []store.Batch{in}
			}}, "without its change",
		},
		"a read is stale": {
			&broken{get: func(b *broken, ctx context.Context, prefix string) (store.Snapshot, error) {
				snap, err := b.memory.Get(ctx, prefix)
				b.mu.Lock()
				defer b.mu.Unlock()
				if strings.HasSuffix(prefix, "/") {
					if b.random.IntN(30) == 0 {
						return b.old, err
					}
					b.old = snap
				}
				return snap, err
			}}, "not linearizable",
		},
		"a snapshot is torn": {
			&broken{get: func(b *broken, ctx context.Context, prefix string) (store.Snapshot, error) {
				snap, err := b.memory.Get(ctx, prefix)
				if n := len(snap.Pairs); n > 1 && b.seldom(20) {
					rest(ctx, 5*time.Millisecond)
					later, err := b.memory.Get(ctx, snap.Pairs[n-1].Key)
					snap.Pairs = append(snap.Pairs[:n-1:n-1], later.Pairs...)
					return snap, err
				}
				return snap, err
			}}, "not linearizable",
		},
		"half a transaction is applied": {
			&broken{commit: func(b *broken, ctx context.Context, t store.Txn) (int64, error) {
				if len(t.Puts)+len(t.Deletes) > 1 && b.seldom(20) {
					t.Puts, t.Deletes = t.Puts[:1], nil
				}
				return b.memory.Commit(ctx, t)
			}}, "without its change",
		},
		"a compare is ignored": {
			&broken{commit: func(b *broken, ctx context.Context, t store.Txn) (int64, error) {
				if b.seldom(10) {
					t.Compares = nil
				}
				return b.memory.Commit(ctx, t)
			}}, "not linearizable",
		},
		"a compare fails that holds": {
			&broken{commit: func(b *broken, ctx context.Context, t store.Txn) (int64, error) {
				if len(t.Compares) > 0 && b.seldom(10) {
					return 0, store.ErrConflict
				}
				return b.memory.Commit(ctx, t)
			}}, "not linearizable",
		},
		"an answered transaction is lost": {
			&broken{commit: func(b *broken, ctx context.Context, t store.Txn) (int64, error) {
				if len(t.Compares) == 0 && b.seldom(20) {
					snap, err := b.memory.Get(ctx, "")
					return snap.Revision, err
				}
				return b.memory.Commit(ctx, t)
			}}, "revision",
		},
		"a transaction that was refused happens": {
			&broken{commit: func(b *broken, ctx context.Context, t store.Txn) (int64, error) {
				revision, err := b.memory.Commit(ctx, t)
				if err == nil && b.seldom(20) {
					return 0, store.ErrUnreachable
				}
				return revision, err
			}}, "of a transaction that was answered with",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				c.store.old = store.Snapshot{}
				found := violations(t, seed, c.store)
				if strings.Contains(strings.Join(found, "\n"), c.says) {
					t.Logf("seed %d: %s", seed, found[0])
					return
				}
				if len(found) > 0 {
					t.Logf("seed %d: something else, too: %s", seed, found[0])
				}
			}
			t.Errorf("nobody said %q", c.says)
		})
	}
}
