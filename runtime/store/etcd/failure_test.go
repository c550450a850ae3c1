package etcd_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"berth/runtime/store"
	"berth/runtime/store/embedded/embeddedtest"
	"berth/runtime/store/etcd"
)

// counter is a key that only ever counts up, one at a time, so that a watch can be checked without knowing which
// commits got their answers.
type counter struct {
	st       store.Store
	value    int
	modified int64
}

// step counts up by one, whatever happens to the answer.
func (c *counter) step(ctx context.Context) error {
	want := c.value + 1
	for {
		rev, err := c.st.Commit(ctx, store.Txn{
			Compares: []store.Compare{{Key: "count", Modified: c.modified}},
			Puts:     []store.Put{{Key: "count", Value: []byte(strconv.Itoa(want))}},
		})
		if err == nil {
			c.value, c.modified = want, rev
			return nil
		}
		if !errors.Is(err, store.ErrUncertain) && !errors.Is(err, store.ErrConflict) {
			return err
		}
		snap, err := c.st.Get(ctx, "count")
		if err != nil {
			return err
		}
		if len(snap.Pairs) == 1 && snap.Pairs[0].Modified != c.modified {
			c.modified = snap.Pairs[0].Modified
			c.value = want
			return nil // it was ours: nobody else counts
		}
	}
}

// follow checks that a watch sends every number from after+1 to until once, in order, each in a batch of its own.
func follow(ctx context.Context, t *testing.T, w <-chan store.Batch, after, until int) {
	t.Helper()
	last := int64(0)
	for n := after + 1; n <= until; n++ {
		select {
		case b := <-w:
			if b.Err != nil || len(b.Events) != 1 || b.Revision <= last {
				t.Fatalf("number %d: got %+v after revision %d", n, b, last)
			}
			if got := string(b.Events[0].Value); got != strconv.Itoa(n) {
				t.Fatalf("the watch sends %s, want %d", got, n)
			}
			last = b.Revision
		case <-ctx.Done():
			t.Fatalf("number %d does not come", n)
		}
	}
}

func TestAStoreOfThreeServesWithoutAnyOne(t *testing.T) {
	ctx := bound(t)
	c := embeddedtest.Start(t, 3)
	st, err := etcd.Open(ctx, etcd.Config{Endpoints: c.Endpoints(t), TLS: c.TLS})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	n := &counter{st: st}
	if err := n.step(ctx); err != nil {
		t.Fatal(err)
	}
	lease, err := st.Lease(ctx, 10)
	if err != nil {
		t.Fatal(err)
	}
	w := st.Watch(ctx, "count", n.modified)
	for member := range 3 {
		stopped := make(chan struct{})
		go func() { c.StopMember(member); close(stopped) }()
		before := n.value
		for down := false; !down || n.value < before+20; {
			if err := n.step(ctx); err != nil {
				t.Fatalf("while member %d stops: %v", member, err)
			}
			select {
			case <-stopped:
				down = true
			default:
			}
		}
		if err := c.StartMember(ctx, member); err != nil {
			t.Fatal(err)
		}
	}
	follow(ctx, t, w, 1, n.value)
	select {
	case <-lease.Lost:
		t.Error("the lease was lost")
	default:
	}
	if err := lease.Revoke(ctx); err != nil {
		t.Error(err)
	}
}

func TestWithoutMostMembersRequestsFailInTimeAndTheStoreRecovers(t *testing.T) {
	ctx := bound(t)
	c := embeddedtest.Start(t, 3)
	st := c.Open(t)
	defer st.Close()
	n := &counter{st: st}
	if err := n.step(ctx); err != nil {
		t.Fatal(err)
	}
	w := st.Watch(ctx, "count", n.modified)
	c.StopMember(0)
	c.StopMember(1)
	impatient, err := etcd.Open(ctx, etcd.Config{Endpoints: c.Endpoints(t), TLS: c.TLS, Timeout: 2e9})
	if err != nil {
		t.Fatal(err) // a member is there, so the store can be connected to
	}
	defer impatient.Close()
	if _, err := impatient.Get(ctx, "count"); !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("get: %v, want ErrUnreachable", err)
	}
	// By now the one that is left knows that it has no leader.
	patient := make(chan error, 1)
	go func() {
		_, err := st.Get(ctx, "count")
		patient <- err
	}()
	if _, err := impatient.Commit(ctx, store.Txn{Puts: []store.Put{{Key: "x"}}}); !errors.Is(err, store.ErrUnreachable) && !errors.Is(err, store.ErrUncertain) {
		t.Errorf("commit: %v, want ErrUnreachable or ErrUncertain", err)
	}
	if _, err := impatient.Get(ctx, "count"); !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("get: %v, want ErrUnreachable", err)
	}
	select {
	case err := <-patient:
		t.Errorf("a get that has time ended with %v", err)
		patient <- nil
	default:
	}
	for i := range 2 {
		if err := c.StartMember(ctx, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-patient; err != nil {
		t.Errorf("a get that had time until the members came back: %v", err)
	}
	for range 10 {
		if err := n.step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	follow(ctx, t, w, 1, n.value)
}

func TestAWatchGoesOnWhereItWasAfterLostConnections(t *testing.T) {
	ctx := bound(t)
	c := embeddedtest.Start(t, 1)
	writer := c.Open(t)
	defer writer.Close()
	r := &relay{}
	st, err := etcd.Open(ctx, etcd.Config{Endpoints: c.Endpoints(t), TLS: c.TLS, Dial: r.dial})
	if err != nil {
		t.Fatal(err)
	}
	defer r.cut() // after the client is closed
	defer st.Close()
	n := &counter{st: writer}
	if err := n.step(ctx); err != nil {
		t.Fatal(err)
	}
	w := st.Watch(ctx, "count", n.modified)
	for range 5 {
		before := n.value
		for range 40 {
			if n.value == before+20 {
				r.drop() // amid events
			}
			if err := n.step(ctx); err != nil {
				t.Fatal(err)
			}
		}
		follow(ctx, t, w, before, n.value)
	}
	if r.dials < 6 {
		t.Errorf("there were %d connections; the relay was not used", r.dials)
	}
}

func TestAnExternalStoreMayRestart(t *testing.T) {
	ctx := bound(t)
	addrs, dir := embeddedtest.FreeAddrs(t, 2), t.TempDir()
	kill := startExternal(t, dir, addrs[0], addrs[1])
	st, err := etcd.Open(ctx, etcd.Config{Endpoints: addrs[:1], Timeout: embeddedtest.StartLimit})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	n := &counter{st: st}
	if err := n.step(ctx); err != nil {
		t.Fatal(err)
	}
	w := st.Watch(ctx, "count", n.modified)
	for range 2 {
		kill() // -9
		kill = startExternal(t, dir, addrs[0], addrs[1])
		for range 5 {
			if err := n.step(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	follow(ctx, t, w, 1, n.value)
}

// The answer of the first commit is lost on the way; the client must find out that it was applied.
func TestACommitWhoseAnswerIsLostIsNotAConflictWithItself(t *testing.T) {
	ctx := bound(t)
	c := embeddedtest.Start(t, 1)
	writer := c.Open(t)
	defer writer.Close()
	for range 30 {
		r := &relay{}
		st, err := etcd.Open(ctx, etcd.Config{Endpoints: c.Endpoints(t), TLS: c.TLS, Dial: r.dial})
		if err != nil {
			t.Fatal(err)
		}
		snap, err := writer.Get(ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		var modified int64
		if len(snap.Pairs) == 1 {
			modified = snap.Pairs[0].Modified
		}
		// Who sees the key change cuts the connection, often before the answer is through.
		wctx, cancel := context.WithCancel(ctx)
		dropped := make(chan struct{})
		w := writer.Watch(wctx, "k", snap.Revision)
		go func() {
			defer close(dropped)
			<-w
			r.drop()
		}()
		value := strconv.Itoa(int(snap.Revision))
		rev, err := st.Commit(ctx, store.Txn{
			Compares: []store.Compare{{Key: "k", Modified: modified}},
			Puts:     []store.Put{{Key: "k", Value: []byte(value)}},
		})
		<-dropped
		cancel()
		if err != nil {
			t.Errorf("commit: %v", err)
		} else if snap, err := writer.Get(ctx, "k"); err != nil || string(snap.Pairs[0].Value) != value || snap.Pairs[0].Modified != rev {
			t.Errorf("committed at %d, read %+v, %v", rev, snap, err)
		}
		_ = st.Close()
		r.cut()
	}
}

func TestACommitThatMayApplyTwiceIsNotSentTwice(t *testing.T) {
	ctx := bound(t)
	c := embeddedtest.Start(t, 1)
	r := &relay{}
	st, err := etcd.Open(ctx, etcd.Config{Endpoints: c.Endpoints(t), TLS: c.TLS, Dial: r.dial, Timeout: 1e9})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	r.mute() // requests go nowhere, and nobody says so
	_, err = st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: "k"}}})
	if !errors.Is(err, store.ErrUncertain) || !strings.Contains(err.Error(), "commit") {
		t.Errorf("error %v, want ErrUncertain", err)
	}
	r.cut()
	_, err = st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: "k"}}})
	if err == nil {
		t.Error("committed without a connection")
	}
}
