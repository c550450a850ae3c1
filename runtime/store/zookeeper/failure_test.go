package zookeeper_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/identity"
	"berth/runtime/store"
	"berth/runtime/store/storetest"
	"berth/runtime/store/zookeeper"
	"berth/runtime/store/zookeeper/zookeepertest"
)

// count puts the numbers from one to another, each by its own transaction.
func count(ctx context.Context, t *testing.T, st store.Store, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if _, err := st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: "count", Value: []byte(strconv.Itoa(n))}}}); err != nil {
			t.Fatalf("number %d: %v", n, err)
		}
	}
}

// follow checks that a watch sends each of the numbers once and in order.
func follow(ctx context.Context, t *testing.T, w <-chan store.Batch, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		select {
		case b := <-w:
			if b.Err != nil || len(b.Events) != 1 || string(b.Events[0].Value) != strconv.Itoa(n) {
				t.Fatalf("number %d: got %+v", n, b)
			}
		case <-ctx.Done():
			t.Fatalf("number %d does not come", n)
		}
	}
}

func withoutSome(t *testing.T, e *zookeepertest.Ensemble) {
	ctx := bound(t)
	cfg := zookeeper.Config{Servers: e.Servers()}
	cfg.Timeout = lab.Patience
	st := open(t, cfg)
	defer st.Close()
	lease, err := st.Lease(ctx, 60)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := st.Get(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	w := st.Watch(ctx, "count", snap.Revision)
	n := 0
	for i := range 3 {
		start := e.Kill(ctx, t, i)
		count(ctx, t, st, n+1, n+10)
		n += 10
		start()
		e.Wait(ctx, t, i)
	}
	follow(ctx, t, w, 1, n)

	impatient := cfg
	impatient.Timeout, impatient.Connect = time.Second, lab.Patience
	other := open(t, impatient)
	defer other.Close()
	first, second := e.Kill(ctx, t, 0), e.Kill(ctx, t, 1)
	if _, err := other.Get(ctx, ""); !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("get without a quorum: %v, want ErrUnreachable", err)
	}
	if _, err := other.Commit(ctx, store.Txn{Puts: []store.Put{{Key: "x"}}}); !errors.Is(err, store.ErrUnreachable) && !errors.Is(err, store.ErrUncertain) {
		t.Errorf("commit without a quorum: %v, want ErrUnreachable or ErrUncertain", err)
	}
	patient := make(chan error, 1)
	go func() {
		_, err := st.Get(ctx, "")
		patient <- err
	}()
	first()
	second()
	if err := <-patient; err != nil {
		t.Errorf("a get that had time until the quorum came back: %v", err)
	}
	count(ctx, t, st, n+1, n+5)
	follow(ctx, t, w, n+1, n+5)
	select {
	case <-lease.Lost:
		t.Error("the lease was lost")
	default:
	}
}

func TestAStoreOutOfReachIsNamedInOneSentence(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := closed.Addr().String()
	closed.Close()
	rude := storetest.NewProxy(t, addr) // takes connections and drops them
	for name, c := range map[string]struct{ addr, want string }{
		"nobody listens":      {addr, "connection refused"},
		"nobody is behind it": {rude.Addr(), "it hung up; does it have a quorum, and does it want TLS?"},
		"there is no host":    {"nowhere.invalid:2181", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := zookeeper.Config{Servers: []string{c.addr}, Path: "/p"}
			cfg.Connect = 4 * time.Second // a busy machine takes its time to say no
			st, err := zookeeper.Open(t.Context(), cfg)
			if err == nil {
				_ = st.Close()
				t.Fatalf("%s: it was opened", name)
			}
			msg := err.Error()
			if !errors.Is(err, store.ErrUnreachable) || !strings.HasPrefix(msg, "store zk://"+c.addr+"/p cannot be reached: ") ||
				!strings.Contains(msg, c.want) || !strings.HasSuffix(msg, "; start it or change store: in hosts.yml") || strings.Contains(msg, "\n") {
				t.Errorf("%s: error %q, want %q", name, msg, c.want)
			}
		})
	}
}

func digest(t *testing.T, e *zookeepertest.Ensemble) {
	ctx := bound(t)
	cfg := zookeeper.Config{Servers: e.Servers(), Path: "/clusters/one", User: "me", Password: "known-to-me"}
	cfg.Timeout = lab.Patience
	st := open(t, cfg)
	defer st.Close()
	lease, err := st.Lease(ctx, 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: "k", Lease: lease.ID}}}); err != nil {
		t.Fatal(err)
	}
	for name, user := range map[string]string{"another user": "you", "nobody": ""} {
		other := cfg
		other.User = user
		st, err := zookeeper.Open(ctx, other)
		if err == nil {
			_ = st.Close()
			t.Fatalf("%s was let in", name)
		}
		if !strings.Contains(err.Error(), "it does not let us at /clusters/one; give the user of its nodes with auth_file= in hosts.yml") ||
			strings.Contains(err.Error(), "known-to-me") {
			t.Errorf("%s: error %q", name, err)
		}
	}
	again := open(t, cfg)
	defer again.Close()
	if snap, err := again.Get(ctx, ""); err != nil || len(snap.Pairs) != 1 {
		t.Errorf("read %+v, %v", snap, err)
	}
}

func encrypted(t *testing.T, e *zookeepertest.Ensemble) {
	ctx := bound(t)
	addr := e.Servers()[0]
	ca, err := identity.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := identity.Issue(ca, identity.Subject{Name: "zk"})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := identity.ClientConfig(ca.Cert, pair)
	if err != nil {
		t.Fatal(err)
	}
	own, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := zookeeper.Config{Servers: []string{terminate(t, &tls.Config{Certificates: []tls.Certificate{own}}, addr)}, TLS: trust}
	cfg.Timeout = lab.Patience
	st := open(t, cfg)
	defer st.Close()
	count(ctx, t, st, 1, 3)
	if !strings.HasPrefix(st.String(), "zks://") {
		t.Errorf("it is called %s", st)
	}
}

// terminate listens with TLS and passes what comes on to an address.
func terminate(t *testing.T, cfg *tls.Config, to string) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				wg.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_ = near.Close()
					_ = far.Close()
				})
			}
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}
