package main_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"berth/fixtures/lab/lab"
)

// etcdServer is Debian's etcd on a host of the lab.
type etcdServer struct {
	t    *testing.T
	host *lab.Host
	url  string // as store: in an inventory has it
	data string
	cmd  *exec.Cmd // nil: not running
}

// startEtcd starts an etcd; it ends with the test.
func startEtcd(t *testing.T, h *lab.Host, data string) *etcdServer {
	t.Helper()
	if err := lab.InstallForTests(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
	e := &etcdServer{t: t, host: h, url: "etcd://" + h.Address() + ":2379", data: data}
	e.start()
	t.Cleanup(e.kill)
	return e
}

func (e *etcdServer) start() {
	e.t.Helper()
	url := strings.Replace(e.url, "etcd:", "http:", 1)
	var err error
	// Its process ID is that on the host.
	e.cmd, err = e.host.Command(context.Background(), "sh", "-c", `echo $$ >"$0"; exec "$@"`, e.pidFile(),
		"etcd", "--data-dir", filepath.Join(e.data, "data"), "--listen-client-urls", url, "--log-level", "error",
		"--advertise-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:2380")
	if err != nil {
		e.t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	if !lab.Happens(func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "etcd://"))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}) {
		e.t.Fatal("etcd does not listen")
	}
}

func (e *etcdServer) pidFile() string { return filepath.Join(e.data, "pid") }

func (e *etcdServer) signal(name string) {
	pid, err := os.ReadFile(e.pidFile())
	if err == nil {
		_, err = e.host.Run(context.Background(), "kill", "-"+name, strings.TrimSpace(string(pid)))
	}
	if err != nil {
		e.t.Errorf("send %s to etcd: %v", name, err)
	}
	// What leads into the host's namespaces stops with it, but does not go on with it.
	if name != "STOP" {
		_ = e.cmd.Process.Signal(syscall.SIGCONT)
	}
}

func (e *etcdServer) kill() {
	if e.cmd != nil {
		e.signal("KILL")
		_ = e.cmd.Wait()
		e.cmd = nil
	}
}

func TestWithTheStoreAwayTrafficFlowsAndCommandsSaySo(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.Images("busybox"))
	etcd := startEtcd(t, l.Hosts()[0], t.TempDir())
	w := newWorld(t, l, base+`
services:
  web: {<<: *base, command: ["sh", "-c", "echo up; exec sleep 1000"], deploy: {replicas: 3}}
`)
	w.env = append(w.env, "BERTH_INVENTORY="+l.WriteInventory(t, func(i *lab.Inventory) { i.Store = etcd.url }))
	w.must("up", "-d")

	for _, c := range []struct {
		name string
		away func()
		back func()
		says string
		runs [][]string // commands that need the store; each tries for 5 s
	}{
		{"it is silent", func() { etcd.signal("STOP") }, func() { etcd.signal("CONT") }, etcd.url, [][]string{{"up", "-d"}, {"down"}}},
		{"it is gone", etcd.kill, etcd.start, "connection refused", [][]string{{"scale", "web=4"}, {"plan"}, {"store", "status"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			c.away()
			for _, args := range c.runs {
				if r := w.refused([]string{"store", c.says}, args...); r.code != 1 || r.out != "" {
					t.Errorf("exit code %d: %s", r.code, r)
				}
			}
			if n := len(w.hostsOf("web")); n != 3 {
				t.Errorf("ps shows %d of web, want 3", n)
			}
			if r := w.must("logs"); strings.Count(r.out, "| up") < 3 {
				t.Errorf("logs of three containers: %s", r)
			}
			w.must("restart", "-t", "0", "web")
			for n := range 3 {
				from := w.container("web", n+1)
				if got := len(w.resolve(from, "web")); got == 0 {
					t.Errorf("%s does not resolve web", from)
				}
				for m := range 3 {
					to := w.container("web", m+1)
					eventually(t, from+" reaches "+to, func() bool {
						_, err := w.exec(from, "ping", "-c", "1", "-W", "1", to)
						return err == nil
					})
				}
			}
			c.back()
			w.must("up", "-d", "--scale", "web=3")
		})
		w.t = t
	}
}
