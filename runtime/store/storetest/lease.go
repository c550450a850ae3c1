package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/runtime/store"
)

func lease(ctx context.Context, t *testing.T, st store.Store, ttl int64) *store.Lease {
	t.Helper()
	l, err := st.Lease(ctx, ttl)
	if err != nil {
		t.Fatalf("lease: %v", err)
	}
	return l
}

func putUnder(ctx context.Context, t *testing.T, st store.Store, l *store.Lease, keys ...string) int64 {
	t.Helper()
	var txn store.Txn
	for _, k := range keys {
		txn.Puts = append(txn.Puts, store.Put{Key: k, Value: []byte("held"), Lease: l.ID})
	}
	return commit(ctx, t, st, txn)
}

func waitLost(ctx context.Context, t *testing.T, l *store.Lease) {
	t.Helper()
	select {
	case <-l.Lost:
	case <-ctx.Done():
		t.Fatal("Lost does not close")
	}
}

// waitDeleted follows a watch until all keys are deleted.
func waitDeleted(ctx context.Context, t *testing.T, w <-chan store.Batch, keys ...string) {
	t.Helper()
	left := map[string]bool{}
	for _, k := range keys {
		left[k] = true
	}
	for len(left) > 0 {
		for _, e := range next(ctx, t, w).Events {
			if !e.Deleted {
				t.Fatalf("%s was put", e.Key)
			}
			delete(left, e.Key)
		}
	}
}

func testLease(t *testing.T, s Server) {
	st := open(t, s)

	t.Run("RevokingDeletesItsKeysAndNoOthers", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		l, kept := lease(ctx, t, st, 10), lease(ctx, t, st, 10)
		putUnder(ctx, t, st, kept, p+"kept")
		put(ctx, t, st, p+"free", "")
		putUnder(ctx, t, st, l, p+"freed later")
		at := putUnder(ctx, t, st, l, p+"a", p+"b")
		put(ctx, t, st, p+"freed later", "without a lease")
		w := st.Watch(ctx, p, at+1)
		select {
		case <-l.Lost:
			t.Fatal("Lost is closed before the lease ends")
		default:
		}
		if err := l.Revoke(ctx); err != nil {
			t.Fatal(err)
		}
		waitLost(ctx, t, l)
		waitDeleted(ctx, t, w, p+"a", p+"b")
		var left []string
		for _, pair := range get(ctx, t, st, p).Pairs {
			left = append(left, pair.Key)
		}
		if d := cmp.Diff([]string{p + "free", p + "freed later", p + "kept"}, left); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
		if err := l.Revoke(ctx); err != nil {
			t.Errorf("revoke again: %v", err)
		}
		if err := kept.Revoke(ctx); err != nil {
			t.Error(err)
		}
	})

	t.Run("NothingIsPutUnderAnEndedLease", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		l := lease(ctx, t, st, 10)
		if err := l.Revoke(ctx); err != nil {
			t.Fatal(err)
		}
		_, err := st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: p + "free"}, {Key: p + "held", Lease: l.ID}}})
		if !errors.Is(err, store.ErrLeaseEnded) {
			t.Errorf("error %v, want ErrLeaseEnded", err)
		}
		if snap := get(ctx, t, st, p); len(snap.Pairs) != 0 {
			t.Errorf("the transaction left %+v", snap.Pairs)
		}
	})

	t.Run("ALeaseTooShortIsInvalid", func(t *testing.T) {
		if _, err := st.Lease(bound(t), store.MinLeaseTTL-1); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("error %v, want ErrInvalid", err)
		}
	})

	// Closing a client is what its sudden death is to the store: nobody keeps its leases. The longer lease of a client
	// that dies is the clock by which a shorter one of a client that lives would have ended.
	t.Run("KeysGoWithTheirHolderAndStayWhileItLives", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		held := lease(ctx, t, st, store.MinLeaseTTL)
		putUnder(ctx, t, st, held, p+"lives")

		dying := s.Open(t)
		defer closeStore(t, dying)
		l := lease(ctx, t, dying, 3*store.MinLeaseTTL)
		at := putUnder(ctx, t, dying, l, p+"dies")
		w := st.Watch(ctx, p, at)
		closeStore(t, dying)
		waitLost(ctx, t, l)
		waitDeleted(ctx, t, w, p+"dies")

		select {
		case <-held.Lost:
			t.Error("the lease of the client that lives was lost")
		default:
		}
		if snap := get(ctx, t, st, p); len(snap.Pairs) != 1 || snap.Pairs[0].Key != p+"lives" {
			t.Errorf("left is %+v", snap.Pairs)
		}
		if err := held.Revoke(ctx); err != nil {
			t.Error(err)
		}
	})

	t.Run("LostClosesWhenTheStoreIsOutOfReach", func(t *testing.T) {
		if s.OpenCut == nil {
			t.Skip("this server's clients cannot be cut off")
		}
		ctx, p := bound(t), prefix()
		cutOff, cut := s.OpenCut(t)
		defer closeStore(t, cutOff)
		l := lease(ctx, t, cutOff, store.MinLeaseTTL)
		at := putUnder(ctx, t, cutOff, l, p+"k")
		w := st.Watch(ctx, p, at)
		start := time.Now()
		cut()
		waitLost(ctx, t, l)
		// Not before its time without a reason, and so that the holder knows before others can have the key.
		if d := time.Since(start); d > 2*store.MinLeaseTTL*time.Second {
			t.Errorf("Lost closed only after %s", d)
		}
		waitDeleted(ctx, t, w, p+"k")
	})
}

func testClose(t *testing.T, s Server) {
	t.Run("ClosingEndsWatchesAndLeases", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		st := s.Open(t)
		w := st.Watch(ctx, p, put(ctx, t, st, p+"k", ""))
		l := lease(ctx, t, st, 10)
		closeStore(t, st)
		if err := last(t, w); !errors.Is(err, store.ErrClosed) {
			t.Errorf("the watch ended with %v, want ErrClosed", err)
		}
		waitLost(ctx, t, l)
		closeStore(t, st)
	})

	t.Run("AClosedStoreSaysSo", func(t *testing.T) {
		ctx := bound(t)
		st := s.Open(t)
		closeStore(t, st)
		_, errGet := st.Get(ctx, prefix())
		_, errCommit := st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: prefix()}}})
		_, errLease := st.Lease(ctx, 10)
		errWatch := last(t, st.Watch(ctx, prefix(), 1))
		for call, err := range map[string]error{"Get": errGet, "Commit": errCommit, "Lease": errLease, "Watch": errWatch} {
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("%s: %v, want ErrClosed", call, err)
			}
		}
	})

	t.Run("ACancelledContextEndsEveryCall", func(t *testing.T) {
		st := open(t, s)
		ctx, cancel := context.WithCancel(bound(t))
		cancel()
		_, errGet := st.Get(ctx, prefix())
		_, errCommit := st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: prefix()}}})
		_, errLease := st.Lease(ctx, 10)
		errWatch := last(t, st.Watch(ctx, prefix(), 1))
		for call, err := range map[string]error{"Get": errGet, "Commit": errCommit, "Lease": errLease, "Watch": errWatch} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want the context's error", call, err)
			}
		}
	})
}
