package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"berth/runtime/store"
)

// state is a prefix as a reader of a snapshot and its watch knows it.
type state map[string]store.Pair

func stateOf(snap store.Snapshot) state {
	out := state{}
	for _, p := range snap.Pairs {
		out[p.Key] = p
	}
	return out
}

func (s state) apply(b store.Batch) {
	for _, e := range b.Events {
		if e.Deleted {
			delete(s, e.Key)
		} else {
			s[e.Key] = e.Pair
		}
	}
}

// changes names what a batch does, sorted: "k=v" and "-k". The order of events within a revision means nothing.
func changes(b store.Batch, prefix string) []string {
	var out []string
	for _, e := range b.Events {
		key := strings.TrimPrefix(e.Key, prefix)
		if e.Deleted {
			out = append(out, "-"+key)
		} else {
			out = append(out, key+"="+string(e.Value))
		}
	}
	slices.Sort(out)
	return out
}

// watching is a way to watch a prefix.
type watching func(ctx context.Context, st store.Store, prefix string, after int64) <-chan store.Batch

func whole(ctx context.Context, st store.Store, prefix string, after int64) <-chan store.Batch {
	return st.Watch(ctx, prefix, after)
}

// inParts watches, one by one, all that a prefix may go on with here: together that is no different.
func inParts(ctx context.Context, st store.Store, prefix string, after int64) <-chan store.Batch {
	var parts []string
	for _, c := range "0123456789abcdefghijklmnopqrstuvwxyz" {
		parts = append(parts, prefix+string(c))
	}
	return st.(store.PartsWatcher).WatchParts(ctx, parts, after)
}

func testWatch(t *testing.T, s Server, watch watching) {
	st := open(t, s)

	t.Run("EachRevisionIsOneBatch", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		at := put(ctx, t, st, p+"before", "1")
		w := watch(ctx, st, p, at)
		revs := []int64{
			put(ctx, t, st, p+"a", "1"),
			commit(ctx, t, st, store.Txn{
				Puts:    []store.Put{{Key: p + "a", Value: []byte("2")}, {Key: p + "b"}},
				Deletes: []string{p + "before", p + "never"},
			}),
			commit(ctx, t, st, store.Txn{Deletes: []string{p + "a", p + "b"}}),
		}
		for i, want := range [][]string{{"a=1"}, {"-before", "a=2", "b="}, {"-a", "-b"}} {
			b := next(ctx, t, w)
			if b.Revision != revs[i] {
				t.Errorf("batch %d is of revision %d, want %d", i, b.Revision, revs[i])
			}
			if d := cmp.Diff(want, changes(b, p)); d != "" {
				t.Errorf("batch %d: -want +got\n%s", i, d)
			}
			for _, e := range b.Events {
				if e.Modified != b.Revision {
					t.Errorf("batch of revision %d has an event of %d", b.Revision, e.Modified)
				}
				if e.Deleted && len(e.Value) != 0 {
					t.Errorf("a deletion with a value: %+v", e)
				}
			}
		}
	})

	t.Run("OnlyThePrefixIsWatched", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		at := put(ctx, t, st, p+"start", "")
		w := watch(ctx, st, p+"a/", at)
		for _, k := range []string{"a", "a0", "ab", "b"} {
			put(ctx, t, st, p+k, "no")
		}
		rev := commit(ctx, t, st, store.Txn{Puts: []store.Put{{Key: p + "a/x", Value: []byte("1")}, {Key: p + "b", Value: []byte("no")}}})
		b := next(ctx, t, w)
		if d := cmp.Diff([]string{"a/x=1"}, changes(b, p)); d != "" || b.Revision != rev {
			t.Errorf("revision %d, want %d: -want +got\n%s", b.Revision, rev, d)
		}
	})

	t.Run("HistoryIsReplayedFromTheRevisionAskedFor", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		var revs []int64
		for i := range 20 {
			revs = append(revs, put(ctx, t, st, p+"k", fmt.Sprint(i)))
		}
		for _, from := range []int{0, 7, 19} {
			w := watch(ctx, st, p, revs[from])
			for i := from + 1; i < len(revs); i++ {
				if b := next(ctx, t, w); b.Revision != revs[i] {
					t.Fatalf("after %d: revision %d, want %d", revs[from], b.Revision, revs[i])
				}
			}
		}
	})

	t.Run("SnapshotAndWatchAreTheStateUnderConcurrentWriters", func(t *testing.T) {
		testWatchExact(t, st, open(t, s), watch)
	})

	t.Run("ASlowReaderMissesNothing", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		at := put(ctx, t, st, p+"start", "")
		w := watch(ctx, st, p, at)
		var revs []int64
		for i := range 500 {
			revs = append(revs, put(ctx, t, st, p+"k", fmt.Sprint(i)))
		}
		for _, rev := range revs {
			if b := next(ctx, t, w); b.Revision != rev {
				t.Fatalf("revision %d, want %d", b.Revision, rev)
			}
		}
	})

	t.Run("CancellingEndsItWithTheContextsError", func(t *testing.T) {
		ctx, cancel := context.WithCancel(bound(t))
		p := prefix()
		at := put(ctx, t, st, p+"start", "")
		w := watch(ctx, st, p, at)
		unread := watch(ctx, st, p, at)
		put(ctx, t, st, p+"k", "1")
		next(ctx, t, w)
		cancel()
		for _, ch := range []<-chan store.Batch{w, unread} {
			if err := last(t, ch); !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v, want the context's error", err)
			}
		}
	})

	t.Run("CompactedHistoryIsAnError", func(t *testing.T) {
		if s.Compact == nil {
			t.Skip("this store has no history to compact")
		}
		ctx, p := bound(t), prefix()
		first := put(ctx, t, st, p+"k", "1")
		put(ctx, t, st, p+"k", "2")
		at := put(ctx, t, st, p+"k", "3")
		s.Compact(t, at)
		if err := last(t, watch(ctx, st, p, first-1)); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("ended with %v, want ErrCompacted", err)
		}
		snap := get(ctx, t, st, p)
		w := watch(ctx, st, p, snap.Revision)
		rev := put(ctx, t, st, p+"k", "4")
		if b := next(ctx, t, w); b.Revision != rev {
			t.Errorf("after a new Get: revision %d, want %d", b.Revision, rev)
		}
	})
}

// testWatchExact has writers change a prefix at random while watches start in between, from snapshots of their own, and
// checks each against what the writers know they did.
func testWatchExact(t *testing.T, st, other store.Store, watch watching) {
	ctx, p := bound(t), prefix()
	const writers, each, keys, watches = 4, 60, 12, 3

	var mu sync.Mutex
	written := map[int64][]string{} // by revision: the puts; which deletes hit is for the store to say
	var g errgroup.Group
	for i := range writers {
		g.Go(func() error {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for n := range each {
				var txn store.Txn
				var puts []string
				for _, k := range random.Perm(keys)[:1+random.IntN(4)] {
					key := fmt.Sprintf("%02d", k)
					if random.IntN(3) == 0 {
						txn.Deletes = append(txn.Deletes, p+key)
						continue
					}
					value := fmt.Sprintf("%d.%d", i, n)
					txn.Puts = append(txn.Puts, store.Put{Key: p + key, Value: []byte(value)})
					puts = append(puts, key+"="+value)
				}
				rev, err := st.Commit(ctx, txn)
				if err != nil {
					return err
				}
				slices.Sort(puts)
				mu.Lock()
				if len(puts) > 0 {
					if written[rev] != nil {
						err = fmt.Errorf("two transactions have revision %d", rev)
					}
					written[rev] = puts
				}
				mu.Unlock()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}

	type follower struct {
		snap  store.Snapshot
		watch <-chan store.Batch
	}
	var followers []follower
	for range watches {
		snap := get(ctx, t, other, p)
		followers = append(followers, follower{snap, watch(ctx, other, p, snap.Revision)})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	final := put(ctx, t, st, p+"end", "")
	want := stateOf(get(ctx, t, st, p))

	for i, f := range followers {
		got, at := stateOf(f.snap), f.snap.Revision
		seen := map[int64]bool{}
		for at < final {
			b := next(ctx, t, f.watch)
			if b.Revision <= at {
				t.Fatalf("watch %d: revision %d after %d", i, b.Revision, at)
			}
			at = b.Revision
			seen[at] = true
			got.apply(b)
			puts := slices.DeleteFunc(changes(b, p), func(c string) bool { return c[0] == '-' })
			if at != final && !slices.Equal(puts, written[at]) {
				t.Errorf("watch %d: revision %d puts %q, written were %q", i, at, puts, written[at])
			}
		}
		for rev := range written {
			if rev > f.snap.Revision && !seen[rev] {
				t.Errorf("watch %d: revision %d is missing", i, rev)
			}
		}
		if d := cmp.Diff(want, got, equateEmpty); d != "" {
			t.Errorf("watch %d: -read +followed\n%s", i, d)
		}
	}
}
