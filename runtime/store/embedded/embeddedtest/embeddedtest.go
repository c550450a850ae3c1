// Package embeddedtest starts embedded stores for tests: real members with mutual TLS on loopback addresses.
package embeddedtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/runtime/identity"
	"berth/runtime/store"
	"berth/runtime/store/embedded"
	"berth/runtime/store/etcd"
)

// StartLimit is how long members may take to start on a busy machine.
const StartLimit = 60 * time.Second

// Cluster is an embedded store of one or more members.
type Cluster struct {
	// TLS is a client's configuration.
	TLS *tls.Config
	// Configs are the members'.
	Configs []embedded.Config

	mu      sync.Mutex
	members []*embedded.Server // nil: stopped
}

// Start starts n members, each with an empty data folder, and stops them when the test ends.
func Start(t testing.TB, n int) *Cluster {
	t.Helper()
	c := New(t, n)
	ctx, cancel := context.WithTimeout(context.Background(), StartLimit)
	defer cancel()
	var g errgroup.Group
	for i := range n {
		g.Go(func() error { return c.StartMember(ctx, i) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// New makes certificates and configurations for n members and starts none.
func New(t testing.TB, n int) *Cluster {
	t.Helper()
	ca, err := identity.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	issue := func(name string) identity.KeyPair {
		// Not the loopback's address: members must be believed by their store name, wherever they are.
		pair, err := identity.Issue(ca, identity.Subject{Name: name, IPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	caFile := write("ca.pem", ca.Cert)
	c := &Cluster{members: make([]*embedded.Server, n)}
	if c.TLS, err = identity.ClientConfig(ca.Cert, issue("client")); err != nil {
		t.Fatal(err)
	}
	addrs := FreeAddrs(t, 2*n)
	initial := map[string]string{}
	for i := range n {
		initial[fmt.Sprintf("m%d", i)] = "https://" + addrs[2*i]
	}
	for i := range n {
		name := fmt.Sprintf("m%d", i)
		pair := issue(name)
		c.Configs = append(c.Configs, embedded.Config{
			Name:      name,
			DataDir:   filepath.Join(dir, name),
			PeerURL:   "https://" + addrs[2*i],
			ClientURL: "https://" + addrs[2*i+1],
			Initial:   initial,
			Token:     "test",
			CAFile:    caFile,
			CertFile:  write(name+".pem", pair.Cert),
			KeyFile:   write(name+".key", pair.Key),
		})
	}
	t.Cleanup(func() {
		// All at once: the last of three to stop would look for the others first.
		var g errgroup.Group
		for i := range n {
			g.Go(func() error { c.StopMember(i); return nil })
		}
		_ = g.Wait()
	})
	return c
}

// StartMember starts member i, again if it was stopped. Several may be called at the same time, and must be for the
// first start of several members.
func (c *Cluster) StartMember(ctx context.Context, i int) error {
	s, err := embedded.Start(ctx, c.Configs[i])
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members[i] = s
	return nil
}

// StopMember stops member i if it runs.
func (c *Cluster) StopMember(i int) {
	c.mu.Lock()
	s := c.members[i]
	c.members[i] = nil
	c.mu.Unlock()
	if s != nil {
		s.Stop()
	}
}

// Endpoints are the members' client addresses, host:port.
func (c *Cluster) Endpoints(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, cfg := range c.Configs {
		u, err := url.Parse(cfg.ClientURL)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, u.Host)
	}
	return out
}

// Open makes a client of all members. Its user closes it.
func (c *Cluster) Open(t testing.TB) store.Store {
	t.Helper()
	st, err := etcd.Open(context.Background(), etcd.Config{Endpoints: c.Endpoints(t), TLS: c.TLS, Timeout: StartLimit})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// FreeAddrs returns n loopback addresses, host:port, that nobody listens on.
func FreeAddrs(t testing.TB, n int) []string {
	t.Helper()
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // only when all are chosen, or one might come twice
		out = append(out, l.Addr().String())
	}
	return out
}
