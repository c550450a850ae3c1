package zookeeper_test

import (
	"context"
	"slices"
	"testing"

	"berth/runtime/store"
	"berth/runtime/store/zookeeper"
	"berth/runtime/store/zookeeper/zookeepertest"
)

// reported asks an ensemble's servers how they are until that is as wanted.
func reported(t *testing.T, st store.Reporter, wanted func([]store.Server) bool) {
	t.Helper()
	ctx := bound(t)
	for {
		servers, err := st.Report(ctx)
		if err != nil {
			t.Fatalf("the servers last said %+v: %v", servers, err)
		}
		if wanted(servers) {
			return
		}
	}
}

func tells(t *testing.T, e *zookeepertest.Ensemble) {
	st := open(t, zookeeper.Config{Servers: e.Servers(), Path: "/told"})
	defer st.Close()
	roles := func(servers []store.Server) map[string]int {
		count := map[string]int{}
		for i, s := range servers {
			if s.Endpoint != e.Servers()[i] || s.Leader != (s.Role == "leader") || (s.Version == "") != (s.Problem != "") {
				t.Errorf("a server tells %+v", s)
			}
			count[s.Role]++
		}
		return count
	}
	leader := -1
	reported(t, st, func(servers []store.Server) bool {
		leader = slices.IndexFunc(servers, func(s store.Server) bool { return s.Leader })
		count := roles(servers)
		return count["leader"] == 1 && count["follower"] == 2
	})
	start := e.Kill(context.Background(), t, leader)
	reported(t, st, func(servers []store.Server) bool {
		count := roles(servers)
		return servers[leader].Problem != "" && count["leader"] == 1 && count["follower"] == 1
	})
	start()
	reported(t, st, func(servers []store.Server) bool { return roles(servers)["follower"] == 2 })
}
