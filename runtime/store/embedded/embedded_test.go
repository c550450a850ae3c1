package embedded_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/runtime/store"
	"berth/runtime/store/embedded"
	"berth/runtime/store/embedded/embeddedtest"
	"berth/runtime/store/etcd"
)

func TestMain(m *testing.M) { embeddedtest.VerifyTestMain(m) }

func bound(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), embeddedtest.StartLimit)
	t.Cleanup(cancel)
	return ctx
}

func write(ctx context.Context, t *testing.T, st store.Store, key, value string) int64 {
	t.Helper()
	rev, err := st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: key, Value: []byte(value)}}})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func TestAMemberKeepsItsDataOverRestarts(t *testing.T) {
	ctx := bound(t)
	c := embeddedtest.Start(t, 1)
	st := c.Open(t)
	defer st.Close()
	rev := write(ctx, t, st, "k", "v")
	c.StopMember(0)
	if err := c.StartMember(ctx, 0); err != nil {
		t.Fatal(err)
	}
	snap, err := st.Get(ctx, "k") // by the same client: it finds the member again
	if err != nil {
		t.Fatal(err)
	}
	if len(snap.Pairs) != 1 || string(snap.Pairs[0].Value) != "v" || snap.Pairs[0].Modified != rev {
		t.Errorf("after the restart: %+v", snap)
	}
}

// Without our hand in it etcd waits 7 s for clients to end their watches.
func TestStoppingDoesNotWaitForClients(t *testing.T) {
	ctx := bound(t)
	c := embeddedtest.Start(t, 1)
	st := c.Open(t)
	defer st.Close()
	lease, err := st.Lease(ctx, 10)
	if err != nil {
		t.Fatal(err)
	}
	w := st.Watch(ctx, "k", write(ctx, t, st, "k", "1"))
	rev := write(ctx, t, st, "k", "2")
	if b := <-w; b.Revision != rev {
		t.Fatalf("the watch does not stand: %+v", b)
	}
	start := time.Now()
	c.StopMember(0)
	if d := time.Since(start); d > 6*time.Second {
		t.Errorf("stopping took %s", d)
	}
	// And the clients neither notice nor miss anything.
	if err := c.StartMember(ctx, 0); err != nil {
		t.Fatal(err)
	}
	rev = write(ctx, t, st, "k", "3")
	if b := <-w; b.Revision != rev || b.Err != nil {
		t.Errorf("after the restart the watch sends %+v, want revision %d", b, rev)
	}
	select {
	case <-lease.Lost:
		t.Error("the lease was lost over a short restart")
	default:
	}
}

func TestStartEndsWithItsContextWhileTheOthersAreMissing(t *testing.T) {
	c := embeddedtest.New(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := c.StartMember(ctx, 0)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waits for the other members (m1 at https://") {
		t.Fatalf("error %v", err)
	}
	// And it may be tried again, with the others there.
	var g errgroup.Group
	for i := range 3 {
		g.Go(func() error { return c.StartMember(bound(t), i) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestAMemberWithoutItsDataIsNotLetInAgain(t *testing.T) {
	c := embeddedtest.Start(t, 3)
	c.StopMember(2)
	c.Configs[2].DataDir = t.TempDir()
	err := c.StartMember(bound(t), 2)
	if !errors.Is(err, embedded.ErrDataGone) || !strings.Contains(err.Error(), c.Configs[2].DataDir) {
		t.Errorf("error %v", err)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	c := embeddedtest.Start(t, 1)
	stranger := embeddedtest.New(t, 1).TLS
	forged := c.TLS.Clone()
	forged.Certificates = stranger.Certificates
	bare := c.TLS.Clone()
	bare.Certificates = nil
	for name, cfg := range map[string]*tls.Config{
		"a client of another cluster":               stranger,
		"a certificate of another cluster":          forged,
		"no certificate":                            bare,
		"plain text":                                nil,
		"a name that is not the store's":            renamed(c.TLS),
		"a client that takes only old TLS versions": old(c.TLS),
	} {
		for _, addr := range []string{c.Endpoints(t)[0], strings.TrimPrefix(c.Configs[0].PeerURL, "https://")} {
			st, err := etcd.Open(t.Context(), etcd.Config{Endpoints: []string{addr}, TLS: cfg, Timeout: 500 * time.Millisecond})
			if err == nil {
				st.Close()
				t.Errorf("%s got in at %s", name, addr)
			} else if !errors.Is(err, store.ErrUnreachable) {
				t.Errorf("%s: error %v", name, err)
			}
		}
	}
}

func renamed(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.ServerName = "another"
	return c
}

func old(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	return c
}

func TestOneTransactionTakesAWholeCluster(t *testing.T) {
	ctx := bound(t)
	c := embeddedtest.Start(t, 1)
	st := c.Open(t)
	defer st.Close()
	var txn store.Txn
	for i := range 4096 {
		txn.Puts = append(txn.Puts, store.Put{Key: fmt.Sprintf("k/%d", i), Value: bytes.Repeat([]byte{1}, 2000)})
	}
	if _, err := st.Commit(ctx, txn); err != nil {
		t.Fatal(err)
	}
	txn.Puts = append(txn.Puts, store.Put{Key: "k/one more"})
	if _, err := st.Commit(ctx, txn); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("4097 operations: error %v, want ErrTooLarge", err)
	}
	large := store.Txn{Puts: []store.Put{{Key: "large", Value: make([]byte, 11<<20)}}}
	if _, err := st.Commit(ctx, large); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("11 MiB: error %v, want ErrTooLarge", err)
	}
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	for want, change := range map[string]func(*embedded.Config){
		`its client URL "http://127.0.0.1:1" is not https://address:port`: func(c *embedded.Config) { c.ClientURL = "http://127.0.0.1:1" },
		`its peer URL "https://127.0.0.1" is not https://address:port`:    func(c *embedded.Config) { c.PeerURL = "https://127.0.0.1" },
		`it is not among the first members (m0)`:                          func(c *embedded.Config) { c.Name = "x" },
		`no such file`:                                                    func(c *embedded.Config) { c.CertFile += ".gone" },
	} {
		c := embeddedtest.New(t, 1)
		change(&c.Configs[0])
		if err := c.StartMember(bound(t), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestWarningsGoToTheLog(t *testing.T) {
	c := embeddedtest.New(t, 1)
	var log lockedBuffer
	c.Configs[0].Log = &log
	if err := c.StartMember(bound(t), 0); err != nil {
		t.Fatal(err)
	}
	bare := c.TLS.Clone()
	bare.Certificates = nil
	// A peer without a certificate is what etcd warns about.
	conn, err := tls.Dial("tcp", strings.TrimPrefix(c.Configs[0].PeerURL, "https://"), bare)
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	if err == nil {
		t.Fatal("the peer listener let a stranger in")
	}
	c.StopMember(0)
	if out := log.String(); !strings.Contains(out, "peer refused: TLS handshake error") || strings.Contains(out, "\tinfo\t") {
		t.Errorf("the log is:\n%s", out)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// BenchmarkStart is the time from starting three new members to the first transaction.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		c := embeddedtest.New(b, 3)
		b.StartTimer()
		var g errgroup.Group
		for i := range 3 {
			g.Go(func() error { return c.StartMember(context.Background(), i) })
		}
		st := c.Open(b)
		if _, err := st.Commit(context.Background(), store.Txn{Puts: []store.Put{{Key: "k"}}}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = st.Close()
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		var s errgroup.Group
		for i := range 3 {
			s.Go(func() error { c.StopMember(i); return nil })
		}
		_ = s.Wait()
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "stop-ms")
		b.StartTimer()
	}
}

// BenchmarkCommit is one client's transactions of one put, one after the other.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 3} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			c := embeddedtest.Start(b, n)
			st := c.Open(b)
			defer st.Close()
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := st.Commit(context.Background(), store.Txn{Puts: []store.Put{{Key: "k", Value: make([]byte, 500)}}}); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkOpen is a command's way to its first answer.
func BenchmarkOpen(b *testing.B) {
	c := embeddedtest.Start(b, 3)
	for b.Loop() {
		st := c.Open(b)
		if _, err := st.Get(context.Background(), "k"); err != nil {
			b.Fatal(err)
		}
		_ = st.Close()
	}
}
