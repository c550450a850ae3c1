package consul_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/store"
	"berth/runtime/store/consul"
	"berth/runtime/store/consul/consultest"
	"berth/runtime/store/journal"
)

// checkToken checks that a Consul is opened with its token and not without.
func checkToken(t *testing.T, addr, token string) {
	t.Helper()
	cfg := consul.Config{Servers: []string{addr}, Prefix: "berth", Options: journal.Options{Connect: lab.Patience}}
	for _, wrong := range []string{"", "99999999-1111-2222-3333-444444444444"} {
		cfg.Token = wrong
		st, err := consul.Open(t.Context(), cfg)
		if err == nil {
			_ = st.Close()
			t.Fatal("opened without the token")
		}
		if !strings.Contains(err.Error(), "its ACLs do not let us at keys under berth/ or at sessions; give a token that they let with token_file= in hosts.yml") ||
			strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q", err)
		}
	}
	cfg.Token = token
	st := open(t, cfg)
	defer st.Close()
	lease, err := st.Lease(bound(t), 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(bound(t), store.Txn{Puts: []store.Put{{Key: "k", Lease: lease.ID}}}); err != nil {
		t.Error(err)
	}
}

func TestAStoreOutOfReachIsNamedInOneSentence(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := closed.Addr().String()
	closed.Close()
	leaderless := consultest.NewFake(t)
	leaderless.Fail(http.StatusInternalServerError, "No cluster leader")
	for name, c := range map[string]struct{ addr, want string }{
		"nobody listens":   {addr, "connection refused"},
		"it has no leader": {leaderless.Addr(), "it answered 500 Internal Server Error: No cluster leader"},
	} {
		st, err := consul.Open(t.Context(), consul.Config{Servers: []string{c.addr}, Prefix: "p", Options: journal.Options{Connect: 300 * time.Millisecond}})
		if err == nil {
			_ = st.Close()
			t.Fatalf("%s: it was opened", name)
		}
		if msg := err.Error(); !errors.Is(err, store.ErrUnreachable) || strings.Contains(msg, "\n") ||
			msg != "store consul://"+c.addr+"/p cannot be reached: "+c.want+"; start it or change store: in hosts.yml" {
			t.Errorf("%s: error %q, want %q", name, msg, c.want)
		}
	}
}

func TestAServerThatFailsIsLeftForAnother(t *testing.T) {
	f := consultest.NewFake(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := closed.Addr().String()
	closed.Close()
	st := open(t, consul.Config{Servers: []string{addr, f.Addr()}})
	defer st.Close()
	for range 3 {
		if _, err := st.Commit(bound(t), store.Txn{Puts: []store.Put{{Key: "k"}}}); err != nil {
			t.Fatal(err)
		}
	}
}
