package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sync/errgroup"

	"berth/runtime/store"
)

// equateEmpty makes a nil value equal an empty one: the contract does not tell them apart.
var equateEmpty = cmpopts.EquateEmpty()

func testCommit(t *testing.T, s Server) {
	st := open(t, s)

	t.Run("AllPutsAndDeletesHappenAtOneRevision", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		put(ctx, t, st, p+"old", "1")
		before := put(ctx, t, st, p+"kept", "1")
		rev := commit(ctx, t, st, store.Txn{
			Puts:    []store.Put{{Key: p + "a", Value: []byte("1")}, {Key: p + "b", Value: []byte("2")}},
			Deletes: []string{p + "old", p + "never"},
		})
		if rev <= before {
			t.Errorf("revision %d after %d", rev, before)
		}
		want := []store.Pair{
			{Key: p + "a", Value: []byte("1"), Created: rev, Modified: rev},
			{Key: p + "b", Value: []byte("2"), Created: rev, Modified: rev},
			{Key: p + "kept", Value: []byte("1"), Created: before, Modified: before},
		}
		if d := cmp.Diff(want, get(ctx, t, st, p).Pairs); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	})

	t.Run("ComparesDecideForAllOrNothing", func(t *testing.T) {
		for name, c := range map[string]struct {
			compare func(old, now int64) store.Compare // of a key changed at old and now
			holds   bool
		}{
			"the key is as last seen":       {func(_, now int64) store.Compare { return store.Compare{Key: "is", Modified: now} }, true},
			"the key changed since":         {func(old, _ int64) store.Compare { return store.Compare{Key: "is", Modified: old} }, false},
			"the key should not exist":      {func(_, _ int64) store.Compare { return store.Compare{Key: "is"} }, false},
			"a missing key is missing":      {func(_, _ int64) store.Compare { return store.Compare{Key: "not"} }, true},
			"a missing key should be there": {func(_, now int64) store.Compare { return store.Compare{Key: "not", Modified: now} }, false},
			"a deleted key is missing":      {func(_, _ int64) store.Compare { return store.Compare{Key: "gone"} }, true},
			"a deleted key should be there": {func(_, now int64) store.Compare { return store.Compare{Key: "gone", Modified: now} }, false},
		} {
			t.Run(name, func(t *testing.T) {
				ctx, p := bound(t), prefix()
				put(ctx, t, st, p+"gone", "1")
				commit(ctx, t, st, store.Txn{Deletes: []string{p + "gone"}})
				old := put(ctx, t, st, p+"is", "1")
				now := put(ctx, t, st, p+"is", "2")
				cond := c.compare(old, now)
				cond.Key = p + cond.Key
				before := get(ctx, t, st, p)
				_, err := st.Commit(ctx, store.Txn{
					Compares: []store.Compare{{Key: p + "always missing"}, cond},
					Puts:     []store.Put{{Key: p + "new", Value: []byte("v")}},
					Deletes:  []string{p + "is"},
				})
				after := get(ctx, t, st, p)
				if c.holds {
					if err != nil {
						t.Fatal(err)
					}
					if len(after.Pairs) != 1 || after.Pairs[0].Key != p+"new" {
						t.Errorf("after the transaction: %+v", after.Pairs)
					}
					return
				}
				if !errors.Is(err, store.ErrConflict) {
					t.Errorf("error %v, want ErrConflict", err)
				}
				if d := cmp.Diff(before.Pairs, after.Pairs); d != "" {
					t.Errorf("a refused transaction changed something: -before +after\n%s", d)
				}
			})
		}
	})

	t.Run("ATransactionMayOnlyCompare", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		// Many times, because a member that lags may answer only now and then.
		for range 100 {
			rev := put(ctx, t, st, p+"k", "1")
			if got := commit(ctx, t, st, store.Txn{Compares: []store.Compare{{Key: p + "k", Modified: rev}}}); got < rev {
				t.Errorf("revision %d after %d", got, rev)
			}
		}
		if _, err := st.Commit(ctx, store.Txn{Compares: []store.Compare{{Key: p + "k"}}}); !errors.Is(err, store.ErrConflict) {
			t.Errorf("error %v, want ErrConflict", err)
		}
	})

	t.Run("ATransactionThatContradictsItselfIsInvalid", func(t *testing.T) {
		p := prefix()
		for name, txn := range map[string]store.Txn{
			"two puts":         {Puts: []store.Put{{Key: p + "k"}, {Key: p + "k"}}},
			"put and delete":   {Puts: []store.Put{{Key: p + "k"}}, Deletes: []string{p + "k"}},
			"two deletes":      {Deletes: []string{p + "k", p + "k"}},
			"two compares":     {Compares: []store.Compare{{Key: p + "k"}, {Key: p + "k"}}},
			"an empty put":     {Puts: []store.Put{{}}},
			"an empty delete":  {Deletes: []string{""}},
			"an empty compare": {Compares: []store.Compare{{}}},
		} {
			if _, err := st.Commit(bound(t), txn); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%s: error %v, want ErrInvalid", name, err)
			}
		}
	})

	t.Run("OneOfManyMakesAKey", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		const racers = 16
		won := make([]bool, racers)
		var g errgroup.Group
		for i := range racers {
			g.Go(func() error {
				_, err := st.Commit(ctx, store.Txn{
					Compares: []store.Compare{{Key: p + "k"}},
					Puts:     []store.Put{{Key: p + "k", Value: []byte(strconv.Itoa(i))}},
				})
				if errors.Is(err, store.ErrConflict) {
					return nil
				}
				won[i] = err == nil
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		winners := 0
		for i := range racers {
			if won[i] {
				winners++
				if got := string(get(ctx, t, st, p).Pairs[0].Value); got != strconv.Itoa(i) {
					t.Errorf("racer %d won, but the value is %s", i, got)
				}
			}
		}
		if winners != 1 {
			t.Errorf("%d racers won", winners)
		}
	})

	t.Run("CountersLoseNothing", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		const workers, each = 4, 25
		var g errgroup.Group
		for range workers {
			g.Go(func() error {
				for done := 0; done < each; {
					snap, err := st.Get(ctx, p+"n")
					if err != nil {
						return err
					}
					n, modified := 0, int64(0)
					if len(snap.Pairs) == 1 {
						if n, err = strconv.Atoi(string(snap.Pairs[0].Value)); err != nil {
							return err
						}
						modified = snap.Pairs[0].Modified
					}
					_, err = st.Commit(ctx, store.Txn{
						Compares: []store.Compare{{Key: p + "n", Modified: modified}},
						Puts:     []store.Put{{Key: p + "n", Value: fmt.Appendf(nil, "%d", n+1)}},
					})
					switch {
					case err == nil:
						done++
					case !errors.Is(err, store.ErrConflict):
						return err
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := string(get(ctx, t, st, p).Pairs[0].Value); got != strconv.Itoa(workers*each) {
			t.Errorf("counted %s, want %d", got, workers*each)
		}
	})
}
