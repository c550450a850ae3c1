package journal_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"berth/fixtures/lab/lab"
	"berth/runtime/store"
	"berth/runtime/store/consul"
	"berth/runtime/store/consul/consultest"
	"berth/runtime/store/embedded/embeddedtest"
	"berth/runtime/store/journal"
	"berth/runtime/store/zookeeper"
	"berth/runtime/store/zookeeper/zookeepertest"
)

// stores are one server of each kind on this machine; etcd is what the others are measured by.
func stores(b *testing.B) map[string]func() store.Store {
	long := journal.Options{Timeout: lab.Patience}
	opened := func(st store.Store, err error) store.Store {
		if err != nil {
			b.Fatal(err)
		}
		return st
	}
	etcd := embeddedtest.Start(b, 1)
	zk := zookeeper.Config{Servers: zookeepertest.Start(b, 1).Servers(), Path: "/bench", Options: long}
	out := map[string]func() store.Store{
		"etcd":      func() store.Store { return etcd.Open(b) },
		"zookeeper": func() store.Store { return opened(zookeeper.Open(b.Context(), zk)) },
	}
	if consultest.Program() != "" {
		cfg := consul.Config{Servers: []string{consultest.StartReal(b).Addr()}, Prefix: "bench", Options: long}
		out["consul"] = func() store.Store { return opened(consul.Open(b.Context(), cfg)) }
	}
	return out
}

// A commit and its event at another client, one after the other; reading a tree of 5,000 keys by a client that has just
// opened the store, as each command does; and commits of 50 clients at once, as when agents come back together.
func BenchmarkStores(b *testing.B) {
	ctx := context.Background()
	for name, open := range stores(b) {
		st, other := open(), open()
		b.Run("commit+event/"+name, func(b *testing.B) {
			snap, err := st.Get(ctx, "none")
			if err != nil {
				b.Fatal(err)
			}
			watch := other.Watch(b.Context(), "k", snap.Revision)
			for i := 0; b.Loop(); i++ {
				if _, err := st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: "k", Value: fmt.Append(nil, i)}}}); err != nil {
					b.Fatal(err)
				}
				if e := <-watch; e.Err != nil {
					b.Fatal(e.Err)
				}
			}
		})
		for i := 0; i < 5000; i += 100 {
			var t store.Txn
			for j := i; j < i+100; j++ {
				t.Puts = append(t.Puts, store.Put{Key: fmt.Sprintf("tree/%05d", j), Value: make([]byte, 300)})
			}
			if _, err := st.Commit(ctx, t); err != nil {
				b.Fatal(err)
			}
		}
		b.Run("open+read5000/"+name, func(b *testing.B) {
			for b.Loop() {
				fresh := open()
				if snap, err := fresh.Get(ctx, "tree/"); err != nil || len(snap.Pairs) != 5000 {
					b.Fatal(err, len(snap.Pairs))
				}
				_ = fresh.Close()
			}
		})
		b.Run("50clients/"+name, func(b *testing.B) {
			var clients []store.Store
			for range 50 {
				clients = append(clients, open())
			}
			b.ResetTimer()
			for b.Loop() {
				var g errgroup.Group
				for i, c := range clients {
					g.Go(func() error {
						_, err := c.Commit(ctx, store.Txn{Puts: []store.Put{{Key: fmt.Sprintf("state/%d", i)}}})
						return err
					})
				}
				if err := g.Wait(); err != nil {
					b.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			for _, c := range clients {
				wg.Go(func() { _ = c.Close() })
			}
			wg.Wait()
		})
		_ = st.Close()
		_ = other.Close()
	}
}
