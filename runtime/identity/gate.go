package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync"
)

// Gate is the door of a store member: it lets in only who shows a certificate of the cluster's authority that is not
// refused, and closes the connections of those that come to be refused. The certificate that the member shows itself is
// asked for at each handshake, so that a renewed one counts at once. A Gate is safe for concurrent use.
type Gate struct {
	authority *x509.CertPool
	own       func() (*tls.Certificate, error)

	mu      sync.Mutex
	refused map[string]string              // host → the only admission of it that is good, "" for none
	inside  map[net.Conn]*x509.Certificate // connections that were let in
}

// NewGate makes a gate. caCert is the authority's PEM text, own gives the member's certificate with its key.
func NewGate(caCert []byte, own func() (*tls.Certificate, error)) (*Gate, error) {
	pool, err := Pool(caCert)
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	return &Gate{authority: pool, own: own, inside: map[net.Conn]*x509.Certificate{}}, nil
}

// Refuse says which hosts are refused: by name, with the only admission of the host that is good, "" for none. It
// replaces what was said before.
func (g *Gate) Refuse(hosts map[string]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused = hosts
	for conn, cert := range g.inside {
		if g.refuses(cert) != nil {
			_ = conn.Close()
		}
	}
}

// refuses is the reason to refuse a certificate, nil if there is none. The caller holds the lock.
func (g *Gate) refuses(cert *x509.Certificate) error {
	good, refused := g.refused[cert.Subject.CommonName]
	if refused && (good == "" || cert.Subject.SerialNumber != good) {
		return fmt.Errorf("host %s was taken out of the cluster", cert.Subject.CommonName)
	}
	return nil
}

// Config is the listener's TLS configuration.
func (g *Gate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientCAs:      g.authority,
		ClientAuth:     tls.RequireAndVerifyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return g.own() },
		VerifyConnection: func(s tls.ConnectionState) error {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.refuses(s.PeerCertificates[0])
		},
		// A ticket would let a client in without a look at its certificate.
		SessionTicketsDisabled: true,
	}
}

// Admit notes a connection whose other side has shown a certificate, so that it can be closed when that comes to be
// refused; if it has been since the handshake, it is closed at once. Forget is for connections that are closed.
func (g *Gate) Admit(conn net.Conn, cert *x509.Certificate) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.refuses(cert); err != nil {
		_ = conn.Close()
		return err
	}
	g.inside[conn] = cert
	return nil
}

// Forget takes back what Admit noted.
func (g *Gate) Forget(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.inside, conn)
}
