package main_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/fixtures/lab/lab"
)

const killCompose = `
services:
  web:
    image: berth-lab/busybox:1
    command: sleep 1000
    stop_grace_period: 0s
    environment: {REVISION: "%d"}
    networks: [front]
    depends_on: [store]
    deploy: {replicas: %d}
  store:
    image: berth-lab/busybox:1
    command: sleep 1000
    stop_grace_period: 0s
    environment: {REVISION: "%d"}
    volumes: [data:/data]
    networks: [front, back]
networks:
  front:
  back:
volumes:
  data:
`

var killRounds = flag.Int("kill.rounds", 9, "how many commands the tests of kills kill; 20 and more find what is rare")

// killed runs a command and kills it with SIGKILL after a while, if it has not ended by then.
func (w *world) killed(after time.Duration, args ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), commandTime)
	defer cancel()
	cmd := w.command(ctx, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may just have ended
	err := cmd.Wait()
	if kill.Stop() && err != nil {
		w.t.Fatalf("berth %v ended before it was killed: %v\n%s", args, err, out.String())
	}
}

func TestUpKilledWhileItMakesTheClusterConvergesWhenRunAgain(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.Images("busybox"))
	w := newWorld(t, l, fmt.Sprintf(killCompose, 1, 3, 1))
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range max(1, *killRounds/4) {
		for range 2 {
			w.killed(time.Duration(random.IntN(2500))*time.Millisecond, "up", "-d")
		}
		w.must("up", "-d")
		if got := len(w.ps()); got != 4 {
			t.Fatalf("round %d: %d containers, want 4", round, got)
		}
		if r := w.must("up", "-d"); !strings.Contains(r.err, "nothing to do") {
			t.Fatalf("round %d: %s", round, r)
		}
		w.must("down", "-v")
		l.Clean(t)
	}
}

func TestUpKilledAtAnyMomentConvergesWhenRunAgain(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, "")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range *killRounds {
		replicas := 2 + random.IntN(5)
		w.write("compose.yml", fmt.Sprintf(killCompose, round/2, replicas, round/4))
		w.killed(time.Duration(random.IntN(1500))*time.Millisecond, "up", "-d")
		if round%3 != 2 {
			continue // the next one is killed in what this one left
		}
		w.must("up", "-d")
		// Which numbers remain depends on where the kills fell: scaling down drops outdated containers first.
		services := map[string]int{}
		for _, r := range w.ps() {
			services[r.Service]++
			if r.State != "running" || !strings.HasPrefix(r.Name, w.project+"-") {
				t.Errorf("round %d: %s is %s", round, r.Name, r.State)
			}
		}
		if diff := cmp.Diff(map[string]int{"web": replicas, "store": 1}, services); diff != "" {
			t.Fatalf("round %d: %s", round, diff)
		}
		if r := w.must("up", "-d"); !strings.Contains(r.err, "nothing to do") {
			t.Fatalf("round %d: a second up finds something to do: %s", round, r)
		}
	}
	w.must("down", "-v")
	gone(t, w)
}
