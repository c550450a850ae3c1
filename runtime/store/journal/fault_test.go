package journal_test

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"berth/runtime/store"
	"berth/runtime/store/journal"
)

// writes tells requests that change something from those that wait; reads of records are transactions too.
func writes(r *http.Request) bool {
	return r.Method == http.MethodPut && !strings.HasPrefix(r.URL.Path, "/v1/session/")
}

func TestACommitWhoseAnswerIsLostAppliesOnceAndSaysSo(t *testing.T) {
	for name, lose := range map[string]func(n int64) (before, after bool){
		"before it takes effect": func(n int64) (bool, bool) { return n%5 == 0, false },
		"after":                  func(n int64) (bool, bool) { return false, n%5 == 0 },
		"both":                   func(n int64) (bool, bool) { return n%7 == 0, n%5 == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			st, other := w.open(journal.Options{}), w.open(journal.Options{})
			at := w.put(st, "n", "0")
			watch := other.Watch(w.ctx(), "n", at)
			var n atomic.Int64
			w.Break(func(r *http.Request) (bool, bool) {
				if !writes(r) {
					return false, false
				}
				return lose(n.Add(1))
			})
			// No compare: one that was sent again blindly would apply twice.
			const commits = 60
			for i := 1; i <= commits; i++ {
				at = w.put(st, "n", strconv.Itoa(i))
				if b := w.next(watch); b.Revision != at || string(b.Events[0].Value) != strconv.Itoa(i) {
					t.Fatalf("commit %d at revision %d; the watch sends %+v", i, at, b)
				}
			}
			w.Break(nil)
			if snap := w.get(other); snap.Revision != at {
				t.Errorf("the store is at revision %d after the last commit at %d", snap.Revision, at)
			}
		})
	}
}

func TestTheStoreLostAmidACommitIsToldFromOneThatWasAway(t *testing.T) {
	w := newWorld(t)
	st := w.open(journal.Options{Timeout: 500 * time.Millisecond})
	put := store.Txn{Puts: []store.Put{{Key: "k"}}}
	w.Break(func(r *http.Request) (before, after bool) { return r.Method == http.MethodGet, writes(r) })
	w.Stop() // nor is the watch told, which waits already
	w.Start(t)
	if _, err := st.Commit(w.ctx(), put); !errors.Is(err, store.ErrUncertain) || errors.Is(err, store.ErrUnreachable) {
		t.Errorf("its answer was lost: error %v, want ErrUncertain", err)
	}
	w.Break(nil)
	w.Stop()
	_, errGet := st.Get(w.ctx(), "")
	_, errCommit := st.Commit(w.ctx(), put)
	_, errLease := st.Lease(w.ctx(), 10)
	for call, err := range map[string]error{"Get": errGet, "Commit": errCommit, "Lease": errLease} {
		if !errors.Is(err, store.ErrUnreachable) || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s without a server: error %q, want ErrUnreachable and why", call, err)
		}
	}
	watch := st.Watch(w.ctx(), "", 1)
	w.Start(t)
	rev := w.put(st, "later", "")
	for b := w.next(watch); b.Revision < rev; b = w.next(watch) {
		if b.Err != nil {
			t.Fatalf("the watch ended: %v", b.Err)
		}
	}
}

func TestALeaseIsEndedOnceByManyWhoSeeItGo(t *testing.T) {
	w := newWorld(t)
	var watches []<-chan store.Batch
	first := w.open(journal.Options{})
	holder := w.open(journal.Options{})
	lease, err := holder.Lease(w.ctx(), store.MinLeaseTTL)
	if err != nil {
		t.Fatal(err)
	}
	at := w.commit(holder, store.Txn{Puts: []store.Put{{Key: "a", Lease: lease.ID}, {Key: "b", Lease: lease.ID}, {Key: "c"}}})
	for range 8 {
		watches = append(watches, w.open(journal.Options{}).Watch(w.ctx(), "", at))
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	for _, watch := range watches {
		if b := w.next(watch); len(b.Events) != 2 || !b.Events[0].Deleted || !b.Events[1].Deleted || b.Revision != at+1 {
			t.Fatalf("got %+v, want the deletion of both keys at revision %d", b, at+1)
		}
	}
	if rev := w.put(first, "d", ""); rev != at+2 {
		t.Errorf("the next revision is %d: the lease was ended in %d revisions", rev, rev-at-1)
	}
}

// Nobody was there to see it: the next client does.
func TestALeaseThatEndedUnseenIsEndedByWhoOpensTheStore(t *testing.T) {
	w := newWorld(t)
	holder := w.open(journal.Options{})
	lease, err := holder.Lease(w.ctx(), store.MinLeaseTTL)
	if err != nil {
		t.Fatal(err)
	}
	w.commit(holder, store.Txn{Puts: []store.Put{{Key: "a", Lease: lease.ID}}})
	w.do(http.MethodDelete, "leases/"+strconv.FormatInt(lease.ID, 10), nil)
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	if snap := w.get(w.open(journal.Options{})); len(snap.Pairs) != 0 {
		t.Errorf("left is %+v", snap.Pairs)
	}
}
