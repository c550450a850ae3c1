package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// attempts remembers why the last connection to each endpoint failed. gRPC knows too, but only as a long text.
type attempts struct {
	mu     sync.Mutex
	failed map[string]error // by endpoint; absent after a success
	noted  chan struct{}    // closed, and made anew, when one is recorded
}

func newAttempts() *attempts {
	return &attempts{failed: map[string]error{}, noted: make(chan struct{})}
}

func (a *attempts) record(addr string, err error) {
	// gRPC gives an attempt up when it no longer needs it; the reason before that is the better one.
	if errors.Is(err, context.Canceled) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		delete(a.failed, addr)
	} else {
		a.failed[addr] = err
	}
	close(a.noted)
	a.noted = make(chan struct{})
}

// next is closed when the next connection is made or fails.
func (a *attempts) next() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.noted
}

// last returns why the last connection to addr failed, nil if it did not.
func (a *attempts) last(addr string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed[addr]
}

// hopeless reports whether every endpoint failed in a way that trying again does not mend.
func (a *attempts) hopeless(endpoints []string) bool {
	for _, e := range endpoints {
		var untrusted *tls.CertificateVerificationError
		var header tls.RecordHeaderError
		err := a.last(e)
		if !errors.As(err, &untrusted) && !errors.As(err, &header) && refusal(err) == nil {
			return false
		}
	}
	return true
}

// refusal returns what the other side of a TLS connection found wrong with ours, nil if err is something else.
func refusal(err error) error {
	// crypto/tls gives alerts this way and keeps their type to itself.
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return op.Err
	}
	return nil
}

// dialer wraps a dialer so that its failures are remembered.
func (a *attempts) dialer(dial func(context.Context, string) (net.Conn, error)) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := dial(ctx, addr)
		if err != nil {
			a.record(addr, err)
		}
		return conn, err
	}
}

// credentials are those of cfg (nil: plain text), with failed handshakes remembered.
func (a *attempts) credentials(cfg *tls.Config) credentials.TransportCredentials {
	if cfg == nil {
		return &watchedCredentials{insecure.NewCredentials(), a, ""}
	}
	return &watchedCredentials{credentials.NewTLS(cfg), a, cfg.ServerName}
}

type watchedCredentials struct {
	credentials.TransportCredentials
	attempts   *attempts
	serverName string // that the certificate must hold; empty: the endpoint's host
}

// ClientHandshake implements credentials.TransportCredentials. The authority is the endpoint, host:port.
func (c *watchedCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	name := authority
	if c.serverName != "" {
		name = c.serverName // the etcd client gives each endpoint a name, and gRPC takes that over the configuration's
	}
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, name, raw)
	if err != nil {
		c.attempts.record(authority, err)
		return nil, nil, err
	}
	return &greetedConn{Conn: conn, addr: authority, attempts: c.attempts}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (c *watchedCredentials) Clone() credentials.TransportCredentials {
	return &watchedCredentials{c.TransportCredentials.Clone(), c.attempts, c.serverName}
}

// greetedConn remembers how its first read went: in TLS 1.3 a client learns only then that the server refused its
// certificate. gRPC reads from one goroutine.
type greetedConn struct {
	net.Conn
	addr     string
	attempts *attempts
	greeted  bool
}

func (c *greetedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if !c.greeted {
		c.greeted = true
		c.attempts.record(c.addr, err)
	}
	return n, err
}
