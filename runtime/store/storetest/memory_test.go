package storetest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"berth/runtime/store"
)

// memory is a store in memory that keeps the contract as this suite checks it under faults: to be broken, one way at a
// time.
type memory struct {
	mu       sync.Mutex
	revision int64
	pairs    map[string]store.Pair
	leases   map[string]int64 // key → its lease
	last     int64            // lease
	history  []store.Batch
	grown    chan struct{} // closed, and made anew, with each revision
}

func newMemory() *memory {
	return &memory{pairs: map[string]store.Pair{}, leases: map[string]int64{}, grown: make(chan struct{})}
}

func (m *memory) Close() error { return nil }

func (m *memory) Get(ctx context.Context, prefix string) (store.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	snap := store.Snapshot{Revision: m.revision}
	for _, key := range slices.Sorted(maps.Keys(m.pairs)) {
		if strings.HasPrefix(key, prefix) {
			snap.Pairs = append(snap.Pairs, m.pairs[key])
		}
	}
	return snap, ctx.Err()
}

func (m *memory) Commit(ctx context.Context, t store.Txn) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range t.Compares {
		if m.pairs[c.Key].Modified != c.Modified {
			return 0, store.ErrConflict
		}
	}
	m.apply(t)
	return m.revision, ctx.Err()
}

// apply is called with the lock held.
func (m *memory) apply(t store.Txn) {
	next := m.revision + 1
	b := store.Batch{Revision: next}
	for _, p := range t.Puts {
		pair := store.Pair{Key: p.Key, Value: p.Value, Created: next, Modified: next}
		if old, ok := m.pairs[p.Key]; ok {
			pair.Created = old.Created
		}
		m.pairs[p.Key], m.leases[p.Key] = pair, p.Lease
		b.Events = append(b.Events, store.Event{Pair: pair})
	}
	for _, key := range t.Deletes {
		if _, ok := m.pairs[key]; ok {
			delete(m.pairs, key)
			b.Events = append(b.Events, store.Event{Pair: store.Pair{Key: key, Modified: next}, Deleted: true})
		}
	}
	if len(b.Events) == 0 {
		return
	}
	m.revision = next
	m.history = append(m.history, b)
	close(m.grown)
	m.grown = make(chan struct{})
}

func (m *memory) Watch(ctx context.Context, prefix string, after int64) <-chan store.Batch {
	out := make(chan store.Batch, 1)
	go func() {
		defer close(out)
		for {
			m.mu.Lock()
			news, grown := m.history, m.grown
			m.mu.Unlock()
			for _, b := range news {
				if b.Revision <= after {
					continue
				}
				after = b.Revision
				var events []store.Event
				for _, e := range b.Events {
					if strings.HasPrefix(e.Key, prefix) {
						events = append(events, e)
					}
				}
				if len(events) == 0 {
					continue
				}
				select {
				case out <- store.Batch{Revision: b.Revision, Events: events}:
				case <-ctx.Done():
				}
			}
			select {
			case <-grown:
			case <-ctx.Done():
				select {
				case <-out:
				default:
				}
				out <- store.Batch{Err: ctx.Err()}
				return
			}
		}
	}()
	return out
}

func (m *memory) Lease(context.Context, int64) (*store.Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	id, lost := m.last, make(chan struct{})
	var once sync.Once
	return &store.Lease{ID: id, Lost: lost, Revoke: func(context.Context) error {
		once.Do(func() { close(lost) })
		m.end(id)
		return nil
	}}, nil
}

// end deletes the keys of a lease.
func (m *memory) end(id int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var t store.Txn
	for key, lease := range m.leases {
		if lease == id && m.pairs[key].Modified != 0 {
			t.Deletes = append(t.Deletes, key)
		}
	}
	m.apply(t)
}
