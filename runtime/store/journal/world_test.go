package journal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"berth/fixtures/lab/lab"
	"berth/runtime/store"
	"berth/runtime/store/consul"
	"berth/runtime/store/consul/consultest"
	"berth/runtime/store/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a fake Consul, through which the tests of the journal look at what lies in the server. ZooKeeper differs in
// nothing that the journal sees; package storetest is passed by both.
type world struct {
	*consultest.Fake
	t      *testing.T
	client *http.Client
}

func newWorld(t *testing.T) *world {
	w := &world{consultest.NewFake(t), t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	w.MinSessionTTL = time.Second
	return w
}

// open makes a client, closed when the test ends.
func (w *world) open(o journal.Options) *journal.Client {
	w.t.Helper()
	st, err := consul.Open(w.t.Context(), consul.Config{Servers: []string{w.Addr()}, Prefix: "p", Options: o})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = st.Close() })
	return st
}

func (w *world) do(method, path string, body []byte) []byte {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.Addr()+"/v1/kv/p/"+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusNotFound {
		return nil
	}
	return b
}

// keys lists the server's keys in a folder.
func (w *world) keys(folder string) []string {
	w.t.Helper()
	var out []string
	if b := w.do(http.MethodGet, folder+"?keys", nil); b != nil {
		if err := json.Unmarshal(b, &out); err != nil {
			w.t.Fatal(err)
		}
	}
	return out
}

func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), lab.Patience)
	w.t.Cleanup(cancel)
	return ctx
}

func (w *world) put(st store.Store, key, value string) int64 {
	w.t.Helper()
	return w.commit(st, store.Txn{Puts: []store.Put{{Key: key, Value: []byte(value)}}})
}

func (w *world) commit(st store.Store, t store.Txn) int64 {
	w.t.Helper()
	rev, err := st.Commit(w.ctx(), t)
	if err != nil {
		w.t.Fatal(err)
	}
	return rev
}

func (w *world) get(st store.Store) store.Snapshot {
	w.t.Helper()
	snap, err := st.Get(w.ctx(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	return snap
}

// same checks that a client has what another has.
func (w *world) same(what string, want, got store.Store) {
	w.t.Helper()
	a, b := w.get(want), w.get(got)
	bytesEqual := cmp.Comparer(bytes.Equal) // byte for byte in pieces takes long
	if d := cmp.Diff(a, b, bytesEqual); d != "" {
		w.t.Errorf("%s: -want +got\n%s", what, d)
	}
}

// next is a watch's next batch.
func (w *world) next(ch <-chan store.Batch) store.Batch {
	w.t.Helper()
	select {
	case b := <-ch:
		return b
	case <-w.ctx().Done():
		w.t.Fatal("the watch sends nothing")
	}
	return store.Batch{}
}

// ends checks that a watch ends with an error, whatever comes before.
func (w *world) ends(ch <-chan store.Batch, want error) {
	w.t.Helper()
	for {
		b := w.next(ch)
		if b.Err == nil && b.Events != nil {
			continue
		}
		if !errors.Is(b.Err, want) {
			w.t.Errorf("the watch ends with %v, want %v", b.Err, want)
		}
		return
	}
}
