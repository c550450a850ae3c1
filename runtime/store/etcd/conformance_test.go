package etcd_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"berth/runtime/store"
	"berth/runtime/store/embedded/embeddedtest"
	"berth/runtime/store/etcd"
	"berth/runtime/store/storetest"
)

func TestMain(m *testing.M) { embeddedtest.VerifyTestMain(m) }

// server makes an etcd what the suite asks for.
func server(cfg etcd.Config) storetest.Server {
	open := func(t *testing.T, cfg etcd.Config) store.Store {
		t.Helper()
		st, err := etcd.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	return storetest.Server{
		Open: func(t *testing.T) store.Store { return open(t, cfg) },
		OpenCut: func(t *testing.T) (store.Store, func()) {
			r := &relay{}
			cut := cfg
			cut.Dial = r.dial
			return open(t, cut), r.cut
		},
		Compact: func(t *testing.T, revision int64) {
			t.Helper()
			raw := clientv3.Config{Endpoints: cfg.Endpoints, TLS: cfg.TLS, Logger: zap.NewNop()}
			if cfg.TLS != nil {
				raw.DialOptions = []grpc.DialOption{grpc.WithAuthority(cfg.TLS.ServerName)}
			}
			cl, err := clientv3.New(raw)
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			if _, err := cl.Compact(bound(t), revision); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func TestEmbeddedStoreOfOneMemberKeepsTheContract(t *testing.T) {
	t.Parallel() // much of it is waiting for leases to end
	c := embeddedtest.Start(t, 1)
	storetest.Run(t, server(etcd.Config{Endpoints: c.Endpoints(t), TLS: c.TLS}))
}

func TestEmbeddedStoreOfThreeMembersKeepsTheContract(t *testing.T) {
	t.Parallel() // much of it is waiting for leases to end
	c := embeddedtest.Start(t, 3)
	storetest.Run(t, server(etcd.Config{Endpoints: c.Endpoints(t), TLS: c.TLS}))
}

func TestDebiansEtcdKeepsTheContract(t *testing.T) {
	t.Parallel() // much of it is waiting for leases to end
	storetest.Run(t, server(etcd.Config{Endpoints: []string{external(t)}}))
}

// relay dials TCP and can cut all its connections and refuse new ones. Every connection goes through two pipes, as it
// does through a stream to an agent: no TCP connection of the client's, no addresses.
type relay struct {
	mu    sync.Mutex
	gone  bool
	conns []net.Conn
	wg    sync.WaitGroup
	dials int
	muted bool
}

// mute swallows everything from now on and keeps the connections open.
func (r *relay) mute() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.muted = true
}

func (r *relay) dial(ctx context.Context, addr string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dials++
	if r.gone {
		return nil, &net.OpError{Op: "dial", Net: "relay", Err: net.ErrClosed}
	}
	far, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	near, end := net.Pipe()
	r.conns = append(r.conns, far, end)
	r.wg.Go(func() { r.pump(far, end) })
	r.wg.Go(func() { r.pump(end, far) })
	return near, nil
}

// cut closes all connections and refuses new ones, for good.
func (r *relay) cut() {
	r.mu.Lock()
	r.gone = true
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

// drop closes all connections; new ones may be made.
func (r *relay) drop() {
	r.mu.Lock()
	conns := r.conns
	r.conns = nil
	r.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// pump copies until either side closes, then closes both.
func (r *relay) pump(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		r.mu.Lock()
		muted := r.muted
		r.mu.Unlock()
		if n > 0 && !muted {
			if _, werr := to.Write(buf[:n]); werr != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}

// bound is a context that a test which hangs ends by.
func bound(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
