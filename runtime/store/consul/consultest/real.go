package consultest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"berth/fixtures/lab/lab"
	"berth/runtime/store/storetest"
)

// ProgramEnv names a consul program for the tests; without it one on the PATH is used. Debian 12 has none, but the Go
// module proxy has its sources: fixtures/consul builds it.
const ProgramEnv = "BERTH_TEST_CONSUL"

// Program finds a Consul; "" when the machine has none.
func Program() string {
	if p := os.Getenv(ProgramEnv); p != "" {
		return p
	}
	p, err := exec.LookPath("consul")
	if err != nil {
		return ""
	}
	return p
}

// Server is a real Consul server.
type Server struct {
	storetest.Process
	addr string
}

// StartReal starts a Consul server with an empty data folder on loopback ports, waits until it has elected itself, and
// kills it when the test ends. Where the machine has no Consul it skips the test, and says so.
func StartReal(t testing.TB, settings ...string) *Server {
	t.Helper()
	program := Program()
	if program == "" {
		t.Skipf("SKIPPED: there is no Consul on this machine; build one with \"go build -C fixtures/consul -o $HOME/consul github.com/hashicorp/consul\" and set %s", ProgramEnv)
	}
	addrs := freeAddrs(t, 4)
	port := func(i int) string {
		_, p, _ := net.SplitHostPort(addrs[i])
		return p
	}
	config := Config(t, "127.0.0.1", [4]string{port(0), port(1), port(2), port(3)}, settings...)
	s := &Server{addr: addrs[0], Process: storetest.Process{
		Name: "consul", Command: func() *exec.Cmd { return exec.Command(program, "agent", "-config-file", config) },
	}}
	if err := s.Start(t); err != nil {
		t.Fatal(err)
	}
	s.Wait(t)
	return s
}

// Config writes the configuration of a server of its own at an address, with an empty data folder, and returns its path. ports
// are those of HTTP, of the servers among each other, and of gossip in the LAN and beyond.
func Config(t testing.TB, host string, ports [4]string, settings ...string) string {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "consul.hcl")
	content := fmt.Sprintf(`
server = true
bootstrap_expect = 1
node_name = "test"
bind_addr = %q
client_addr = %q
data_dir = %q
disable_update_check = true
log_level = "warn"
performance { raft_multiplier = 1 }
connect { enabled = false }
ports { http = %s, server = %s, serf_lan = %s, serf_wan = %s, dns = -1, grpc = -1, grpc_tls = -1 }
%s`, host, host, filepath.Join(dir, "data"), ports[0], ports[1], ports[2], ports[3], strings.Join(settings, "\n"))
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

// Addr is where it serves HTTP, host:port.
func (s *Server) Addr() string { return s.addr }

// Wait waits until the server leads.
func (s *Server) Wait(t testing.TB) {
	t.Helper()
	Leads(t, s.addr)
}

// Leads waits until the server that serves HTTP at host:port leads.
func Leads(t testing.TB, addr string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if !lab.Happens(func() bool {
		resp, err := client.Get("http://" + addr + "/v1/kv/started?consistent")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusForbidden
	}) {
		t.Fatal("Consul does not start")
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
