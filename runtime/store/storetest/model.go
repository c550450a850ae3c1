package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"berth/runtime/store"
)

// testModel runs random transactions against the store and against a few lines of Go that are what the contract says,
// and compares results, contents and the watch's history.
func testModel(t *testing.T, s Server) {
	st := open(t, s)
	parent := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		ctx, cancel := context.WithTimeout(parent, limit)
		defer cancel()
		p := prefix()
		model := state{}
		start := get(ctx, t, st, p).Revision
		at := start
		type revision struct {
			Revision int64
			Changes  []string
		}
		var history []revision

		for range rapid.IntRange(1, 12).Draw(t, "transactions") {
			var txn store.Txn
			holds := true
			var did []string
			for k := range 4 {
				key := fmt.Sprintf("%s%d", p, k)
				old, exists := model[key]
				switch rapid.SampledFrom([]string{"none", "none", "none", "right", "right", "absent", "stale"}).Draw(t, "compare") {
				case "right":
					txn.Compares = append(txn.Compares, store.Compare{Key: key, Modified: old.Modified})
				case "absent":
					txn.Compares = append(txn.Compares, store.Compare{Key: key})
					holds = holds && !exists
				case "stale":
					txn.Compares = append(txn.Compares, store.Compare{Key: key, Modified: old.Modified + 1})
					holds = false
				}
				switch rapid.SampledFrom([]string{"none", "put", "put", "delete"}).Draw(t, "operation") {
				case "put":
					value := rapid.StringN(0, 8, -1).Draw(t, "value")
					txn.Puts = append(txn.Puts, store.Put{Key: key, Value: []byte(value)})
					did = append(did, fmt.Sprintf("%d=%s", k, value))
				case "delete":
					txn.Deletes = append(txn.Deletes, key)
					if exists {
						did = append(did, fmt.Sprintf("-%d", k))
					}
				}
			}

			rev, err := st.Commit(ctx, txn)
			if !holds {
				if !errors.Is(err, store.ErrConflict) {
					t.Fatalf("%+v: error %v, want ErrConflict", txn, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%+v: %v", txn, err)
			}
			if rev < at || (len(did) > 0 && rev == at) {
				t.Fatalf("%+v: revision %d after %d", txn, rev, at)
			}
			at = rev
			for _, put := range txn.Puts {
				pair := store.Pair{Key: put.Key, Value: put.Value, Created: rev, Modified: rev}
				if old, ok := model[put.Key]; ok {
					pair.Created = old.Created
				}
				model[put.Key] = pair
			}
			for _, key := range txn.Deletes {
				delete(model, key)
			}
			if len(did) > 0 {
				slices.Sort(did)
				history = append(history, revision{rev, did})
			}
			snap := get(ctx, t, st, p)
			if d := cmp.Diff(model, stateOf(snap), equateEmpty); d != "" {
				t.Fatalf("after %+v: -model +store\n%s", txn, d)
			}
			if !slices.IsSortedFunc(snap.Pairs, func(a, b store.Pair) int { return strings.Compare(a.Key, b.Key) }) {
				t.Fatal("the keys are not sorted")
			}
		}

		end := put(ctx, t, st, p+"end", "")
		history = append(history, revision{end, []string{"end="}})
		watch := st.Watch(ctx, p, start)
		var got []revision
		for len(got) < len(history) {
			b := next(ctx, t, watch)
			got = append(got, revision{b.Revision, changes(b, p)})
		}
		if d := cmp.Diff(history, got); d != "" {
			t.Fatalf("-written +watched\n%s", d)
		}
	})
}
