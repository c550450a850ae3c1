package main_test

import (
	"bufio"
	"bytes"
	"os"
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
    stop_grace_period: 0s
    environment: {REVISION: "1"}
    deploy: {replicas: 3}
`

func TestAHostThatDoesNotAnswerIsNamedAndItsTasksAreNotStartedTwice(t *testing.T) {
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

func TestFollowedLogsOfALostHostEndWithASentenceAndTheOthersGoOn(t *testing.T) {
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, `
services:
  talk:
    image: berth-lab/busybox:1
    command: ["sh", "-c", "while echo tick; do sleep 0.2; done"]
    stop_grace_period: 0s
    deploy: {replicas: 3}
`)
	w.must("up", "-d")
	cmd := w.command(t.Context(), "logs", "-f", "-n", "1")
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out syncBuffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all three talk", func() bool { return strings.Count(out.String(), "tick") > 6 })
	lost, err := l.Host("host2")
	if err != nil {
		t.Fatal(err)
	}
	if err := lost.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(errs); said == "" && lines.Scan(); {
		if strings.Contains(lines.Text(), "host2") {
			said = lines.Text()
		}
	}
	if said == "" {
		t.Error("not a word of the lost host")
	}
	before := strings.Count(out.String(), "tick")
	eventually(t, "the others go on", func() bool { return strings.Count(out.String(), "tick") > before+4 })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("ended with %v, want code 130", err)
	}
	if err := lost.Heal(t.Context()); err != nil {
		t.Fatal(err)
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
