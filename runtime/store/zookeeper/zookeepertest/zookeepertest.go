// Package zookeepertest starts real ZooKeeper servers for tests, on loopback addresses.
package zookeepertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/store/storetest"
	"berth/runtime/store/zookeeper"
)

// tick is ZooKeeper's unit of time, ms; sessions last two of it at least.
const tick = 500

// Ensemble is one server, or several that agree with each other.
type Ensemble struct {
	servers []*server
}

type server struct {
	storetest.Process
	addr string // for clients
}

// Start starts n servers with empty data folders, waits until they serve, and kills them when the test ends.
func Start(t testing.TB, n int) *Ensemble {
	t.Helper()
	e := New(t, n)
	for i := range e.servers {
		if err := e.servers[i].Start(t); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lab.Patience)
	defer cancel()
	for i := range e.servers {
		e.Wait(ctx, t, i)
	}
	return e
}

// New configures n servers and starts none.
func New(t testing.TB, n int) *Ensemble {
	t.Helper()
	if err := lab.InstallZooKeeper(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
	addrs := freeAddrs(t, 3*n)
	e := &Ensemble{}
	peers := ""
	for i := range n {
		_, peer, _ := net.SplitHostPort(addrs[3*i+1])
		_, election, _ := net.SplitHostPort(addrs[3*i+2])
		peers += fmt.Sprintf("server.%d=127.0.0.1:%s:%s\n", i+1, peer, election)
	}
	if n == 1 {
		peers = ""
	}
	for i := range n {
		dir := t.TempDir()
		_, port, _ := net.SplitHostPort(addrs[3*i])
		config := fmt.Sprintf("tickTime=%d\ninitLimit=20\nsyncLimit=6\ndataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\n"+
			"maxClientCnxns=0\nmaxSessionTimeout=60000\n%s", tick, dir, port, peers)
		for name, content := range map[string]string{"zoo.cfg": config, "myid": fmt.Sprint(i + 1)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args := lab.ZooKeeper(filepath.Join(dir, "zoo.cfg"))
		e.servers = append(e.servers, &server{addr: addrs[3*i], Process: storetest.Process{
			Name: fmt.Sprintf("server %d", i+1), Command: func() *exec.Cmd { return exec.Command(args[0], args[1:]...) },
		}})
	}
	return e
}

// Servers are the client addresses, host:port.
func (e *Ensemble) Servers() []string {
	var out []string
	for _, s := range e.servers {
		out = append(out, s.addr)
	}
	return out
}

// Kill kills server i (-9) and returns what starts it again, with its data.
func (e *Ensemble) Kill(ctx context.Context, t testing.TB, i int) (start func()) {
	t.Helper()
	kill := e.servers[i].Faults()[0]
	do := func(f func(context.Context) error) {
		t.Helper()
		if err := f(ctx); err != nil {
			t.Fatal(err)
		}
	}
	do(kill.Inflict)
	return func() { t.Helper(); do(kill.Heal) }
}

// Faults are all that the servers can suffer without a way between them and the clients.
func (e *Ensemble) Faults() []storetest.Fault {
	var out []storetest.Fault
	for _, s := range e.servers {
		out = append(out, s.Faults()...)
	}
	return out
}

// Settled waits until every server serves as a member of the ensemble; its error is ctx's.
func (e *Ensemble) Settled(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, s := range e.servers {
		for !s.serves(ctx) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// serves asks the server what it is: one that is not in touch with most of the others says that it does not serve.
func (s *server) serves(ctx context.Context) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write([]byte("srvr")); err != nil {
		return false
	}
	answer, err := io.ReadAll(conn)
	return err == nil && bytes.Contains(answer, []byte("\nMode: "))
}

// Wait waits until server i serves.
func (e *Ensemble) Wait(ctx context.Context, t testing.TB, i int) {
	t.Helper()
	cfg := zookeeper.Config{Servers: []string{e.servers[i].addr}, Path: "/zookeepertest"}
	cfg.Timeout = lab.Patience
	st, err := zookeeper.Open(ctx, cfg)
	if err != nil {
		t.Fatalf("ZooKeeper server %d does not serve: %v", i, err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// freeAddrs returns n loopback addresses, host:port, that nobody listens on.
func freeAddrs(t testing.TB, n int) []string {
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
