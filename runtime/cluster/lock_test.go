package cluster_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"berth/runtime/cluster"
	"berth/runtime/identity"
	"berth/runtime/ledger"
	"berth/runtime/store"
	"berth/runtime/store/embedded/embeddedtest"
	"berth/runtime/store/etcd"
)

// holderEnv makes this test's binary a process that holds a project's lock: it names the file with its orders.
const holderEnv = "BERTH_TEST_HOLD_LOCK"

// orders are a holder's; certificates are PEM.
type orders struct {
	Endpoint, Project string
	CA, Cert, Key     []byte
}

// holdLock takes the lock, says so on its output, and gives it back when its input ends.
func holdLock() {
	err := func() error {
		b, err := os.ReadFile(os.Getenv(holderEnv))
		if err != nil {
			return err
		}
		var o orders
		if err := json.Unmarshal(b, &o); err != nil {
			return err
		}
		cfg, err := identity.ClientConfig(o.CA, identity.KeyPair{Cert: o.Cert, Key: o.Key})
		if err != nil {
			return err
		}
		ctx := context.Background()
		st, err := etcd.Open(ctx, etcd.Config{Endpoints: []string{o.Endpoint}, TLS: cfg})
		if err != nil {
			return err
		}
		l, err := cluster.Lock(ctx, st, o.Project, "berth up", func(string) {})
		if err != nil {
			return err
		}
		fmt.Println("held")
		_, _ = io.Copy(io.Discard, os.Stdin)
		if err := l.Unlock(ctx); err != nil {
			return err
		}
		return st.Close()
	}()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

type fixture struct {
	cluster *embeddedtest.Cluster
	st      store.Store
}

func newFixture(t *testing.T) (context.Context, fixture) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*embeddedtest.StartLimit)
	t.Cleanup(cancel)
	c := embeddedtest.Start(t, 1)
	st := c.Open(t)
	t.Cleanup(func() { _ = st.Close() })
	return ctx, fixture{c, st}
}

// holder starts another process that holds the project's lock. release ends it in good order, kill does not.
func (f fixture) holder(t *testing.T, project string) (release, kill func()) {
	t.Helper()
	m := f.cluster.Configs[0]
	read := func(path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b, err := json.Marshal(orders{f.cluster.Endpoints(t)[0], project, read(m.CAFile), read(m.CertFile), read(m.KeyFile)})
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/orders"
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holderEnv+"="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log bytes.Buffer
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the holder says %q, %v\n%s", line, err, log.String())
	}
	release = func() { _ = in.Close(); _ = cmd.Wait() }
	kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() } // waited for: a zombie still has its entry in /proc
	return release, kill
}

// locking takes the lock in the background.
type locking struct {
	waits chan string // what notify says
	done  chan result
}

type result struct {
	lock *cluster.ProjectLock
	err  error
}

func start(ctx context.Context, st store.Store, project string) locking {
	l := locking{make(chan string, 8), make(chan result, 1)}
	go func() {
		lock, err := cluster.Lock(ctx, st, project, "berth scale", func(s string) { l.waits <- s })
		l.done <- result{lock, err}
	}()
	return l
}

func (l locking) held(ctx context.Context, t *testing.T) *cluster.ProjectLock {
	t.Helper()
	select {
	case r := <-l.done:
		if r.err != nil {
			t.Fatal(r.err)
		}
		return r.lock
	case <-ctx.Done():
		t.Fatal("the lock is not taken")
	}
	return nil
}

func lock(ctx context.Context, t *testing.T, st store.Store, project string) *cluster.ProjectLock {
	t.Helper()
	return start(ctx, st, project).held(ctx, t)
}

func unlock(ctx context.Context, t *testing.T, l *cluster.ProjectLock) {
	t.Helper()
	if err := l.Unlock(ctx); err != nil {
		t.Error(err)
	}
}

func TestALiveCommandIsWaitedForAndItsEndWakesTheWaiter(t *testing.T) {
	ctx, f := newFixture(t)
	release, _ := f.holder(t, "shop")
	l := start(ctx, f.st, "shop")
	said := <-l.waits
	for _, want := range []string{"berth up", "shop", "process "} {
		if !strings.Contains(said, want) {
			t.Errorf("the waiter was told %q, without %q", said, want)
		}
	}
	select {
	case r := <-l.done:
		t.Fatalf("taken while another holds it: %+v", r)
	default:
	}
	release()
	unlock(ctx, t, l.held(ctx, t))
	if len(l.waits) != 0 {
		t.Errorf("told again: %q", <-l.waits)
	}
}

func TestALockLeftByAKilledCommandIsTakenOverAtOnce(t *testing.T) {
	ctx, f := newFixture(t)
	_, kill := f.holder(t, "shop")
	kill()
	begin := time.Now()
	l := start(ctx, f.st, "shop")
	unlock(ctx, t, l.held(ctx, t))
	// The dead command's lease has thirty seconds, of which it may have used ten.
	if d := time.Since(begin); d > 15*time.Second {
		t.Errorf("it took %s", d)
	}
	if len(l.waits) != 0 {
		t.Errorf("it waited: %q", <-l.waits)
	}
}

func TestANewProcessWithAnOldNumberIsNotTheHolder(t *testing.T) {
	ctx, f := newFixture(t)
	unlock(ctx, t, func() *cluster.ProjectLock {
		l := lock(ctx, t, f.st, "shop")
		snap, err := f.st.Get(ctx, ledger.LockKey("shop"))
		if err != nil || len(snap.Pairs) != 1 {
			t.Fatalf("read %+v, %v", snap, err)
		}
		var me ledger.Lock
		if err := json.Unmarshal(snap.Pairs[0].Value, &me); err != nil {
			t.Fatal(err)
		}
		if me.PID != os.Getpid() || me.Started == 0 || me.Machine == "" || me.Command != "berth scale" {
			t.Errorf("the record is %+v", me)
		}
		me.Started-- // this process, but it began before
		record(ctx, t, f.st, "other", me, 0)
		return l
	}())
	l := start(ctx, f.st, "other")
	unlock(ctx, t, l.held(ctx, t))
	if len(l.waits) != 0 {
		t.Errorf("it waited: %q", <-l.waits)
	}
}

// record puts a lock's record as another machine's command would.
func record(ctx context.Context, t *testing.T, st store.Store, project string, l ledger.Lock, lease int64) {
	t.Helper()
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: ledger.LockKey(project), Value: b, Lease: lease}}}); err != nil {
		t.Fatal(err)
	}
}

func TestACommandOfAnotherMachineIsWaitedForUntilItsLeaseEnds(t *testing.T) {
	ctx, f := newFixture(t)
	other := f.cluster.Open(t)
	lease, err := other.Lease(ctx, store.MinLeaseTTL)
	if err != nil {
		t.Fatal(err)
	}
	// No process has this number; but that says nothing about another machine's.
	record(ctx, t, other, "shop", ledger.Lock{Machine: "elsewhere", PID: 1 << 30, Started: 1, Command: "berth down"}, lease.ID)
	l := start(ctx, f.st, "shop")
	if said := <-l.waits; !strings.Contains(said, "elsewhere") || !strings.Contains(said, "berth down") {
		t.Errorf("told %q", said)
	}
	if err := other.Close(); err != nil { // that machine is gone
		t.Fatal(err)
	}
	unlock(ctx, t, l.held(ctx, t))
}

func TestWaitingEndsWithItsContextAndLeavesNothing(t *testing.T) {
	ctx, f := newFixture(t)
	held := lock(ctx, t, f.st, "shop")
	wctx, cancel := context.WithCancel(ctx)
	l := start(wctx, f.st, "shop")
	<-l.waits
	cancel()
	if r := <-l.done; !errors.Is(r.err, context.Canceled) || !strings.Contains(r.err.Error(), "shop") {
		t.Errorf("error %v", r.err)
	}
	unlock(ctx, t, held)
	if snap, err := f.st.Get(ctx, ledger.ProjectPrefix("shop")); err != nil || len(snap.Pairs) != 0 {
		t.Errorf("left %+v, %v", snap.Pairs, err)
	}
}

func TestProjectsAreLockedApart(t *testing.T) {
	ctx, f := newFixture(t)
	a := lock(ctx, t, f.st, "shop")
	b := lock(ctx, t, f.st, "shop2")
	unlock(ctx, t, b)
	unlock(ctx, t, a)
}

// endLease ends the lease that a key hangs on, as its running out does.
func (f fixture) endLease(ctx context.Context, t *testing.T, key string) {
	t.Helper()
	conn, err := grpc.NewClient(f.cluster.Endpoints(t)[0], grpc.WithTransportCredentials(credentials.NewTLS(f.cluster.TLS)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := etcdserverpb.NewKVClient(conn).Range(ctx, &etcdserverpb.RangeRequest{Key: []byte(key)})
	if err != nil || len(got.Kvs) != 1 {
		t.Fatalf("%s: %v, %v", key, got, err)
	}
	if _, err := etcdserverpb.NewLeaseClient(conn).LeaseRevoke(ctx, &etcdserverpb.LeaseRevokeRequest{ID: got.Kvs[0].Lease}); err != nil {
		t.Fatal(err)
	}
}

func TestALostLockIsKnownAndGuardsItsTransactions(t *testing.T) {
	ctx, f := newFixture(t)
	l := lock(ctx, t, f.st, "shop")
	txn := store.Txn{Compares: []store.Compare{l.Guard()}, Puts: []store.Put{{Key: "x"}}}
	if _, err := f.st.Commit(ctx, txn); err != nil {
		t.Fatal(err)
	}
	select {
	case <-l.Lost():
		t.Fatal("lost while held")
	default:
	}
	other := f.cluster.Open(t)
	defer other.Close()
	if err := f.st.Close(); err != nil { // nobody keeps the lease any more
		t.Fatal(err)
	}
	<-l.Lost()
	next := start(ctx, other, "shop")
	<-next.waits // this very process lives, so the lease must end first
	f.endLease(ctx, t, ledger.LockKey("shop"))
	unlock(ctx, t, next.held(ctx, t))
	if _, err := other.Commit(ctx, txn); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a transaction under a lost lock: %v, want ErrConflict", err)
	}
}
