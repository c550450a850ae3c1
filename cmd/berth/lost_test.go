package main_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/fixtures/lab/lab"
)

const lostCompose = `
services:
  web:
    image: berth-lab/busybox:1
    command: sleep 1000
    environment: {REVISION: "1"}
    deploy: {replicas: 3}
`

func TestAHostThatDoesNotAnswerIsNamedAndItsTasksAreNotStartedTwice(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, lostCompose)
	w.must("up", "-d")
	before := w.ps()
	if diff := cmp.Diff([]string{"host1", "host2", "host3"}, w.hostsOf("web")); diff != "" {
		t.Fatal(diff)
	}
	lost, err := l.Host("host3")
	if err != nil {
		t.Fatal(err)
	}
	if err := lost.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}

	r := w.must("ps")
	if !strings.Contains(r.err, "host host3 is unreachable") {
		t.Errorf("ps does not say which host is lost: %s", r)
	}
	if strings.Count(r.out, w.project+"-web-") != 2 {
		t.Errorf("ps does not show the rest: %s", r)
	}
	r = w.must("events", "--since", "1h", "--until", "0s")
	if strings.Count(r.err, "host host3") != 1 || !strings.Contains(r.out, " host1 container start ") {
		t.Errorf("events do not name the host once and show the rest: %s", r)
	}
	r = w.must("events", "--since", "1h", "--until", "-1s") // in the future: a host that is lost then is not waited for
	if strings.Count(r.err, "host host3") != 1 || !strings.Contains(r.out, " host1 container start ") {
		t.Errorf("events to come do not name the host once and show the rest: %s", r)
	}

	w.refused([]string{"host3", "unreachable"}, "up", "-d")
	w.write("compose.yml", strings.Replace(lostCompose, `"1"`, `"2"`, 1))
	w.refused([]string{"host3", "unreachable"}, "up", "-d")
	if got := w.hostsOf("web"); !cmp.Equal(got, []string{"host1", "host2"}) {
		t.Errorf("web runs on %v while host3 is lost, want one task each on host1 and host2", got)
	}
	for name, r := range w.ps() {
		if r.ID == before[name].ID {
			t.Errorf("%s on %s was not updated, though its host answers", name, r.Host)
		}
	}

	if err := lost.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.must("up", "-d")
	if diff := cmp.Diff([]string{"host1", "host2", "host3"}, w.hostsOf("web")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(keys(before), keys(w.ps())); diff != "" {
		t.Error(diff)
	}
}

func TestCommandsThatFollowNameALostHostAndGoOnWithTheOthers(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, `
services:
  talk:
    image: berth-lab/busybox:1
    command: ["sh", "-c", "while echo tick; do sleep 0.2; done"]
    healthcheck: {test: "true", interval: 0.5s}
    stop_grace_period: 0s
    deploy: {replicas: 3}
`)
	w.must("up", "-d")
	lost, err := l.Host("host2")
	if err != nil {
		t.Fatal(err)
	}
	logs := w.follow("logs", "-f", "-n", "1")
	events := w.follow("events", "--json")
	stats := w.follow("stats", "--format", `{{.Host}} cpu {{.CPUPerc}}`)
	logs.eventually("all three talk", func(out, _ string) bool { return strings.Count(out, "tick") > 6 })
	events.eventually("all three are heard", func(out, _ string) bool { return allHosts(out, `"host":"%s"`) })
	stats.eventually("all three are measured", func(out, _ string) bool { return allHosts(out, "%s cpu 0") })

	if err := lost.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	logs.eventually("host2 is named", func(_, errs string) bool { return strings.Contains(errs, "host host2: no more logs") })
	events.eventually("host2 is named", func(_, errs string) bool { return strings.Contains(errs, "host host2 does not answer") })
	stats.eventually("host2 is unknown", func(out, _ string) bool { return strings.HasSuffix(out, "host2 cpu --\nhost3 cpu "+last(out)) })
	for _, f := range []*following{logs, events, stats} {
		before := len(f.out.String())
		f.eventually("the others go on", func(out, _ string) bool { return len(out) > before+1000 })
	}

	if err := lost.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.eventually("host2 is back", func(_, errs string) bool { return strings.Contains(errs, "host host2 is back") })
	before := len(events.out.String())
	events.eventually("host2 is heard again", func(out, _ string) bool { return strings.Contains(out[before:], `"host":"host2"`) })
	before = len(stats.out.String())
	stats.eventually("host2 is measured again", func(out, _ string) bool { return strings.Contains(out[before:], "host2 cpu 0") })
	for _, f := range []*following{logs, events, stats} {
		f.interrupt()
	}
}

func allHosts(out, format string) bool {
	return strings.Contains(out, fmt.Sprintf(format, "host1")) && strings.Contains(out, fmt.Sprintf(format, "host2")) &&
		strings.Contains(out, fmt.Sprintf(format, "host3"))
}

// last is the last word of a text.
func last(out string) string {
	return out[strings.LastIndexByte(strings.TrimRight(out, "\n"), ' ')+1:]
}

// following is a command that runs until it is interrupted.
type following struct {
	t         *testing.T
	cmd       *exec.Cmd
	out, errs syncBuffer
}

// follow starts a command of the user's.
func (w *world) follow(args ...string) *following {
	w.t.Helper()
	f := &following{t: w.t, cmd: w.command(w.t.Context(), args...)}
	f.cmd.Stdout, f.cmd.Stderr = &f.out, &f.errs
	if err := f.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	return f
}

func (f *following) eventually(what string, holds func(out, errs string) bool) {
	f.t.Helper()
	eventually(f.t, strings.Join(f.cmd.Args[1:], " ")+": "+what, func() bool { return holds(f.out.String(), f.errs.String()) })
}

// interrupt is the user's Ctrl-C, which is how such commands end.
func (f *following) interrupt() {
	f.t.Helper()
	if err := f.cmd.Process.Signal(os.Interrupt); err != nil {
		f.t.Fatal(err)
	}
	if err := f.cmd.Wait(); f.cmd.ProcessState.ExitCode() != 130 {
		f.t.Errorf("%v ended with %v, want code 130: %s", f.cmd.Args[1:], err, f.errs.String())
	}
}

// syncBuffer is a buffer that one goroutine writes and another reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestContainersAreStoppedAndStartedOnTheHostsThatAnswerWithoutAStoreToo(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, lostCompose)
	w.must("up", "-d")
	cut := func(name string) {
		h, err := l.Host(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Cut(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	cut("host3")
	w.refused([]string{"host host3 is unreachable", "web.", "was left alone"}, "stop")
	if got := w.hostsOf("web"); len(got) != 0 {
		t.Errorf("web runs on %v after stop", got)
	}
	cut("host2") // and with it the store's majority
	w.refused([]string{"host host2 is unreachable", "host host3 is unreachable", "left alone"}, "start")
	if got := w.hostsOf("web"); !cmp.Equal(got, []string{"host1"}) {
		t.Errorf("web runs on %v after start, want host1", got)
	}
	for _, name := range []string{"host2", "host3"} {
		h, err := l.Host(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Heal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.must("start")
	if got := w.hostsOf("web"); len(got) != 3 {
		t.Errorf("web runs on %v after the hosts came back, want three", got)
	}
}
