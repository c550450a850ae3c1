package identity

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
	pair, err := Issue(ca, Subject{Name: name, IPs: ips})
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// serverConfig is how a member listens that refuses these hosts.
func serverConfig(t *testing.T, ca, own KeyPair, refused map[string]string) *tls.Config {
	t.Helper()
	g, err := NewGate(ca.Cert, own.TLS)
	if err != nil {
		t.Fatal(err)
	}
	g.Refuse(refused)
	return g.Config()
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
	server := serverConfig(t, ca, member, nil)
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
	client := func(ca, signer KeyPair, name string) *tls.Config {
		c, err := ClientConfig(ca.Cert, mustIssue(t, signer, name))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	server := func(ca, signer KeyPair) *tls.Config {
		return serverConfig(t, ca, mustIssue(t, signer, "member"), map[string]string{"gone": "", "back": NewAdmission()})
	}
	bare := client(ours, ours, "x")
	bare.Certificates = nil
	renamed := client(ours, ours, "x")
	renamed.ServerName = "another-host"
	for name, c := range map[string]struct{ client, server *tls.Config }{
		"client of another cluster":     {client(ours, theirs, "x"), server(ours, ours)},
		"server of another cluster":     {client(ours, ours, "x"), server(ours, theirs)},
		"client without a certificate":  {bare, server(ours, ours)},
		"client that asks another name": {renamed, server(ours, ours)},
		"host that was taken out":       {client(ours, ours, "gone"), server(ours, ours)},
		"host's certificate of before":  {client(ours, ours, "back"), server(ours, ours)},
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
	pair, err := Issue(ca, Subject{Name: "web-back1", Admission: "a1", Names: []string{"web-back1.lan", "web-back1"},
		IPs: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fe80::1%eth0")}})
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
	if days := leaf.NotAfter.Sub(leaf.NotBefore).Hours() / 24; days < 90 || days > 91 {
		t.Errorf("good for %.1f days", days)
	}
	if s := SubjectOf(leaf); s.Name != "web-back1" || s.Admission != "a1" || !slices.Equal(s.Names, []string{"web-back1.lan"}) || len(s.IPs) != 2 {
		t.Errorf("the subject reads back as %+v", s)
	}
}

func TestOnlyAnAuthorityIssues(t *testing.T) {
	ca := mustCA(t, "c1")
	if _, err := Issue(mustIssue(t, ca, "web-back1"), Subject{Name: "x"}); err == nil {
		t.Error("a host's certificate issued another")
	}
	if _, err := Issue(KeyPair{Cert: ca.Cert, Key: mustCA(t, "c2").Key}, Subject{Name: "x"}); err == nil {
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
