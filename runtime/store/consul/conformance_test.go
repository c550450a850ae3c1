package consul_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"berth/runtime/store"
	"berth/runtime/store/consul"
	"berth/runtime/store/consul/consultest"
	"berth/runtime/store/journal"
	"berth/runtime/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, cfg consul.Config) *journal.Client {
	t.Helper()
	if cfg.Prefix == "" {
		cfg.Prefix = "berth"
	}
	st, err := consul.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// server makes a Consul what the suite asks for.
func server(cfg consul.Config) storetest.Server {
	return storetest.Server{
		Open: func(t *testing.T) store.Store { return open(t, cfg) },
		OpenCut: func(t *testing.T) (store.Store, func()) {
			r := &relay{}
			cut := cfg
			cut.Dial = r.dial
			return open(t, cut), r.cut
		},
		Compact: func(t *testing.T, revision int64) {
			st := open(t, cfg)
			defer st.Close()
			if err := st.Compact(bound(t), revision); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func TestTheFakeKeepsTheContract(t *testing.T) {
	t.Parallel() // much of it is waiting for sessions to end
	f := consultest.NewFake(t)
	f.MinSessionTTL = time.Second
	storetest.Run(t, server(consul.Config{Servers: []string{f.Addr()}}))
}

func TestConsulKeepsTheContract(t *testing.T) {
	t.Parallel() // much of it is waiting for sessions to end
	s := consultest.StartReal(t)
	storetest.Run(t, server(consul.Config{Servers: []string{s.Addr()}}))
}

// relay dials TCP and can cut all its connections and refuse new ones.
type relay struct {
	mu    sync.Mutex
	gone  bool
	conns []net.Conn
}

func (r *relay) dial(ctx context.Context, addr string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return nil, &net.OpError{Op: "dial", Net: "relay", Err: net.ErrClosed}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err == nil {
		r.conns = append(r.conns, conn)
	}
	return conn, err
}

// cut closes all connections and refuses new ones, for good.
func (r *relay) cut() {
	r.mu.Lock()
	r.gone = true
	r.mu.Unlock()
	r.drop()
}

// drop closes all connections; new ones may be made.
func (r *relay) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

// bound is a context that a test which hangs ends by.
func bound(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
