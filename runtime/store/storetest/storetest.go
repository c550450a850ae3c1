// Package storetest is the conformance suite of store.Store. Every driver passes it against the real server that it is
// for; a rule of the contract that has no test here is not a rule.
package storetest

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"berth/runtime/store"
)

// Server is a running store, and what the suite needs beside its clients to bring about what clients must stand.
type Server struct {
	// Open makes a new client. The suite closes it; closing twice must do no harm.
	Open func(t *testing.T) store.Store
	// Compact drops the history before a revision. nil: this store keeps none to drop, and the tests are skipped.
	Compact func(t *testing.T, revision int64)
	// OpenCut makes a new client and a function that cuts its connection to the server for good. nil: skip.
	OpenCut func(t *testing.T) (st store.Store, cut func())
}

// limit is when a test gives up waiting for what must come. It is long, because a machine may be busy; a store that
// works never gets near it.
const limit = 60 * time.Second

// Run runs the suite. The store may hold other data and have other users: each test keeps to a prefix of its own.
func Run(t *testing.T, s Server) {
	t.Run("Read", func(t *testing.T) { testRead(t, s) })
	t.Run("Commit", func(t *testing.T) { testCommit(t, s) })
	t.Run("Watch", func(t *testing.T) { testWatch(t, s, whole) })
	t.Run("WatchParts", func(t *testing.T) { testWatch(t, s, inParts) })
	t.Run("Lease", func(t *testing.T) { testLease(t, s) })
	t.Run("Close", func(t *testing.T) { testClose(t, s) })
	t.Run("BehavesAsTheModel", func(t *testing.T) { testModel(t, s) })
}

// failer is what the helpers need of a test; *testing.T and *rapid.T both are one.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// prefix returns an unused prefix with a trailing slash.
func prefix() string { return "storetest/" + rand.Text() + "/" }

// open returns a client that is closed when the test ends.
func open(t *testing.T, s Server) store.Store {
	t.Helper()
	st := s.Open(t)
	t.Cleanup(func() { closeStore(t, st) })
	return st
}

func closeStore(t *testing.T, st store.Store) {
	t.Helper()
	if err := st.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// bound is a context that ends with the test, at the latest after limit.
func bound(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func get(ctx context.Context, t failer, st store.Store, prefix string) store.Snapshot {
	t.Helper()
	snap, err := st.Get(ctx, prefix)
	if err != nil {
		t.Fatalf("get %s: %v", prefix, err)
	}
	return snap
}

func commit(ctx context.Context, t failer, st store.Store, txn store.Txn) int64 {
	t.Helper()
	rev, err := st.Commit(ctx, txn)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return rev
}

func put(ctx context.Context, t failer, st store.Store, key, value string) int64 {
	t.Helper()
	return commit(ctx, t, st, store.Txn{Puts: []store.Put{{Key: key, Value: []byte(value)}}})
}

// next returns the next batch of a watch that must not end.
func next(ctx context.Context, t failer, w <-chan store.Batch) store.Batch {
	t.Helper()
	select {
	case b, ok := <-w:
		if !ok {
			t.Fatal("the watch's channel closed without a last batch")
		}
		if b.Err != nil {
			t.Fatalf("the watch ended: %v", b.Err)
		}
		return b
	case <-ctx.Done():
		t.Fatal("the watch sends nothing")
	}
	return store.Batch{}
}

// last drains a watch and returns the error it ends with.
func last(t *testing.T, w <-chan store.Batch) error {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var end error
	for {
		select {
		case b, ok := <-w:
			if !ok {
				if end == nil {
					t.Fatal("the watch's channel closed without a last batch")
				}
				return end
			}
			if end != nil {
				t.Fatalf("a batch after the last one: %+v", b)
			}
			end = b.Err
		case <-timer.C:
			t.Fatal("the watch does not end")
		}
	}
}
