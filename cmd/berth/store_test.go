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
	l := lab.Start(t, lab.Hosts(3), lab.CPUs(1), lab.Images("web", "busybox"))
	if err := lab.InstallForTests(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
	h := l.Hosts()[0]
	url := "http://" + h.Address() + ":2379"
	data := t.TempDir()
	etcd, err := h.Command(context.Background(), "etcd", "--data-dir", data, "--listen-client-urls", url,
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
	tutorial(t, w, names)

	t.Run("keeps secrets that it cannot read", func(t *testing.T) {
		w.write("password", "pA55-that-is-kept")
		w.must("secret", "create", "kept", "password")
		w.write("compose.yml", base+"services: {app: {<<: *base, secrets: [kept]}}\nsecrets: {kept: {external: true}}\n")
		w.env = append(w.env, "XDG_CACHE_HOME="+t.TempDir()) // another user, or another day
		w.must("up", "-d", "--remove-orphans")
		if got, err := w.exec(w.container("app", 1), "cat", "/run/secrets/kept"); err != nil || got != "pA55-that-is-kept" {
			t.Errorf("the container sees %q, %v", got, err)
		}
		out, err := h.Run(t.Context(), "grep", "-rlF", "pA55-that-is-kept", data)
		if strings.Contains(w.must("store", "dump").out, "pA55") || err == nil {
			t.Errorf("etcd can read the secret: %s", out)
		}
		w.must("down")
		w.must("secret", "rm", "kept")
	})

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
