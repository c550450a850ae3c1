package consul_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/store"
	"berth/runtime/store/consul"
	"berth/runtime/store/consul/consultest"
	"berth/runtime/store/storetest"
)

// hurt is a Consul behind a way of its own, and what may befall both.
func hurt(t *testing.T, addr string, faults ...storetest.Fault) storetest.Ordeal {
	way := storetest.NewProxy(t, addr)
	cfg := consul.Config{Servers: []string{way.Addr()}, Prefix: "berth"}
	cfg.Timeout, cfg.Connect = 3*time.Second, lab.Patience
	return storetest.Ordeal{Faults: append(faults, way.Faults("consul")...), Open: func(t testing.TB) store.Store {
		t.Helper()
		st, err := consul.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}}
}

// The fake also cuts one connection in twenty, before a request takes effect or after.
func TestTheFakeIsLinearizableUnderFaults(t *testing.T) {
	t.Parallel()
	f := consultest.NewFake(t)
	f.MinSessionTTL = time.Second
	var requests atomic.Int64
	f.Break(func(r *http.Request) (before, after bool) {
		if r.Method != http.MethodPut || strings.HasPrefix(r.URL.Path, "/v1/session/") { // not what waits
			return false, false
		}
		n := requests.Add(1)
		return n%40 == 0, n%40 == 20
	})
	storetest.Linearizable(t, hurt(t, f.Addr()))
}

func TestConsulIsLinearizableUnderFaults(t *testing.T) {
	t.Parallel()
	s := consultest.StartReal(t)
	storetest.Linearizable(t, hurt(t, s.Addr(), s.Faults()...))
}
