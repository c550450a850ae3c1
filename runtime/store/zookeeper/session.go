package zookeeper

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"
)

// session is one session with the ensemble, over one connection at a time.
type session struct {
	conn *zk.Conn
	cfg  Config
	wg   sync.WaitGroup // requests whose callers may have left

	auth   chan struct{} // holds a token while authentication is under way
	authed bool

	mu       sync.Mutex
	current  *wire         // the last connection
	failed   error         // why there is none; nil while there is
	granted  time.Duration // the session's timeout, as the server granted it
	deserted bool
}

// connect begins a session. It does no I/O itself: requests wait for the connection.
func connect(cfg Config, timeout time.Duration) (*session, error) {
	s := &session{cfg: cfg, auth: make(chan struct{}, 1), granted: timeout}
	conn, events, err := zk.Connect(cfg.Servers, timeout, zk.WithDialer(s.dial), zk.WithHostProvider(&servers{}),
		zk.WithLogger(silence{}), zk.WithLogInfo(false))
	if err != nil {
		return nil, fmt.Errorf("store: zookeeper: %w", err)
	}
	s.conn = conn
	s.wg.Go(func() {
		for range events { // until the client has ended
		}
	})
	return s, nil
}

// call makes a request and waits for it no longer than ctx. One whose caller has left ends with the connection.
func call[T any](ctx context.Context, s *session, request func(*zk.Conn) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	s.wg.Go(func() {
		var a answer
		if a.err = s.authenticate(ctx); a.err == nil {
			a.value, a.err = request(s.conn)
		}
		done <- a
	})
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// authenticate tells the server the user, once: the client repeats it on each new connection.
func (s *session) authenticate(ctx context.Context) error {
	if s.cfg.User == "" {
		return nil
	}
	select {
	case s.auth <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.auth }()
	if s.authed {
		return nil
	}
	err := s.conn.AddAuth("digest", []byte(s.cfg.User+":"+s.cfg.Password))
	s.authed = err == nil
	return err
}

// timeout is how long the server keeps the session without hearing of it.
func (s *session) timeout() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.granted
}

// why is the reason why the servers cannot be reached.
func (s *session) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	return errors.New("the connection was lost")
}

// close ends the session at the server.
func (s *session) close() {
	if s.conn.State() != zk.StateHasSession {
		s.desert() // there is nobody to say it to
	}
	s.conn.Close()
	s.wg.Wait()
}

// abandon ends the client and lets the session run out at the server.
func (s *session) abandon() {
	s.desert()
	s.conn.Close()
	s.wg.Wait()
}

// desert makes all that is written from now on, the end of the session too, go nowhere.
func (s *session) desert() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deserted = true
	if s.current != nil {
		s.current.mute()
	}
}

var errDeserted = errors.New("the session was given up")

// dial implements zk.Dialer.
func (s *session) dial(_, addr string, timeout time.Duration) (net.Conn, error) {
	conn, err := s.dialServer(addr, timeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deserted && err == nil {
		_ = conn.Close()
		err = errDeserted
	}
	if err != nil {
		s.failed = err
		return nil, err
	}
	if s.current != nil {
		_ = s.current.Close() // the client leaves one open when its session has expired
	}
	s.current = &wire{Conn: conn, session: s}
	return s.current, nil
}

func (s *session) dialServer(addr string, timeout time.Duration) (net.Conn, error) {
	s.mu.Lock()
	deserted := s.deserted
	s.mu.Unlock()
	if deserted {
		return nil, errDeserted
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	dial := s.cfg.Dial
	if dial == nil {
		dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}
	}
	conn, err := dial(ctx, addr)
	if err != nil || s.cfg.TLS == nil {
		return conn, err
	}
	cfg := s.cfg.TLS.Clone()
	if cfg.ServerName == "" {
		if cfg.ServerName, _, err = net.SplitHostPort(addr); err != nil {
			return nil, err
		}
	}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// wire is a connection that reads along in the server's greeting, which has the timeout that it granted: the client
// keeps that to itself.
type wire struct {
	net.Conn
	session *session
	begun   []byte // the first bytes read: length, protocol, timeout, each of 4 bytes; by one goroutine

	mu    sync.Mutex
	muted bool
}

const greeting = 12

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if len(w.begun) < greeting {
		w.begun = append(w.begun, p[:min(n, greeting-len(w.begun))]...)
		w.greeted(err)
	}
	return n, err
}

func (w *wire) greeted(err error) {
	s := w.session
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(w.begun) == greeting:
		if ms := int32(binary.BigEndian.Uint32(w.begun[8:])); ms > 0 { // 0: the session has expired
			s.granted = time.Duration(ms) * time.Millisecond
		}
		s.failed = nil
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		s.failed = errors.New("it hung up; does it have a quorum, and does it want TLS?")
	case err != nil:
		s.failed = err
	}
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	muted := w.muted
	w.mu.Unlock()
	if muted {
		_ = w.Close() // so that who waits for the answer need not
		return len(p), nil
	}
	return w.Conn.Write(p)
}

// mute ends the way to the server, and leaves it to the next write to say so.
func (w *wire) mute() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.muted = true
}

// servers is the zk.HostProvider: addresses are looked up when they are dialled, each time.
type servers struct {
	addrs  []string
	next   int
	failed int // since the last success
}

// Init implements zk.HostProvider.
func (p *servers) Init(addrs []string) error {
	p.addrs = addrs
	return nil
}

// Len implements zk.HostProvider.
func (p *servers) Len() int { return len(p.addrs) }

// Next implements zk.HostProvider.
func (p *servers) Next() (addr string, again bool) {
	addr = p.addrs[p.next%len(p.addrs)]
	p.next++
	again = p.failed > 0 && p.failed%len(p.addrs) == 0
	p.failed++
	return addr, again
}

// Connected implements zk.HostProvider.
func (p *servers) Connected() { p.failed = 0 }

// silence is the client's log. What matters of it is in the errors.
type silence struct{}

func (silence) Printf(string, ...any) {}
