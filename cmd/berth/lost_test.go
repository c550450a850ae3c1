package main_test

import (
	"strings"
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
