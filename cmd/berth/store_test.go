package main_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"berth/fixtures/lab/lab"
)

func TestAClusterOnAnEtcdThatIsThereAlready(t *testing.T) {
	l := lab.Start(t, lab.Hosts(3), lab.CPUs(1), lab.Images("web"))
	if err := lab.InstallForTests(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
	h := l.Hosts()[0]
	url := "http://" + h.Address() + ":2379"
	etcd, err := h.Command(context.Background(), "etcd", "--data-dir", t.TempDir(), "--listen-client-urls", url,
		"--advertise-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:2380")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	etcd.Stdout, etcd.Stderr = &log, &log
	if err := etcd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = etcd.Process.Kill()
		_ = etcd.Wait()
		if t.Failed() {
			t.Logf("etcd: %s", log.String())
		}
	})
	w := newWorld(t, l, sample(t, "tutorial/docker-compose.yml"))
	w.env = append(w.env, "BERTH_INVENTORY="+l.WriteInventory(t, func(i *lab.Inventory) {
		i.Store = strings.Replace(url, "http:", "etcd:", 1)
	}))
	tutorial(t, w)

	// A plan of more operations than etcd takes at once.
	w.write("compose.yml", `
services:
  many:
    image: berth-lab/web:1
    command: sleep 1000
    stop_grace_period: 0s
    deploy: {replicas: 70}
`)
	w.must("up", "-d", "--no-start")
	if got := len(w.ps()); got != 70 {
		t.Errorf("%d containers, want 70", got)
	}
	w.must("down")
	gone(t, w)
}
