package main_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"berth/fixtures/lab/lab"
	"berth/runtime/cluster"
	"berth/runtime/store/consul/consultest"
)

func TestAClusterOnAnEtcdThatIsThereAlready(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.CPUs(1), lab.Images("web", "busybox"))
	if err := lab.InstallForTests(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
	h := l.Hosts()[0]
	url := "http://" + h.Address() + ":2379"
	data := t.TempDir()
	startOn(t, h, "etcd", "--data-dir", data, "--listen-client-urls", url,
		"--advertise-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:2380", "--max-txn-ops", "24")
	w := newWorld(t, l, sample(t, "tutorial/docker-compose.yml"))
	w.env = append(w.env, "BERTH_INVENTORY="+l.WriteInventory(t, func(i *lab.Inventory) {
		i.Store = strings.Replace(url, "http:", "etcd:", 1)
	}))
	w.must("up", "-d")
	names(t, w)
	w.must("down")
	gone(t, w)

	keepsSecrets(t, w, h, data)

	// A plan of more operations than that etcd takes at once.
	w.write("compose.yml", `
services:
  many:
    image: berth-lab/web:1
    command: sleep 1000
    stop_grace_period: 0s
    deploy: {replicas: 12}
`)
	w.must("up", "-d", "--no-start")
	if got := len(w.ps()); got != 12 {
		t.Errorf("%d containers, want 12", got)
	}
	w.must("down")
	gone(t, w)
}

// keepsSecrets checks that a store, whose data lie in that folder of a host, cannot read the cluster's secrets.
func keepsSecrets(t *testing.T, w *world, h *lab.Host, data string) {
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
			t.Errorf("the store can read the secret: %s", out)
		}
		w.must("down")
		w.must("secret", "rm", "kept")
	})
}

// A ZooKeeper and a Consul keep what berth keeps in an etcd, by drivers that have more to do for it.
func TestAClusterOnAZooKeeperThatIsThereAlready(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.CPUs(1), lab.Images("web", "busybox"))
	if err := lab.InstallZooKeeper(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
	h := l.Hosts()[0]
	data := t.TempDir()
	config := filepath.Join(data, "zoo.cfg")
	if err := os.WriteFile(config, []byte("tickTime=2000\ndataDir="+data+"\nclientPort=2181\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	startOn(t, h, lab.ZooKeeper(config)...)
	eventually(t, "ZooKeeper serves", func() bool { return zooKeeperServes(h.Address() + ":2181") }) // Java takes its time
	w := newWorld(t, l, sample(t, "tutorial/docker-compose.yml"))
	w.write("zk.auth", "berth:known-to-nobody\n")
	w.env = append(w.env, "BERTH_INVENTORY="+l.WriteInventory(t, func(i *lab.Inventory) {
		i.Store = "zk://" + h.Address() + "/clusters/test?auth_file=" + filepath.Join(w.dir, "zk.auth")
	}))
	w.must("up", "-d")
	names(t, w)
	keepsToItself(t, w, "known-to-nobody")
	w.must("down")
	gone(t, w)
	keepsSecrets(t, w, h, data)
}

// zooKeeperServes asks a server how it is. One that is not ready yet may take the question and never answer.
func zooKeeperServes(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	if _, err := io.WriteString(c, "srvr"); err != nil {
		return false
	}
	answer, _ := io.ReadAll(c)
	return bytes.Contains(answer, []byte("Mode:"))
}

// With a real Consul on the machine (see consultest.Program) it is that, else the fake.
func TestAClusterOnAConsulThatIsThereAlready(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.CPUs(1), lab.Images("web", "busybox"))
	h := l.Hosts()[0]
	const token = "7d8e2f60-known-to-nobody"
	if program := consultest.Program(); program != "" {
		config := consultest.Config(t, h.Address(), [4]string{"8500", "8300", "8301", "8302"},
			`acl { enabled = true, default_policy = "deny", tokens { initial_management = "`+token+`" } }`)
		startOn(t, h, program, "agent", "-config-file", config)
		consultest.Leads(t, h.Address()+":8500")
	} else {
		consultest.NewFakeAt(t, listen(t, h, h.Address()+":8500")).Token = token
	}
	w := newWorld(t, l, sample(t, "tutorial/docker-compose.yml"))
	w.env = append(w.env, "CONSUL_HTTP_TOKEN="+token, "BERTH_INVENTORY="+l.WriteInventory(t, func(i *lab.Inventory) {
		i.Store = "consul://" + h.Address() + "/clusters/test"
	}))
	w.must("up", "-d")
	names(t, w)
	keepsToItself(t, w, token)
	w.must("down")
	gone(t, w)
}

// keepsToItself looks for what only agents and the store may know where everybody looks.
func keepsToItself(t *testing.T, w *world, secret string) {
	t.Helper()
	for what, args := range map[string][]string{
		"labels and environment": {"docker", "inspect", cluster.AgentName},
		"the agent's log":        {"docker", "logs", cluster.AgentName},
	} {
		for host, out := range w.onHosts(args...) {
			if strings.Contains(out, secret) {
				t.Errorf("%s of %s tell the secret: %s", what, host, out)
			}
		}
	}
	if strings.Contains(w.must("store", "dump").out, secret) {
		t.Error("the store tells the secret that opens it")
	}
}

// startOn starts a program on a host and kills it when the test ends.
func startOn(t *testing.T, h *lab.Host, args ...string) {
	t.Helper()
	cmd, err := h.Command(context.Background(), args...)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", args[0], log.String())
		}
	})
}

// listen listens in a host's network namespace.
func listen(t *testing.T, h *lab.Host, addr string) net.Listener {
	t.Helper()
	there, err := h.NetNS()
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	type answer struct {
		l   net.Listener
		err error
	}
	done := make(chan answer)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var a answer
		if a.err = netns.Set(netns.NsHandle(there.Fd())); a.err == nil {
			a.l, a.err = net.Listen("tcp", addr)
		}
		done <- a
	}()
	a := <-done
	if a.err != nil {
		t.Fatal(a.err)
	}
	return a.l
}
