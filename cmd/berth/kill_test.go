package main_test

import (
	"context"
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

func TestUpKilledAtAnyMomentConvergesWhenRunAgain(t *testing.T) {
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, "")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		replicas := 2 + random.IntN(5)
		w.write("compose.yml", fmt.Sprintf(killCompose, round/2, replicas, round/4))
		ctx, cancel := context.WithTimeout(t.Context(), commandTime)
		cmd := w.command(ctx, "up", "-d")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		kill := time.NewTimer(time.Duration(random.IntN(1500)) * time.Millisecond)
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			ended <- nil
		case <-kill.C:
			_ = cmd.Process.Kill() // it may just have ended
		}
		<-ended
		cancel()
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
