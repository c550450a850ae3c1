// Package etcd is the store driver for etcd 3.4 and later, embedded or external.
package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"

	"berth/runtime/store"
)

// DefaultTimeout bounds opening a store and each request to it, unless Config does. An etcd that loses its
// leader gives up on a transaction after 5 s and two election times (7 s as etcd comes), and should get to say so.
const DefaultTimeout = 10 * time.Second

// maxRequestBytes is the largest transaction this driver sends, as the embedded server takes it; an external etcd
// refuses what is over its own --max-request-bytes (1.5 MiB as it comes).
const maxRequestBytes = 10 << 20

// Config says where an etcd is and how to get there.
type Config struct {
	// Endpoints are the members, each host:port, http://host:port or https://host:port.
	Endpoints []string
	// TLS holds the certificates to use. nil means plain text, or for https endpoints the system's authorities.
	TLS *tls.Config
	// Dial connects to an endpoint (host:port) where a plain TCP connection is not the way, for example through a
	// stream to a host's agent. ctx is for dialling only: the connection lives until it is closed. nil dials TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Timeout bounds each request; DefaultTimeout if zero.
	Timeout time.Duration
	// Connect bounds Open; Timeout if zero.
	Connect time.Duration
}

// Open connects to at least one member. While none can be connected to it keeps trying, because a member may just be
// starting, until Connect or ctx ends it; but it gives up at once when every member turns out not to be the one meant
// (its certificate does not verify). The error then is an *UnreachableError.
func Open(ctx context.Context, cfg Config) (store.Store, error) {
	endpoints, secure, err := cfg.endpoints()
	if err != nil {
		return nil, err
	}
	s := &client{
		at:       endpoints,
		secure:   secure,
		timeout:  cfg.Timeout,
		attempts: newAttempts(),
		done:     make(chan struct{}),
	}
	if s.timeout <= 0 {
		s.timeout = DefaultTimeout
	}
	dial := cfg.Dial
	if dial == nil {
		dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	tlsConfig := cfg.TLS
	if !secure {
		tlsConfig = nil
	} else if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	s.etcd, err = clientv3.New(clientv3.Config{
		Endpoints: endpoints,
		// Pings find a member whose host vanished without closing connections. etcd hangs up on clients that ping
		// more often than every 5 s, gRPC does not ping more often than every 10 s.
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		MaxCallSendMsgSize:   maxRequestBytes + 512<<10, // and what gRPC puts around it
		Logger:               zap.NewNop(),
		DialOptions: []grpc.DialOption{
			grpc.WithTransportCredentials(s.attempts.credentials(tlsConfig)),
			// A dialer of our own also keeps gRPC away from HTTP proxies: stores are on the local network.
			grpc.WithContextDialer(s.attempts.dialer(dial)),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
				// A member that is starting accepts connections before it can answer on them.
				MinConnectTimeout: 5 * time.Second,
			}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s, err)
	}
	s.leases = etcdserverpb.NewLeaseClient(s.etcd.ActiveConnection())

	limit := cfg.Connect
	if limit <= 0 {
		limit = s.timeout
	}
	octx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := s.connected(octx, limit); err != nil {
		_ = s.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("store %s: connect: %w", s, ctx.Err())
		}
		return nil, err
	}
	return s, nil
}

// client is the store.Store over one gRPC connection to each member, which takes requests in turn.
type client struct {
	etcd     *clientv3.Client
	leases   etcdserverpb.LeaseClient
	secure   bool // with TLS
	timeout  time.Duration
	attempts *attempts

	mu     sync.Mutex
	at     []string // endpoints, host:port
	closed bool
	done   chan struct{}  // closed by Close
	wg     sync.WaitGroup // watches and leases
}

// String names the store as hosts.yml does.
func (s *client) String() string { return "etcd://" + strings.Join(s.addrs(), ",") }

// addrs are the endpoints, host:port.
func (s *client) addrs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// Close implements store.Store.
func (s *client) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.done)
	s.mu.Unlock()
	s.wg.Wait()
	if err := s.etcd.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("store %s: close: %w", s, err)
	}
	return nil
}

// spawn runs f in a goroutine that Close waits for; false when the store is closed. f ends when s.done closes.
func (s *client) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Go(f)
	return true
}

// request is the context of one request: it ends with ctx, after the time limit, or when the store is closed.
// WithRequireLeader makes a member that is cut off from the others say so at once instead of holding the request.
func (s *client) request(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), s.timeout)
	stop := context.AfterFunc(s.etcd.Ctx(), cancel)
	return ctx, func() { stop(); cancel() }
}

// connected waits until one member at least is connected to. limit is the time that ctx has, for the error.
func (s *client) connected(ctx context.Context, limit time.Duration) error {
	conn := s.etcd.ActiveConnection()
	for {
		noted := s.attempts.next() // asked for before looking, so that nothing is missed
		state := conn.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.Shutdown:
			return store.ErrClosed
		case connectivity.Idle:
			conn.Connect()
		case connectivity.TransientFailure:
			if s.attempts.hopeless(s.addrs()) {
				return s.unreachable(limit)
			}
		}
		if !changed(ctx, conn, state, noted) {
			return s.unreachable(limit)
		}
	}
}

// changed waits for another state of the connection, or for noted: after the first failure gRPC stays in one state, while
// the reason of a later one may be another. It is false when ctx ends.
func changed(ctx context.Context, conn *grpc.ClientConn, state connectivity.State, noted <-chan struct{}) bool {
	either, cancel := context.WithCancel(ctx)
	var noting sync.WaitGroup
	noting.Go(func() {
		select {
		case <-noted:
			cancel()
		case <-either.Done():
		}
	})
	conn.WaitForStateChange(either, state)
	cancel()
	noting.Wait()
	return ctx.Err() == nil
}

// endpoints returns the members as host:port, and whether they speak TLS.
func (cfg Config) endpoints() ([]string, bool, error) {
	var out []string
	plain, secure := false, false
	for _, e := range cfg.Endpoints {
		addr, isPlain := strings.CutPrefix(e, "http://")
		addr, isSecure := strings.CutPrefix(addr, "https://")
		plain, secure = plain || isPlain, secure || isSecure
		addr = strings.TrimSuffix(addr, "/")
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			return nil, false, fmt.Errorf("store: etcd endpoint %q is not host:port", e)
		}
		if !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	switch {
	case len(out) == 0:
		return nil, false, errors.New("store: etcd has no endpoints; write store: etcd://host:2379 in hosts.yml")
	case plain && secure:
		return nil, false, fmt.Errorf("store etcd://%s: some endpoints are http and some https; make them all https", strings.Join(out, ","))
	case plain && cfg.TLS != nil:
		return nil, false, fmt.Errorf("store etcd://%s: there are certificates for it, but its endpoints are http; make them https", strings.Join(out, ","))
	}
	return out, secure || cfg.TLS != nil, nil
}
