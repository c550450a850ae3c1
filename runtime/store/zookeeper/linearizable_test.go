package zookeeper_test

import (
	"slices"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/store"
	"berth/runtime/store/storetest"
	"berth/runtime/store/zookeeper"
	"berth/runtime/store/zookeeper/zookeepertest"
)

// hurt is an ensemble behind a way of its own to each server, and what may befall both.
func hurt(t *testing.T, e *zookeepertest.Ensemble) storetest.Ordeal {
	cfg := zookeeper.Config{Path: "/berth"}
	cfg.Timeout, cfg.Connect = 3*time.Second, lab.Patience
	faults := e.Faults()
	for i, addr := range e.Servers() {
		way := storetest.NewProxy(t, addr)
		cfg.Servers = append(cfg.Servers, way.Addr())
		faults = slices.Concat(faults, way.Faults(faults[2*i].On))
	}
	return storetest.Ordeal{Faults: faults, Open: func(t testing.TB) store.Store {
		t.Helper()
		st, err := zookeeper.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}}
}
