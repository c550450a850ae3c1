package journal_test

import (
	"fmt"
	"strings"
	"testing"

	"berth/fixtures/lab/lab"
	"berth/runtime/store"
	"berth/runtime/store/journal"
)

func TestALongLogIsCompactedAndNothingIsLost(t *testing.T) {
	w := newWorld(t)
	st := w.open(journal.Options{})
	lease, err := st.Lease(w.ctx(), 60)
	if err != nil {
		t.Fatal(err)
	}
	w.commit(st, store.Txn{Puts: []store.Put{{Key: "leased", Lease: lease.ID}}})
	first := w.put(st, "k/0", "first")
	slow := st.Watch(w.ctx(), "k/", first)
	const revisions = 2600
	revs := []int64{first}
	for i := 1; i < revisions; i++ {
		revs = append(revs, w.put(st, fmt.Sprintf("k/%d", i%40), fmt.Sprint(i)))
	}
	if !lab.Happens(func() bool { return len(w.keys("log/")) < 1600 }) {
		t.Fatalf("the server keeps %d records", len(w.keys("log/")))
	}
	if n := len(w.keys("blob/")); n == 0 || n > 10 {
		t.Errorf("the server keeps %d parts of blobs", n)
	}
	fresh := w.open(journal.Options{})
	w.same("a new client", st, fresh)
	w.ends(fresh.Watch(w.ctx(), "", first), store.ErrCompacted)
	from := len(revs) - 900
	replay := fresh.Watch(w.ctx(), "k/", revs[from])
	for i := from + 1; i < len(revs); i++ {
		if b := w.next(replay); b.Revision != revs[i] || string(b.Events[0].Value) != fmt.Sprint(i) || b.Events[0].Created == 0 {
			t.Fatalf("replayed from revision %d: got %+v, want revision %d", revs[from], b, revs[i])
		}
	}
	// A watch that began in time misses nothing, however late it reads.
	for i := 1; i < len(revs); i++ {
		if b := w.next(slow); b.Revision != revs[i] {
			t.Fatalf("a slow reader: revision %d, want %d", b.Revision, revs[i])
		}
	}
	// The lease is part of what was compacted.
	if err := lease.Revoke(w.ctx()); err != nil {
		t.Fatal(err)
	}
	for _, p := range w.get(fresh).Pairs {
		if p.Key == "leased" {
			t.Error("a key outlives its lease")
		}
	}
}

// Large records and the bases of large states come and go in the server.
func TestWhatNobodyNeedsIsDeleted(t *testing.T) {
	w := newWorld(t)
	st := w.open(journal.Options{})
	big := strings.Repeat("x", 300<<10)
	for i := range 12 {
		w.put(st, fmt.Sprintf("big/%d", i%3), big)
	}
	for i := range 1200 {
		w.put(st, "small", fmt.Sprint(i))
	}
	rev := w.put(st, "last", "")
	for range 1200 {
		w.put(st, "small", "again")
	}
	if err := st.Compact(w.ctx(), rev); err != nil {
		t.Fatal(err)
	}
	parts := map[string]bool{}
	for _, k := range w.keys("blob/") {
		parts[k[:len("p/blob/")+20]] = true
	}
	if len(parts) > 4 { // bases of before, until they are old enough
		t.Errorf("the server keeps blobs of %d revisions: %v", len(parts), parts)
	}
	w.same("a new client", st, w.open(journal.Options{}))
}

func TestACompactionThatDiesHalfwayDoesNoHarm(t *testing.T) {
	w := newWorld(t)
	st := w.open(journal.Options{})
	for i := range 300 {
		w.put(st, fmt.Sprintf("k/%d", i), "v")
	}
	log := map[string][]byte{}
	for _, k := range w.keys("log/") {
		k = strings.TrimPrefix(k, "p/")
		log[k] = w.do("GET", k+"?raw", nil)
	}
	if err := st.Compact(w.ctx(), 250); err != nil {
		t.Fatal(err)
	}
	// As if it had died after its record and before it deleted anything.
	for k, v := range log {
		w.do("PUT", k, v)
	}
	fresh := w.open(journal.Options{})
	w.same("a new client", st, fresh)
	if err := fresh.Compact(w.ctx(), 260); err != nil {
		t.Fatal(err)
	}
	for _, k := range w.keys("log/") {
		if k < "p/log/00000000000000000260" {
			t.Fatalf("%s is still there", k)
		}
	}
}
