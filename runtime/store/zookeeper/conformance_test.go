package zookeeper_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"berth/runtime/store"
	"berth/runtime/store/journal"
	"berth/runtime/store/storetest"
	"berth/runtime/store/zookeeper"
	"berth/runtime/store/zookeeper/zookeepertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, cfg zookeeper.Config) *journal.Client {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = "/berth"
	}
	st, err := zookeeper.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// server makes an ensemble what the suite asks for.
func server(cfg zookeeper.Config) storetest.Server {
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

// One server does for all that hurts none.
func TestDebiansZooKeeper(t *testing.T) {
	t.Parallel() // much of it is waiting for sessions to end
	e := zookeepertest.Start(t, 1)
	t.Run("KeepsTheContract", func(t *testing.T) { storetest.Run(t, server(zookeeper.Config{Servers: e.Servers()})) })
	t.Run("LetsOnlyItsUserAtDigestProtectedNodes", func(t *testing.T) { digest(t, e) })
	t.Run("IsReachedThroughTLS", func(t *testing.T) { encrypted(t, e) })
}

// An ensemble of three is killed, stopped and cut off.
func TestAnEnsembleOfThree(t *testing.T) {
	t.Parallel()
	e := zookeepertest.Start(t, 3)
	t.Run("ServesWithoutAnyOneAndNotWithoutTwo", func(t *testing.T) { withoutSome(t, e) })
	t.Run("TellsHowItsServersAre", func(t *testing.T) { tells(t, e) })
	t.Run("IsLinearizableUnderFaults", func(t *testing.T) { storetest.Linearizable(t, hurt(t, e)) })
}

// relay dials TCP and can cut all its connections and refuse new ones.
type relay struct {
	mu    sync.Mutex
	gone  bool
	conns []net.Conn
	dials int
}

func (r *relay) dial(ctx context.Context, addr string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dials++
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
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
