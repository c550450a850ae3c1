package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/runtime/store"
)

func testRead(t *testing.T, s Server) {
	st := open(t, s)

	t.Run("APrefixWithoutKeysIsEmptyAtARevision", func(t *testing.T) {
		if snap := get(bound(t), t, st, prefix()); len(snap.Pairs) != 0 || snap.Revision <= 0 {
			t.Errorf("got %+v", snap)
		}
	})

	t.Run("KeysComeSortedAndOnlyThoseUnderThePrefix", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		for _, k := range []string{"b", "a/2", "a", "ab", "a/10", "a0", "a/"} {
			put(ctx, t, st, p+k, "v")
		}
		for of, want := range map[string][]string{
			"a/":  {"a/", "a/10", "a/2"},
			"a":   {"a", "a/", "a/10", "a/2", "a0", "ab"},
			"":    {"a", "a/", "a/10", "a/2", "a0", "ab", "b"},
			"a/1": {"a/10"},
			"c":   nil,
		} {
			var got []string
			for _, pair := range get(ctx, t, st, p+of).Pairs {
				got = append(got, strings.TrimPrefix(pair.Key, p))
			}
			if !slices.Equal(got, want) {
				t.Errorf("prefix %q: got %q, want %q", of, got, want)
			}
		}
	})

	t.Run("RevisionsTellMakingFromChange", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		made := put(ctx, t, st, p+"k", "1")
		changed := put(ctx, t, st, p+"k", "2")
		other := put(ctx, t, st, p+"other", "")
		snap := get(ctx, t, st, p)
		want := []store.Pair{
			{Key: p + "k", Value: []byte("2"), Created: made, Modified: changed},
			{Key: p + "other", Created: other, Modified: other},
		}
		if d := cmp.Diff(want, snap.Pairs, equateEmpty); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
		if snap.Revision < other {
			t.Errorf("read at revision %d, before the write at %d", snap.Revision, other)
		}
		commit(ctx, t, st, store.Txn{Deletes: []string{p + "k"}})
		again := put(ctx, t, st, p+"k", "3")
		if k := get(ctx, t, st, p+"k").Pairs[0]; k.Created != again || k.Modified != again || again <= other {
			t.Errorf("made anew at %d, got %+v", again, k)
		}
	})

	t.Run("ValuesAreBytes", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		value := make([]byte, 256)
		for i := range value {
			value[i] = byte(i)
		}
		commit(ctx, t, st, store.Txn{Puts: []store.Put{{Key: p + "k/ü ", Value: value}}})
		if got := get(ctx, t, st, p).Pairs[0]; !bytes.Equal(got.Value, value) || got.Key != p+"k/ü " {
			t.Errorf("got %+v", got)
		}
	})

	// More keys and more bytes than one answer of any of the servers holds.
	t.Run("ManyKeysAreReadWhole", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		const keys, step = 3000, 60
		for i := 0; i < keys; i += step {
			var txn store.Txn
			for j := i; j < i+step; j++ {
				txn.Puts = append(txn.Puts, store.Put{Key: fmt.Sprintf("%s%05d", p, j), Value: fmt.Appendf(nil, "%d", j)})
			}
			commit(ctx, t, st, txn)
		}
		snap := get(ctx, t, st, p)
		if len(snap.Pairs) != keys {
			t.Fatalf("got %d keys, want %d", len(snap.Pairs), keys)
		}
		for i, pair := range snap.Pairs {
			if pair.Key != fmt.Sprintf("%s%05d", p, i) || string(pair.Value) != fmt.Sprint(i) {
				t.Fatalf("pair %d is %+v", i, pair)
			}
		}
	})

	t.Run("BigValuesAreReadWhole", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		const values, size = 30, 200 << 10
		for i := range values {
			commit(ctx, t, st, store.Txn{Puts: []store.Put{{Key: fmt.Sprintf("%s%03d", p, i), Value: bytes.Repeat([]byte{byte(i)}, size)}}})
		}
		snap := get(ctx, t, st, p)
		if len(snap.Pairs) != values {
			t.Fatalf("got %d keys, want %d", len(snap.Pairs), values)
		}
		for i, pair := range snap.Pairs {
			if !bytes.Equal(pair.Value, bytes.Repeat([]byte{byte(i)}, size)) {
				t.Fatalf("the value of %s is not what was put", pair.Key)
			}
		}
	})

	// Pages of one Get must be of one revision: all keys of a round have the same value, put in one transaction.
	t.Run("ASnapshotIsOfOneRevisionWhileOthersWrite", func(t *testing.T) {
		ctx, p := bound(t), prefix()
		const keys = 50
		round := func(v int) (txn store.Txn) {
			for j := range keys {
				txn.Puts = append(txn.Puts, store.Put{Key: fmt.Sprintf("%s%02d", p, j), Value: fmt.Appendf(nil, "%d", v)})
			}
			return txn
		}
		commit(ctx, t, st, round(0))
		written := make(chan error, 1)
		go func() {
			for v := 1; v <= 100; v++ {
				if _, err := st.Commit(ctx, round(v)); err != nil {
					written <- err
					return
				}
			}
			written <- nil
		}()
		for done := false; !done; {
			select {
			case err := <-written:
				if err != nil {
					t.Fatal(err)
				}
				done = true
			default:
			}
			snap := get(ctx, t, st, p)
			for _, pair := range snap.Pairs {
				if len(snap.Pairs) != keys || !bytes.Equal(pair.Value, snap.Pairs[0].Value) || pair.Modified > snap.Revision {
					t.Fatalf("a torn snapshot at revision %d: %+v", snap.Revision, pair)
				}
			}
		}
	})
}
