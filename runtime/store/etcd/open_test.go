package etcd_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"berth/runtime/store"
	"berth/runtime/store/embedded/embeddedtest"
	"berth/runtime/store/etcd"
)

// silent listens and never says a word.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// rude answers every connection with a line of text.
func rude(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1<<10)) // or the line is lost with what was not read
			_, _ = conn.Write([]byte("220 welcome\r\n"))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// failingFirst is a dialer that does not reach anybody at first.
func failingFirst() func(context.Context, string) (net.Conn, error) {
	var once sync.Once
	return func(ctx context.Context, addr string) (conn net.Conn, err error) {
		once.Do(func() { err = syscall.ECONNRESET })
		if err != nil {
			return nil, err
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}
}

func TestAStoreOutOfReachIsNamedInOneSentence(t *testing.T) {
	closed := embeddedtest.FreeAddrs(t, 2)
	mute := silent(t)
	secure := embeddedtest.Start(t, 1)
	bare := secure.TLS.Clone()
	bare.Certificates = nil
	plain := external(t)
	const limit = time.Second
	const hint = "; start it or change store: in hosts.yml"

	for name, c := range map[string]struct {
		cfg  etcd.Config
		want string // the start of the sentence and its end are the same for all
		fast bool   // waiting does not help, so it should not wait
	}{
		"nobody listens":                   {etcd.Config{Endpoints: closed[:1]}, closed[0] + " cannot be reached: connection refused", false},
		"nobody listens, twice":            {etcd.Config{Endpoints: closed}, closed[0] + "," + closed[1] + " cannot be reached: connection refused", false},
		"each for its own reason":          {etcd.Config{Endpoints: []string{closed[0], mute}}, closed[0] + "," + mute + " cannot be reached: " + closed[0] + ": connection refused, " + mute + ": no answer in 1s", false},
		"nobody answers":                   {etcd.Config{Endpoints: []string{mute}}, mute + " cannot be reached: no answer in 1s", false},
		"connecting has a time of its own": {etcd.Config{Endpoints: []string{mute}, Connect: limit / 2}, mute + " cannot be reached: no answer in 500ms", false},
		"nobody answers with TLS":          {etcd.Config{Endpoints: []string{mute}, TLS: secure.TLS}, mute + " cannot be reached: no answer in 1s", false},
		"we show no certificate":           {etcd.Config{Endpoints: secure.Endpoints(t), TLS: bare}, " cannot be reached: it refused our certificate (tls: certificate required)", true},
		"it refuses us at the second try":  {etcd.Config{Endpoints: secure.Endpoints(t), TLS: bare, Dial: failingFirst()}, "it refused our certificate", true},
		"it is of another cluster":         {etcd.Config{Endpoints: secure.Endpoints(t), TLS: embeddedtest.New(t, 1).TLS}, "x509: certificate signed by unknown authority", true},
		"it wants TLS":                     {etcd.Config{Endpoints: secure.Endpoints(t)}, " cannot be reached: it hung up; does it want TLS?", false},
		"it speaks another language":       {etcd.Config{Endpoints: []string{rude(t)}, TLS: secure.TLS}, " cannot be reached: it does not speak TLS", true},
		"it does not speak TLS":            {etcd.Config{Endpoints: []string{plain}, TLS: secure.TLS}, plain + " cannot be reached: it hung up; does it speak TLS?", false},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Timeout = limit
			if c.fast {
				c.cfg.Timeout = time.Minute
			}
			start := time.Now()
			st, err := etcd.Open(t.Context(), c.cfg)
			took := time.Since(start)
			if err == nil {
				_ = st.Close()
				t.Fatal("it could be reached")
			}
			if !errors.Is(err, store.ErrUnreachable) {
				t.Errorf("it is no ErrUnreachable: %v", err)
			}
			if msg := err.Error(); !strings.HasPrefix(msg, "store etcd://") || !strings.HasSuffix(msg, hint) || !strings.Contains(msg, c.want) || strings.Contains(msg, "\n") {
				t.Errorf("error %q, want %q", msg, "store etcd://…"+c.want+hint)
			}
			if c.fast && took >= c.cfg.Timeout {
				t.Errorf("it waited for all its time, %s", took)
			}
		})
	}
}

func TestOpeningEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cfg := etcd.Config{Endpoints: []string{"192.0.2.1:1"}, Dial: func(ctx context.Context, _ string) (net.Conn, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	if _, err := etcd.Open(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestOpeningWaitsForAStoreThatStarts(t *testing.T) {
	c := embeddedtest.New(t, 1)
	tried := make(chan struct{}, 1)
	opened := make(chan error, 1)
	go func() {
		st, err := etcd.Open(bound(t), etcd.Config{Endpoints: c.Endpoints(t), TLS: c.TLS, Timeout: time.Minute, Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			select {
			case tried <- struct{}{}:
			default:
			}
			return conn, err
		}})
		if err == nil {
			err = st.Close()
		}
		opened <- err
	}()
	<-tried
	if err := c.StartMember(bound(t), 0); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestEndpointsThatCannotBeMeantAreRefused(t *testing.T) {
	for want, cfg := range map[string]etcd.Config{
		"has no endpoints":         {},
		`"10.0.0.1" is not host:p`: {Endpoints: []string{"10.0.0.1"}},
		"make them all https":      {Endpoints: []string{"http://a:1", "https://b:1"}},
		"but its endpoints are":    {Endpoints: []string{"http://a:1"}, TLS: &tls.Config{}},
	} {
		if _, err := etcd.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestTransactionsTooLargeForAnExternalStoreSayWhatToSet(t *testing.T) {
	st, err := etcd.Open(t.Context(), etcd.Config{Endpoints: []string{"http://" + external(t)}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var many store.Txn
	for i := range 129 {
		many.Puts = append(many.Puts, store.Put{Key: "many/" + strings.Repeat("x", i)})
	}
	for name, txn := range map[string]store.Txn{
		"many operations": many,
		"2 MB":            {Puts: []store.Put{{Key: "large", Value: make([]byte, 2_000_000)}}},
		"5 MB":            {Puts: []store.Put{{Key: "large", Value: make([]byte, 5_000_000)}}},
		"12 MB":           {Puts: []store.Put{{Key: "large", Value: make([]byte, 12_000_000)}}},
	} {
		_, err := st.Commit(bound(t), txn)
		if !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), "start etcd with --max-txn-ops=4096 --max-request-bytes=10485760") {
			t.Errorf("%s: error %v, want ErrTooLarge", name, err)
		}
	}
	if snap, err := st.Get(bound(t), ""); err != nil || len(snap.Pairs) != 0 {
		t.Errorf("the store holds %d keys, error %v", len(snap.Pairs), err)
	}
}
