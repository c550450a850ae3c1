package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func mustCA(t *testing.T, id string) KeyPair {
	t.Helper()
	ca, err := NewCA(id)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func mustIssue(t *testing.T, ca KeyPair, name string, ips ...netip.Addr) KeyPair {
	t.Helper()
	pair, err := Issue(ca, name, ips, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// handshake connects client and server over a pipe and returns both sides' errors. A byte goes from server to client,
// because in TLS 1.3 a client learns only by reading that its certificate was refused.
func handshake(t *testing.T, client, server *tls.Config) (clientErr, serverErr error) {
	t.Helper()
	c, s := net.Pipe()
	deadline := time.Now().Add(10 * time.Second)
	_ = c.SetDeadline(deadline)
	_ = s.SetDeadline(deadline)
	done := make(chan error)
	go func() {
		srv := tls.Server(s, server)
		err := srv.Handshake()
		if err == nil {
			_, err = srv.Write([]byte{1})
		}
		_ = s.Close()
		done <- err
	}()
	cl := tls.Client(c, client)
	clientErr = cl.Handshake()
	if clientErr == nil {
		_, clientErr = cl.Read(make([]byte, 1))
	}
	_ = c.Close()
	return clientErr, <-done
}

func TestMembersOfAClusterTrustEachOtherAtAnyAddress(t *testing.T) {
	ca := mustCA(t, "c1")
	member := mustIssue(t, ca, "web-back1", netip.MustParseAddr("10.0.0.2"))
	cli := mustIssue(t, ca, "berth-cli")
	server, err := ServerConfig(ca.Cert, member)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ClientConfig(ca.Cert, cli)
	if err != nil {
		t.Fatal(err)
	}
	// A pipe has no address at all; verification rests on StoreServerName alone.
	if cerr, serr := handshake(t, client, server); cerr != nil || serr != nil {
		t.Fatalf("handshake: client: %v, server: %v", cerr, serr)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	ours, theirs := mustCA(t, "ours"), mustCA(t, "theirs")
	config := func(f func([]byte, KeyPair) (*tls.Config, error), ca, signer KeyPair) *tls.Config {
		c, err := f(ca.Cert, mustIssue(t, signer, "x"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	bare := config(ClientConfig, ours, ours)
	bare.Certificates = nil
	renamed := config(ClientConfig, ours, ours)
	renamed.ServerName = "another-host"
	for name, c := range map[string]struct{ client, server *tls.Config }{
		"client of another cluster":     {config(ClientConfig, ours, theirs), config(ServerConfig, ours, ours)},
		"server of another cluster":     {config(ClientConfig, ours, ours), config(ServerConfig, ours, theirs)},
		"client without a certificate":  {bare, config(ServerConfig, ours, ours)},
		"client that asks another name": {renamed, config(ServerConfig, ours, ours)},
	} {
		t.Run(name, func(t *testing.T) {
			if cerr, _ := handshake(t, c.client, c.server); cerr == nil {
				t.Fatal("the handshake succeeded")
			}
		})
	}
}

func TestIssuedCertificateNamesItsHost(t *testing.T) {
	ca := mustCA(t, "c1")
	pair, err := Issue(ca, "web-back1", []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fe80::1%eth0")}, []string{"web-back1.lan", "web-back1"})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := cert.Leaf
	if leaf.Subject.CommonName != "web-back1" {
		t.Errorf("common name %q", leaf.Subject.CommonName)
	}
	if want := []string{StoreServerName, "web-back1", "web-back1.lan"}; !slices.Equal(leaf.DNSNames, want) {
		t.Errorf("names %q, want %q", leaf.DNSNames, want)
	}
	for _, host := range []string{"10.0.0.2", "fe80::1", "web-back1.lan", StoreServerName} {
		if err := leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if years := leaf.NotAfter.Sub(leaf.NotBefore).Hours() / 24 / 365; years < 4.9 || years > 5.1 {
		t.Errorf("good for %.1f years", years)
	}
}

func TestOnlyAnAuthorityIssues(t *testing.T) {
	ca := mustCA(t, "c1")
	if _, err := Issue(mustIssue(t, ca, "web-back1"), "x", nil, nil); err == nil {
		t.Error("a host's certificate issued another")
	}
	if _, err := Issue(KeyPair{Cert: ca.Cert, Key: mustCA(t, "c2").Key}, "x", nil, nil); err == nil {
		t.Error("an authority issued with another one's key")
	}
	block, _ := pem.Decode(ca.Cert)
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !root.IsCA || !root.MaxPathLenZero {
		t.Error("the authority can sign other authorities")
	}
}
