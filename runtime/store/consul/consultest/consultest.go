// Package consultest is a Consul for tests: a fake of the part of its HTTP interface that the driver uses, and real
// servers where the machine has the program. The checks in package consul's tests hold for both.
package consultest

import (
	"context"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Limits of a Consul as it comes.
const (
	maxValue  = 512 << 10 // bytes of a value, and of a transaction's body
	maxOps    = 64        // operations of a transaction; 128 since Consul 1.13
	maxWait   = 10 * time.Minute
	waitUnset = 5 * time.Minute
)

// Fake is the key-value store, transactions and sessions of a Consul in memory. What it answers follows the sources of
// Consul 1.22 (agent/kvs_endpoint.go, agent/txn_endpoint.go, agent/session_endpoint.go, agent/consul/state/kvs.go).
type Fake struct {
	Token         string        // clients must show it; "": none
	MinSessionTTL time.Duration // session_ttl_min

	addr string

	mu       sync.Mutex
	server   *http.Server
	stop     context.CancelFunc // of the requests that wait
	served   sync.WaitGroup
	fault    func(r *http.Request) (before, after bool)
	failing  *answer // to every request; nil: none
	index    uint64
	changed  chan struct{} // closed and made anew at each change
	restored int           // how often a snapshot was
	pairs    map[string]*pair
	deleted  map[string]uint64 // key → index of its deletion
	delayed  map[string]time.Time
	sessions map[string]*session
}

// pair is a key as Consul's JSON has it.
type pair struct {
	LockIndex   uint64
	Key         string
	Flags       uint64
	Value       []byte
	CreateIndex uint64
	ModifyIndex uint64
	Session     string `json:",omitempty"`
}

// NewFake starts a fake on a loopback address and stops it when the test ends.
func NewFake(t testing.TB) *Fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return NewFakeAt(t, l)
}

// NewFakeAt starts a fake that serves the connections of a listener, and stops it when the test ends.
func NewFakeAt(t testing.TB, l net.Listener) *Fake {
	t.Helper()
	f := &Fake{MinSessionTTL: 10 * time.Second, index: 10, changed: make(chan struct{}), pairs: map[string]*pair{},
		deleted: map[string]uint64{}, delayed: map[string]time.Time{}, sessions: map[string]*session{}}
	f.addr = l.Addr().String()
	f.serve(l)
	t.Cleanup(func() {
		f.Stop()
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, s := range f.sessions {
			s.timer.Stop()
		}
	})
	return f
}

// Addr is where it listens, host:port.
func (f *Fake) Addr() string { return f.addr }

// Start makes a stopped fake listen again, with what it had.
func (f *Fake) Start(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	f.serve(l)
}

func (f *Fake) serve(l net.Listener) {
	ctx, stop := context.WithCancel(context.Background())
	server := &http.Server{Handler: http.HandlerFunc(f.handle), BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: time.Minute}
	f.mu.Lock()
	f.server, f.stop = server, stop
	f.mu.Unlock()
	f.served.Go(func() { _ = server.Serve(l) })
}

// Stop closes the listener and all connections. Sessions go on to run out.
func (f *Fake) Stop() {
	f.mu.Lock()
	server, stop := f.server, f.stop
	f.mu.Unlock()
	stop()
	_ = server.Close()
	f.served.Wait()
}

// Break makes requests fail from now on: fault says whether the connection is cut before a request takes effect, or
// after, so that its answer is lost. nil ends it.
func (f *Fake) Break(fault func(r *http.Request) (before, after bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Snapshot returns a function that puts all keys back as they are now, with their indexes and the store's own, which
// then has gone backwards; requests that wait are answered. As with Consul's snapshots, sessions are not touched here.
func (f *Fake) Snapshot() (restore func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	pairs, deleted, index := maps.Clone(f.pairs), maps.Clone(f.deleted), f.index
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.pairs, f.deleted = maps.Clone(pairs), maps.Clone(deleted)
		f.change()
		f.index = index
		f.restored++
	}
}

// Fail makes every request get that answer from now on; code 0 ends it.
func (f *Fake) Fail(code int, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = nil
	if code != 0 {
		a := failure(code, "%s", body)
		f.failing = &a
	}
}

func (f *Fake) handle(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	fault, failing := f.fault, f.failing
	f.mu.Unlock()
	if failing != nil {
		failing.write(w)
		return
	}
	after := false
	if fault != nil {
		before := false
		if before, after = fault(r); before {
			panic(http.ErrAbortHandler)
		}
	}
	a := f.route(r)
	if after {
		panic(http.ErrAbortHandler)
	}
	a.write(w)
}

func (f *Fake) route(r *http.Request) answer {
	if f.Token != "" && r.Header.Get("X-Consul-Token") != f.Token && r.Header.Get("Authorization") != "Bearer "+f.Token {
		return failure(http.StatusForbidden, "Permission denied: anonymous token lacks permission")
	}
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/v1/kv/"):
		return f.kv(r, strings.TrimPrefix(path, "/v1/kv/"))
	case path == "/v1/txn" && r.Method == http.MethodPut:
		return f.txn(r)
	case strings.HasPrefix(path, "/v1/session/") && r.Method == http.MethodPut:
		verb, id, _ := strings.Cut(strings.TrimPrefix(path, "/v1/session/"), "/")
		return f.session(r, verb, id)
	case path == "/v1/status/leader":
		return answer{body: "127.0.0.1:8300"}
	case path == "/v1/agent/self":
		return answer{body: map[string]any{
			"Config": map[string]any{"Version": "1.18.0", "Server": true},
			"Member": map[string]any{"Addr": "127.0.0.1", "Tags": map[string]string{"port": "8300"}},
		}}
	}
	return failure(http.StatusNotFound, "Invalid URL path: not a recognized HTTP API endpoint")
}

// change counts the index up. The caller has mu.
func (f *Fake) change() uint64 {
	f.index++
	close(f.changed)
	f.changed = make(chan struct{})
	return f.index
}
