package zookeeper_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/store"
	"berth/runtime/store/storetest"
	"berth/runtime/store/zookeeper"
	"berth/runtime/store/zookeeper/zookeepertest"
)

// settled are the faults of an ensemble's servers, each inflicted when all of them serve again or together with another
// one. ZooKeeper before 3.9.2 may itself lose what it has committed when the others end while a server is rejoining
// (ZOOKEEPER-4646, 4785), and Debian 12 has 3.8.0.
func settled(e *zookeepertest.Ensemble) []storetest.Fault {
	faults, underWay := e.Faults(), 0 // they come one after the other
	for i, f := range faults {
		faults[i].Inflict = func(ctx context.Context) error {
			if underWay == 0 {
				if err := e.Settled(ctx); err != nil {
					return err
				}
			}
			if err := f.Inflict(ctx); err != nil {
				return err
			}
			underWay++
			return nil
		}
		faults[i].Heal = func(ctx context.Context) error {
			underWay--
			return f.Heal(ctx)
		}
	}
	return faults
}

// hurt is an ensemble behind a way of its own to each server, and what may befall both.
func hurt(t *testing.T, e *zookeepertest.Ensemble) storetest.Ordeal {
	cfg := zookeeper.Config{Path: "/berth"}
	cfg.Timeout, cfg.Connect = 3*time.Second, lab.Patience
	faults := settled(e)
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
