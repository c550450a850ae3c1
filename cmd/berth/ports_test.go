package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"

	"berth/fixtures/lab/lab"
)

// portsFile has a service on host1 and host2 that says who answers and whom it sees; told to stop, it ends when it has
// answered all calls, and was found without any several times, as a list of connections that change may lack one (8000 is 1F40,
// 01 an open connection, 03 one that is being opened), and is well unless /sick is there.
const portsFile = `
services:
  web:
    image: berth-lab/busybox:1
    stop_signal: SIGTERM # the image has SIGKILL
    command:
      - sh
      - -c
      - |
        mkdir -p /www/cgi-bin
        printf '#!/bin/sh\necho; echo $$(hostname) $$REMOTE_ADDR' >/www/cgi-bin/who
        chmod +x /www/cgi-bin/who
        httpd -f -p 8000 -h /www &
        trap 'n=0; while [ $$n -lt 8 ]; do grep -q ":1F40 [^ ]* 0[13] " /proc/net/tcp /proc/net/tcp6 && n=0; n=$$((n+1)); sleep 0.1; done; exit' TERM
        wait
    healthcheck: {test: "! test -e /sick && wget -qO- http://127.0.0.1:8000/cgi-bin/who", interval: 200ms, retries: 2}
    ports: [{target: 8000, published: 18080, mode: ingress}]
    deploy:
      replicas: 2
      placement: {constraints: [node.hostname != host3], max_replicas_per_node: %d}
`

// portURL is where the service of portsFile answers on a host.
func portURL(host string) string { return "http://" + net.JoinHostPort(host, "18080") + "/cgi-bin/who" }

// caller makes each call over a connection of its own.
var caller = http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// call asks who answers, and whom that sees.
func call(host string) (task, sees string, err error) {
	r, err := caller.Get(portURL(host))
	if err != nil {
		return "", "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if _, e := fmt.Sscan(string(body), &task, &sees); err == nil && e != nil {
		err = fmt.Errorf("%s: %s %q", host, r.Status, body)
	}
	return task, strings.Trim(strings.TrimPrefix(sees, "[::ffff:"), "]"), err
}

// answers calls a host a number of times and returns whom each task that answered saw.
func answers(t *testing.T, host string) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for range 24 { // that one of two is never chosen: once in 2^23
		task, sees, err := call(host)
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := seen[task]; ok && was != sees {
			t.Errorf("task %s sees its caller as %s and as %s", task, was, sees)
		}
		seen[task] = sees
	}
	return seen
}

// rules are a host's firewall rules without counters, and the names of its nftables tables.
func rules(t *testing.T, h *lab.Host) string {
	t.Helper()
	out, err := h.Run(t.Context(), "iptables-save")
	if err != nil {
		t.Fatal(err)
	}
	ns, err := h.NetNS()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	c, err := nftables.New(nftables.WithNetNSFd(int(ns.Fd())))
	if err != nil {
		t.Fatal(err)
	}
	tables, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		out += fmt.Sprintln("table", table.Family, table.Name)
	}
	out = regexp.MustCompile(`(?m)^#.*\n|\[\d+:\d+\]`).ReplaceAllString(out, "")
	return strings.TrimSpace(out)
}

// dropping makes the engines' hosts drop what they forward, unless a rule accepts it, as engines do by default.
func dropping(t *testing.T, w *world) {
	w.onHosts("iptables", "-P", "FORWARD", "DROP")
	t.Cleanup(func() {
		for _, h := range w.lab.Hosts() {
			if _, err := h.Run(context.Background(), "iptables", "-P", "FORWARD", "ACCEPT"); err != nil {
				t.Error(err)
			}
		}
	})
}

// tasks are the hostnames in a service's containers, by host.
func (w *world) tasks(service string) map[string]string {
	all := map[string]string{}
	for _, r := range w.ps() {
		if r.Service == service && r.State == "running" {
			all[r.Host] = r.ID[:12]
		}
	}
	return all
}

func TestAPortInModeIngressIsAnsweredByEveryHost(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, fmt.Sprintf(portsFile, 1))
	dropping(t, w)
	before := map[string]string{}
	for _, h := range w.lab.Hosts() {
		before[h.Name()] = rules(t, h)
	}
	if r := w.must("plan"); !strings.Contains(r.out, "publish 18080/tcp (web, on every host)") {
		t.Errorf("the plan does not say that the port is every host's: %s", r)
	}
	w.must("up", "-d", "--wait")
	tasks := w.tasks("web")
	me := machineAddress(t, w.lab.Hosts()[0].Address())
	for _, h := range w.lab.Hosts() {
		got := answers(t, h.Address())
		if want := slices.Sorted(maps.Values(tasks)); !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
			t.Errorf("on %s tasks %v answer, want all of %v", h.Name(), got, want)
		}
		for host, task := range tasks {
			if local := host == h.Name(); local != (got[task] == me) {
				t.Errorf("called on %s, the task on %s sees %s; the caller is %s", h.Name(), host, got[task], me)
			}
		}
	}
	t.Run("from the hosts and their containers", func(t *testing.T) { callersOnHosts(t, w) })
	t.Run("ps and port", func(t *testing.T) {
		if out := w.must("ps").out; strings.Count(out, "*:18080->8000/tcp") != 2 {
			t.Errorf("ps shows\n%s", out)
		}
		first, err := w.lab.Host(w.ps()[w.container("web", 1)].Host)
		if err != nil {
			t.Fatal(err)
		}
		if out := w.must("port", "web.1", "8000").out; out != first.Address()+":18080\n" {
			t.Errorf("port prints %s", out)
		}
	})
	t.Run("a sick task gets nothing", func(t *testing.T) {
		sick, well := w.ps()[w.container("web", 1)], w.ps()[w.container("web", 2)]
		if _, err := w.exec(sick.Name, "touch", "/sick"); err != nil {
			t.Fatal(err)
		}
		for _, h := range w.lab.Hosts() {
			eventually(t, h.Name()+" calls the other one only", func() bool {
				got := answers(t, h.Address())
				return len(got) == 1 && got[well.ID[:12]] != ""
			})
		}
		if _, err := w.exec(sick.Name, "rm", "/sick"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "both answer again", func() bool { return len(answers(t, w.lab.Hosts()[2].Address())) == 2 })
	})
	t.Run("the agents may be killed", func(t *testing.T) {
		failed := callAll(t, w.lab, func() {
			for _, h := range w.lab.Hosts() {
				pid, err := h.Run(t.Context(), "docker", "inspect", "-f", "{{.State.Pid}}", "berth-agent")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := h.Run(t.Context(), "sh", "-c", "kill -9 "+pid); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the agents are back", func() bool { return !strings.Contains(w.must("hosts").out, "agent down") })
		})
		for _, err := range failed {
			t.Error(err)
		}
	})
	w.must("down", "-t", "1")
	for _, h := range w.lab.Hosts() {
		// An agent that was killed a moment ago has read the store again when it has taken its things away.
		eventually(t, "nothing is left on "+h.Name(), func() bool { return rules(t, h) == before[h.Name()] })
	}
}

// callersOnHosts calls the port from host3, which has no task, and from containers of all sorts.
func callersOnHosts(t *testing.T, w *world) {
	for _, h := range w.lab.Hosts() {
		for _, to := range []string{h.Address(), "127.0.0.1", "::1"} {
			if _, err := h.Run(t.Context(), "busybox", "wget", "-qO-", portURL(to)); err != nil {
				t.Errorf("%s calls %s: %v", h.Name(), to, err)
			}
		}
		// More than once, so that local and remote tasks are asked.
		script := "for i in 1 2 3 4 5 6; do wget -qO- " + portURL(h.Address()) + " || exit 1; done"
		if out, err := h.Run(t.Context(), "docker", "run", "--rm", "berth-lab/busybox:1", "sh", "-c", script); err != nil {
			t.Errorf("a container of another network of %s calls it: %v %s", h.Name(), err, out)
		}
		for n := range 2 {
			if out, err := w.exec(w.container("web", n+1), "sh", "-c", script); err != nil {
				t.Errorf("web.%d calls %s: %v %s", n+1, h.Name(), err, out)
			}
		}
	}
}

// machineAddress is the address that this machine calls a host from.
func machineAddress(t *testing.T, host string) string {
	t.Helper()
	c, err := net.Dial("udp4", net.JoinHostPort(host, "9"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP.String()
}

// callAll calls every host again and again while f runs, and returns the calls that failed.
func callAll(t *testing.T, l *lab.Lab, f func()) []error {
	t.Helper()
	var mu sync.Mutex
	var failed []error
	made := 0
	done := make(chan struct{})
	var all sync.WaitGroup
	for _, h := range l.Hosts() {
		for range 2 {
			all.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					_, _, err := call(h.Address())
					mu.Lock()
					made++
					if err != nil {
						failed = append(failed, fmt.Errorf("%s, call %d: %w", h.Name(), made, err))
					}
					mu.Unlock()
				}
			})
		}
	}
	f()
	close(done)
	all.Wait()
	t.Logf("%d calls, %d failed", made, len(failed))
	return failed
}

func TestNoCallIsLostWhileAServiceIsScaled(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, fmt.Sprintf(portsFile, 3))
	dropping(t, w)
	w.must("up", "-d", "--wait")
	failed := callAll(t, w.lab, func() {
		w.must("scale", "web=5")
		eventually(t, "five answer", func() bool { return len(answers(t, w.lab.Hosts()[2].Address())) == 5 })
		w.must("scale", "web=1")
	})
	for _, err := range failed {
		t.Error(err)
	}
	// Where all its tasks end at once there is nobody to call; but what is taken is answered.
	for _, command := range []string{"restart", "stop"} {
		t.Run(command, func(t *testing.T) {
			eventually(t, "the port is answered", func() bool {
				_, _, err := call(w.lab.Hosts()[2].Address())
				return err == nil
			})
			for _, err := range callAll(t, w.lab, func() { w.must(command) }) {
				if !errors.Is(err, syscall.ECONNREFUSED) {
					t.Error(err)
				}
			}
		})
	}
}

func TestAPortInModeIngressIsOneServices(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, base+`
services:
  web: {<<: *base, ports: [{target: 80, published: 18081, mode: ingress}]}
`)
	w.must("up", "-d")
	other := newWorld(t, w.lab, base+`
services:
  api: {<<: *base, ports: [{target: 80, published: 18081, mode: ingress}]}
`)
	other.project = "other"
	other.env = append(other.env, "COMPOSE_PROJECT_NAME=other")
	other.refused([]string{"port 18081/tcp of api is that of service web of project " + w.project}, "up", "-d")
	other.refused([]string{"port 18081/tcp of api is that of service web"}, "plan")
	other.write("compose.yml", base+`
services:
  api: {<<: *base, ports: ["18081:80"]}
`)
	other.refused([]string{"port 18081/tcp is taken by service web of project " + w.project + " (mode ingress, on every host)"}, "up", "-d")

	// What is no container's is found by the agents.
	h := w.lab.Hosts()[1]
	life, kill := context.WithCancel(t.Context())
	squatter, err := h.Command(life, "busybox", "nc", "-l", "-p", "18082")
	if err != nil {
		t.Fatal(err)
	}
	if err := squatter.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		kill()
		_ = squatter.Wait() // killed
	})
	t.Cleanup(end)
	eventually(t, "the port is taken", func() bool {
		out, err := h.Run(t.Context(), "sh", "-c", "cat /proc/self/net/tcp /proc/self/net/tcp6")
		return err == nil && strings.Contains(out, ":46A2 ")
	})
	other.write("compose.yml", base+`
services:
  api: {<<: *base, ports: [{target: 80, published: 18082, mode: ingress}]}
`)
	other.refused([]string{"port 18082/tcp is not published on host host2: something else on the host listens on it"}, "up", "-d")
	other.refused([]string{"port 18082/tcp is not published on host host2"}, "up", "-d")
	end()
	other.must("up", "-d")
	other.must("down", "-t", "0")
}
