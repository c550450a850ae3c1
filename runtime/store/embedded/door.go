package embedded

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/etcdhttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
	"google.golang.org/grpc/credentials"

	"berth/runtime/identity"
)

// etcd has its own TLS listeners, but none that refuses a certificate by the host it is for, nor one that closes a
// connection that stands. So both ports are served through an identity.Gate: clients by gRPC credentials of ours, peers
// by an HTTP server of ours around etcd's handler.

// gate is the member's door.
func (cfg Config) gate() (*identity.Gate, error) {
	if cfg.Gate != nil {
		return cfg.Gate, nil
	}
	ca, err := os.ReadFile(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	return identity.NewGate(ca, cfg.own)
}

// own is the member's certificate, as it lies in its files now.
func (cfg Config) own() (*tls.Certificate, error) {
	pair, err := identity.Load(cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return nil, err
	}
	return pair.TLS()
}

// gated are the credentials of the client port.
type gated struct {
	credentials.TransportCredentials
	gate *identity.Gate
}

func newGated(g *identity.Gate) credentials.TransportCredentials {
	return &gated{credentials.NewTLS(g.Config()), g}
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *gated) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	tlsInfo, ok := info.(credentials.TLSInfo)
	if !ok {
		_ = conn.Close()
		return nil, nil, errors.New("the connection has no TLS state")
	}
	if err := c.gate.Admit(raw, tlsInfo.State.PeerCertificates[0]); err != nil {
		return nil, nil, err
	}
	return &admitted{conn, raw, c.gate}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (c *gated) Clone() credentials.TransportCredentials {
	return &gated{c.TransportCredentials.Clone(), c.gate}
}

// admitted is a connection that the gate knows.
type admitted struct {
	net.Conn
	raw  net.Conn
	gate *identity.Gate
}

func (c *admitted) Close() error {
	c.gate.Forget(c.raw)
	return c.Conn.Close()
}

// peers is the peer port.
type peers struct {
	listener net.Listener
	server   *http.Server
	gate     *identity.Gate
	done     chan struct{} // closed when it has stopped to serve; nil before it has begun
}

// listenPeers opens the port. Nobody is answered before serve.
func listenPeers(u url.URL, g *identity.Gate, warnings io.Writer) (*peers, error) {
	// The time limits are etcd's: members talk all the time.
	l, err := transport.NewListenerWithOpts(u.Host, "http", transport.WithTimeout(rafthttp.ConnReadTimeout, rafthttp.ConnWriteTimeout))
	if err != nil {
		return nil, fmt.Errorf("listen for the other members: %w", err)
	}
	p := &peers{listener: tls.NewListener(l, g.Config()), gate: g}
	p.server = &http.Server{
		ReadTimeout: 5 * time.Minute,
		ErrorLog:    log.New(refusals{warnings}, "", 0),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
		ConnState: func(conn net.Conn, s http.ConnState) {
			if s == http.StateClosed || s == http.StateHijacked {
				g.Forget(conn)
			}
		},
	}
	return p, nil
}

type connKey struct{}

// serve answers with etcd's handler until close, and with begins below BeginsPath until etcd is ready.
func (p *peers) serve(e *embed.Etcd, begins http.Handler) {
	handler := etcdhttp.NewPeerHandler(e.GetLogger(), e.Server)
	p.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := r.Context().Value(connKey{}).(net.Conn)
		if err := p.gate.Admit(conn, r.TLS.PeerCertificates[0]); err != nil {
			return
		}
		if begins != nil && strings.HasPrefix(r.URL.Path, BeginsPath) {
			select {
			case <-e.Server.ReadyNotify():
			default:
				begins.ServeHTTP(w, r)
				return
			}
		}
		handler.ServeHTTP(w, r)
	})
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		_ = p.server.Serve(p.listener) // ends by close, and by nothing else
	}()
}

// close ends the port and what goes on there.
func (p *peers) close() {
	_ = p.listener.Close()
	_ = p.server.Close()
	if p.done != nil {
		<-p.done
	}
}

// refusals takes the lines in which net/http tells of failed handshakes.
type refusals struct{ w io.Writer }

func (r refusals) Write(line []byte) (int, error) {
	if r.w != nil && !bytes.Contains(line, []byte("EOF")) { // who only looked whether the port is open
		fmt.Fprintf(r.w, "%s\twarn\tpeer refused: %s", time.Now().Format(time.RFC3339), strings.TrimPrefix(string(line), "http: "))
	}
	return len(line), nil
}
