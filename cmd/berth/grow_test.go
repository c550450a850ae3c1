package main_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"berth/fixtures/lab/lab"
)

const growing = base + `
services:
  web: {<<: *base, networks: [front], depends_on: [db], deploy: {replicas: $REPLICAS}}
  db: {<<: *base, networks: [front, default], volumes: ["data:/data"]}
networks: {front: {ipam: {config: [{subnet: 10.1.4.0/24}]}}}
volumes: {data: }
`

// What one host has run, with docker compose or with berth, goes on over a cluster once there is an inventory.
func TestAProjectGrowsFromOneHostOntoACluster(t *testing.T) {
	t.Parallel()
	peer := compose(t)
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	for name, first := range map[string]string{"berth": binary, "docker compose": peer} {
		t.Run(strings.ReplaceAll(name, " ", ""), func(t *testing.T) {
			w := newWorld(t, l, growing)
			alone := *w
			alone.env = append(slices.DeleteFunc(slices.Clone(w.env), func(v string) bool { return strings.HasPrefix(v, "BERTH_INVENTORY=") }),
				"DOCKER_HOST=unix://"+l.Hosts()[0].Socket(), "REPLICAS=1")
			up := exec.CommandContext(t.Context(), first, "up", "-d")
			up.Dir, up.Env = alone.dir, alone.env
			if out, err := up.CombinedOutput(); err != nil {
				t.Fatal(err, string(out))
			}
			if out, err := l.Hosts()[0].Run(t.Context(), "docker", "exec", w.container("db", 1), "sh", "-c", "echo precious > /data/it"); err != nil {
				t.Fatal(err, out)
			}
			w.env = append(w.env, "REPLICAS=3")
			w.must("up", "-d")
			if got := w.hostsOf("web"); len(got) != 3 || len(slices.Compact(got)) != 3 {
				t.Errorf("web runs on %v, want a task on each host", got)
			}
			if got := w.hostsOf("db"); len(got) != 1 || got[0] != "host1" {
				t.Errorf("db runs on %v, its data is on host1", got)
			}
			if out, err := w.exec(w.container("db", 1), "cat", "/data/it"); err != nil || strings.TrimSpace(out) != "precious" {
				t.Errorf("the data is %q, %v", out, err)
			}
			for n := range 3 {
				if got := w.resolve(w.container("web", n+1), "db"); len(got) != 1 || !strings.HasPrefix(got[0], "10.1.4.") {
					t.Errorf("web.%d resolves db to %v", n+1, got)
				}
			}
			if r := w.must("up", "-d"); !strings.Contains(r.err, "nothing to do") {
				t.Error(r)
			}
			w.must("down", "-v", "-t", "0")
			for host, out := range w.onHosts("docker", "network", "ls", "-q", "--filter", "label=com.docker.compose.project="+w.project) {
				if out != "" {
					t.Errorf("%s has networks left: %s", host, out)
				}
			}
		})
	}
}
