package identity

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
)

func TestAHostThatIsRefusedLosesTheConnectionsItHas(t *testing.T) {
	ca := mustCA(t, "c1")
	g, err := NewGate(ca.Cert, mustIssue(t, ca, "member").TLS)
	if err != nil {
		t.Fatal(err)
	}
	admit := func(name, admission string) net.Conn {
		pair, err := Issue(ca, Subject{Name: name, Admission: admission})
		if err != nil {
			t.Fatal(err)
		}
		client, err := ClientConfig(ca.Cert, pair)
		if err != nil {
			t.Fatal(err)
		}
		c, s := net.Pipe()
		t.Cleanup(func() { c.Close(); s.Close() })
		server, admitted := tls.Server(s, g.Config()), make(chan error, 1)
		go func() {
			err := server.Handshake()
			if err == nil {
				err = g.Admit(s, server.ConnectionState().PeerCertificates[0])
			}
			admitted <- err
		}()
		if err := tls.Client(c, client).Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-admitted; err != nil {
			t.Fatal(err)
		}
		return c
	}
	gone, back, other := admit("gone", "a1"), admit("back", "a2"), admit("other", "a3")
	g.Refuse(map[string]string{"gone": "", "back": "a2"})
	if _, err := gone.Write([]byte{0}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the connection of the refused host is still open: %v", err)
	}
	for _, conn := range []net.Conn{back, other} {
		g.mu.Lock()
		open := len(g.inside)
		g.mu.Unlock()
		if open != 3 { // whoever serves a connection forgets it
			t.Errorf("%d connections noted, want 3", open)
		}
		if err := conn.Close(); err != nil {
			t.Errorf("the connection of a good host was closed: %v", err)
		}
	}
}
