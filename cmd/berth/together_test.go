package main_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"berth/fixtures/lab/lab"
)

func TestUsersWhoMakeTheSameClusterAtOnceShareIt(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.Images("busybox"))
	var users []*world
	for i := range 4 {
		w := newWorld(t, l, base+"services: {web: {<<: *base, deploy: {replicas: 2}}}")
		w.project += strconv.Itoa(i)
		w.env = append(w.env, "COMPOSE_PROJECT_NAME="+w.project, "XDG_CACHE_HOME="+filepath.Join(w.dir, "cache")) // as another user
		users = append(users, w)
	}
	results := make([]result, len(users))
	var all sync.WaitGroup
	for i, w := range users {
		all.Go(func() { results[i] = w.berth("up", "-d") })
	}
	all.Wait()
	for i, w := range users {
		if results[i].code != 0 {
			t.Error(results[i])
		} else if got := len(w.ps()); got != 2 {
			t.Errorf("user %d has %d containers, want 2", i, got)
		}
	}
	clusters := map[string]bool{}
	for host, out := range users[0].onHosts("docker", "ps", "-a", "--filter", "label=berth.agent", "--format", `{{.Names}} {{.Label "berth.cluster"}}`) {
		if strings.Count(out, "berth-agent") != 1 {
			t.Errorf("%s has other than one agent: %s", host, out)
		}
		clusters[strings.TrimSpace(out)] = true
	}
	if len(clusters) != 1 {
		t.Errorf("the agents belong to different clusters: %v", clusters)
	}
	for host, out := range users[0].onHosts("docker", "ps", "-aq", "--filter", "label=berth.mark") {
		if out != "" {
			t.Errorf("%s: a mark was left: %s", host, out)
		}
	}
	for _, w := range users {
		w.must("down", "-t", "0")
	}
}
