package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/fixtures/lab/lab"
)

const adoptCompose = `
services:
  web:
    image: berth-lab/web:1
    depends_on: {db: {condition: service_healthy}}
    environment: {APP: web, MODE: "${MODE:-plain}"}
    ports: ["8080:8000", "127.0.0.1:8081:8000/tcp"]
    restart: unless-stopped
    labels: {tier: front}
    networks: {front: {aliases: [site]}, back: }
    tmpfs: [/scratch]
    ulimits: {nofile: 1024}
    stop_grace_period: 1s
    deploy: {replicas: 1, resources: {limits: {cpus: "0.5", memory: 64m}, reservations: {memory: 16m}}}
  db:
    image: berth-lab/busybox:1
    command: ["sh", "-c", "echo up > /data/state; exec sleep 1000"]
    stop_grace_period: 0s
    user: "0:0"
    init: true
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    extra_hosts: ["other.lan:10.9.8.7"]
    sysctls: {net.core.somaxconn: "512"}
    shm_size: 16m
    logging: {driver: json-file, options: {max-size: 1m}}
    volumes: ["data:/data", "./conf:/conf:ro", "/anonymous"]
    healthcheck: {test: ["CMD", "test", "-e", "/data/state"], interval: 200ms, retries: 20}
    networks: [back]
    working_dir: /data
    hostname: database
networks:
  front:
  back: {internal: true, labels: {kind: private}}
volumes:
  data: {labels: {keep: "yes"}}
`

// compose is the docker compose that fixtures/bench pins.
func compose(t *testing.T) string {
	t.Helper()
	path, err := buildPeer()
	if err != nil {
		t.Fatalf("build docker compose: %v", err)
	}
	return path
}

// buildPeer builds it, once a machine.
var buildPeer = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "berth-tests", "docker-compose")
	cmd := exec.Command("go", "run", ".", "peer", "-o", path)
	cmd.Dir = filepath.Join("..", "..", "fixtures", "bench")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func TestDockerComposesProjectIsAdoptedAndItStillUnderstandsBerths(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(1), lab.Images("web", "busybox"))
	w := newWorld(t, nil, adoptCompose)
	w.lab = l
	w.write("conf/settings", "x=1\n")
	w.env = append(w.env, "DOCKER_HOST=unix://"+l.Hosts()[0].Socket())
	t.Cleanup(func() { w.berth("down", "-v", "-t", "0") })
	peer := compose(t)
	docker := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), commandTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, peer, args...)
		cmd.Dir, cmd.Env = w.dir, w.env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("docker-compose %v: %v\n%s", args, err, out)
		}
		return string(out)
	}

	docker("up", "-d")
	before := ids(w.ps())
	if len(before) != 2 {
		t.Fatalf("berth sees %v of what docker compose made, want two containers", before)
	}
	t.Run("up recreates nothing that did not change", func(t *testing.T) {
		r := w.must("up", "-d")
		if diff := cmp.Diff(before, ids(w.ps())); diff != "" || !strings.Contains(r.err, "nothing to do") {
			t.Error(diff, r)
		}
	})
	t.Run("berth stops, starts and shows what docker compose made", func(t *testing.T) {
		w.must("stop", "-t", "0")
		if out := docker("ps", "-q"); out != "" {
			t.Errorf("after berth stop, docker compose still sees %s run", out)
		}
		w.must("start")
		if diff := cmp.Diff(before, ids(w.ps())); diff != "" {
			t.Error(diff)
		}
		if r := w.must("logs", "web"); !strings.Contains(r.out, "web-1  | ") {
			t.Errorf("no logs: %s", r)
		}
	})
	t.Run("what changed is recreated alone", func(t *testing.T) {
		w.env = append(w.env, "MODE=fancy")
		w.must("up", "-d")
		after := ids(w.ps())
		db, web := w.container("db", 1), w.container("web", 1)
		if after[db] != before[db] || after[web] == before[web] || len(after) != 2 {
			t.Errorf("before %v, after %v; want web alone recreated", before, after)
		}
	})
	t.Run("docker compose lists, logs, stops, starts and takes down what berth made", func(t *testing.T) {
		w.must("down", "-v")
		w.must("up", "-d")
		out := docker("ps", "--format", "{{.Name}} {{.Service}} {{.State}}")
		for _, s := range []string{"web", "db"} {
			if want := w.container(s, 1) + " " + s + " running"; !strings.Contains(out, want) {
				t.Errorf("docker compose ps does not show %q:\n%s", want, out)
			}
		}
		if out := docker("logs", "web"); !strings.Contains(out, "web-1  | ") {
			t.Errorf("docker compose logs: %s", out)
		}
		made := ids(w.ps())
		docker("stop", "-t", "0")
		docker("start")
		docker("restart", "-t", "0", "web")
		if diff := cmp.Diff(made, ids(w.ps())); diff != "" {
			t.Error(diff)
		}
		docker("down", "-v", "-t", "0")
		if left := w.ps(); len(left) > 0 {
			t.Errorf("docker compose down left %v", left)
		}
		for _, kind := range []string{"network", "volume"} {
			for host, out := range w.onHosts("docker", kind, "ls", "-q", "--filter", "label=com.docker.compose.project="+w.project) {
				if out != "" {
					t.Errorf("docker compose down left a %s on %s", kind, host)
				}
			}
		}
	})
}
