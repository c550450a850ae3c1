package etcd_test

import (
	"os/exec"
	"testing"
	"time"

	"berth/runtime/store"
	"berth/runtime/store/embedded/embeddedtest"
	"berth/runtime/store/etcd"
	"berth/runtime/store/storetest"
)

// reachable makes clients that give up as fast as a round's faults come and go.
func reachable(cfg etcd.Config) func(testing.TB) store.Store {
	cfg.Timeout, cfg.Connect = 3*time.Second, embeddedtest.StartLimit
	return func(t testing.TB) store.Store {
		t.Helper()
		st, err := etcd.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
}

func TestEmbeddedStoreOfThreeMembersIsLinearizableUnderFaults(t *testing.T) {
	t.Parallel()
	c := embeddedtest.StartApart(t, 3)
	storetest.Linearizable(t, storetest.Ordeal{
		Open:   reachable(etcd.Config{Endpoints: c.Endpoints(t), TLS: c.TLS}),
		Faults: c.Faults(),
	})
}

func TestDebiansEtcdIsLinearizableUnderFaults(t *testing.T) {
	t.Parallel()
	path, err := debiansEtcd()
	if err != nil {
		t.Fatalf("this test needs Debian's etcd: %v", err)
	}
	addrs, dir := embeddedtest.FreeAddrs(t, 2), t.TempDir()
	server := storetest.Process{Name: "etcd", Command: func() *exec.Cmd { return exec.Command(path, externalArgs(dir, addrs[0], addrs[1])...) }}
	if err := server.Start(t); err != nil {
		t.Fatal(err)
	}
	way := storetest.NewProxy(t, addrs[0])
	storetest.Linearizable(t, storetest.Ordeal{
		Open:   reachable(etcd.Config{Endpoints: []string{way.Addr()}}),
		Faults: append(server.Faults(), way.Faults("etcd")...),
	})
}
