package journal_test

import (
	"strings"
	"testing"

	"berth/runtime/store"
	"berth/runtime/store/consul"
	"berth/runtime/store/journal"
)

func TestAStoreThatIsWipedIsMadeAnew(t *testing.T) {
	w := newWorld(t)
	st, other := w.open(journal.Options{}), w.open(journal.Options{})
	at := w.put(st, "k", "old")
	lease, err := st.Lease(w.ctx(), 60)
	if err != nil {
		t.Fatal(err)
	}
	watch := other.Watch(w.ctx(), "", at)
	w.do("DELETE", "?recurse", nil)
	w.ends(watch, store.ErrCompacted)
	select {
	case <-lease.Lost:
	case <-w.ctx().Done():
		t.Error("a lease of the store that was wiped is not lost")
	}
	w.put(other, "new", "")
	// Who read the old store before, and watches only now, has missed it all.
	w.ends(other.Watch(w.ctx(), "", at+1000), store.ErrCompacted)
	for _, c := range []store.Store{st, other, w.open(journal.Options{})} {
		if snap := w.get(c); len(snap.Pairs) != 1 || snap.Pairs[0].Key != "new" {
			t.Errorf("read %+v", snap.Pairs)
		}
	}
}

// The revisions after the backup come again, with other content: a client must not take the ones for the others.
func TestAStoreThatIsRestoredIsReadAnew(t *testing.T) {
	w := newWorld(t)
	st := w.open(journal.Options{})
	w.put(st, "k", "before")
	restore := w.Snapshot()
	for range 5 {
		w.put(st, "k", "after")
	}
	at := w.get(st).Revision
	watch := st.Watch(w.ctx(), "", at)
	restore()
	writer := w.open(journal.Options{})
	for range 20 {
		w.put(writer, "other", "history")
	}
	w.ends(watch, store.ErrCompacted)
	w.same("the client of before", writer, st)
	if _, err := st.Commit(w.ctx(), store.Txn{Compares: []store.Compare{{Key: "k", Modified: at}}, Puts: []store.Put{{Key: "k"}}}); err == nil {
		t.Error("a compare held of a revision that never was in this history")
	}
}

func TestWhatIsNoStoreIsLeftAlone(t *testing.T) {
	for content, want := range map[string]string{
		"hello":         "what lies at head is no berth store; give the store a path of its own in hosts.yml",
		`{"format": 2}`: "it was written by a newer berth (format 2); use that one",
	} {
		w := newWorld(t)
		w.do("PUT", "head", []byte(content))
		st, err := consul.Open(w.ctx(), consul.Config{Servers: []string{w.Addr()}, Prefix: "p"})
		if err == nil {
			_ = st.Close()
			t.Fatalf("%s was opened", content)
		}
		if !strings.HasPrefix(err.Error(), "store consul://"+w.Addr()+"/p: connect: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q, want %q", err, want)
		}
		if got := string(w.do("GET", "head?raw", nil)); got != content {
			t.Errorf("head was changed to %s", got)
		}
	}
}
