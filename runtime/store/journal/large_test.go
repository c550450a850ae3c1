package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"berth/runtime/store"
	"berth/runtime/store/journal"
)

func TestATransactionOfManyMegabytesAppliesWholeAtOneRevision(t *testing.T) {
	w := newWorld(t)
	st, other := w.open(journal.Options{}), w.open(journal.Options{})
	at := w.commit(st, store.Txn{Puts: []store.Put{{Key: "gone/a"}, {Key: "gone/b"}, {Key: "k/00001", Value: []byte("old")}}})
	watch := other.Watch(w.ctx(), "", at)
	const keys = 3000
	txn := store.Txn{Compares: []store.Compare{{Key: "k/00001", Modified: at}}, Deletes: []string{"gone/a", "gone/b", "gone/never"}}
	for i := range keys {
		txn.Puts = append(txn.Puts, store.Put{Key: fmt.Sprintf("k/%05d", i), Value: bytes.Repeat([]byte{byte(i)}, 2000)})
	}
	rev := w.commit(st, txn)
	if b := w.next(watch); b.Revision != rev || len(b.Events) != keys+2 {
		t.Errorf("the watch sends revision %d with %d events, want %d with %d", b.Revision, len(b.Events), rev, keys+2)
	}
	snap := w.get(st)
	if len(snap.Pairs) != keys || snap.Revision != rev {
		t.Errorf("read %d keys at %d", len(snap.Pairs), snap.Revision)
	}
	for i, p := range snap.Pairs {
		created := rev
		if i == 1 {
			created = at
		}
		if p.Created != created || p.Modified != rev || !bytes.Equal(p.Value, txn.Puts[i].Value) {
			t.Fatalf("key %s: made at %d, changed at %d", p.Key, p.Created, p.Modified)
		}
	}
	w.same("the other client", st, other)
	w.same("a new client", st, w.open(journal.Options{}))
}

func TestATransactionBeyondTheLimitLeavesNothing(t *testing.T) {
	w := newWorld(t)
	st := w.open(journal.Options{})
	before := len(w.keys(""))
	_, err := st.Commit(w.ctx(), store.Txn{Puts: []store.Put{{Key: "k", Value: make([]byte, 11<<20)}}})
	if !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), "the limit is 10485760") {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
	if after := len(w.keys("")); after != before {
		t.Errorf("%d keys in the server, before it were %d", after, before)
	}
}
