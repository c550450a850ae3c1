package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"berth/placement"
)

func TestAwaitFollowsHealthByEvents(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  web:
    image: berth-lab/busybox:1
    command: sleep 600
    healthcheck: {test: "test -f /ready", interval: 100ms, retries: 100}
`)
	id := b.up(p)["web"]
	hub := b.Events(b.ctx)
	defer hub.Close()
	looks := 0
	s, err := b.Await(b.ctx, hub, "shop-web-1", func(s State) (bool, error) {
		if looks++; looks == 1 {
			b.sh(id, "touch /ready")
		}
		return s.Health == "healthy", nil
	})
	if err != nil || !s.Running || !s.HasHealthcheck || s.ID != id || s.Name != "shop-web-1" {
		t.Errorf("state %+v, %v", s, err)
	}
	if looks > 8 {
		t.Errorf("looked %d times; checks run by exec must not wake it", looks)
	}
}

func TestOneStreamServesManyWaiters(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  job:
    image: berth-lab/busybox:1
    command: sh -c "exit 7"
`)
	b.prepare(p)
	hub := b.Events(b.ctx)
	var wg sync.WaitGroup
	codes := make([]int, 5)
	for i := range codes {
		s := spec(p, "job")
		s.Task.Number, s.Name = i+1, s.Task.String()
		s.Name = "shop-job-" + string(rune('1'+i))
		id := b.create(s)
		wg.Go(func() {
			st, err := b.Await(b.ctx, hub, id, func(s State) (bool, error) { return s.Status == "exited", nil })
			if err != nil {
				t.Error(err)
			}
			codes[i] = st.ExitCode
		})
		if err := b.Start(b.ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	hub.Close()
	for i, c := range codes {
		if c != 7 {
			t.Errorf("waiter %d saw exit code %d", i, c)
		}
	}
	if _, err := b.Await(b.ctx, hub, "shop-job-1", func(State) (bool, error) { return false, nil }); err == nil {
		t.Error("waiting on a closed stream does not fail")
	}
}

func TestAwaitEndsWithAnErrorOfTheConditionTheContextOrTheContainersRemoval(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), "services: {web: {image: \"berth-lab/busybox:1\", command: sleep 600}}")
	id := b.up(p)["web"]
	hub := b.Events(b.ctx)
	defer hub.Close()
	bad := errors.New("bad")
	if _, err := b.Await(b.ctx, hub, id, func(State) (bool, error) { return false, bad }); !errors.Is(err, bad) {
		t.Errorf("condition: %v", err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	if _, err := b.Await(ctx, hub, id, func(State) (bool, error) { cancel(); return false, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("context: %v", err)
	}
	first := true
	_, err := b.Await(b.ctx, hub, id, func(State) (bool, error) {
		if first {
			first = false
			return false, b.Remove(b.ctx, id, true)
		}
		return false, nil
	})
	if !IsNotFound(err) {
		t.Errorf("removal: %v", err)
	}
}

func TestEventsGoOnAcrossARestartOfTheEngine(t *testing.T) {
	b := onEngine(t)
	b.ctx = within(t, 3*time.Minute)
	h := b.lab.Hosts()[0]
	resyncs := make(chan struct{}, 10)
	created := make(chan Event, 10)
	hub := b.events(b.ctx, EventQuery{}, lostAfter, func(ev Event) bool {
		switch {
		case ev.Type == Resync:
			resyncs <- struct{}{}
		case ev.Type == "container" && ev.Action == "create":
			created <- ev
		}
		return false
	})
	defer hub.Close()
	<-resyncs
	if err := h.Kill(b.ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.Restart(b.ctx); err != nil {
		t.Fatal(err)
	}
	<-resyncs
	p := project(t, t.TempDir(), "services: {web: {image: \"berth-lab/busybox:1\"}}")
	b.prepare(p)
	id := b.create(spec(p, "web"))
	for {
		select {
		case ev := <-created:
			if ev.ID != id {
				continue // a stream repeats up to a second of the past: the test before this one
			}
			if ev.Name != "shop-web-1" || ev.Time.IsZero() {
				t.Errorf("event %+v", ev)
			}
			return
		case <-b.ctx.Done():
			t.Fatal("no event after the restart")
		}
	}
}

func TestEventsOfADeadEngineCloseWithoutATrace(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	e, err := Connect(placement.InventoryHost{Name: "gone", Address: "unix:///nowhere/docker.sock"})
	if err != nil {
		t.Fatal(err)
	}
	hub := e.Events(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Await(ctx, hub, "x", nil); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("waiting: %v", err)
	}
	hub.Close()
	e.Close()
}

func TestAWatchEndsAtItsQuerysEndAlsoOfADeadEngine(t *testing.T) {
	e, err := Connect(placement.InventoryHost{Name: "gone", Address: "unix:///nowhere/docker.sock"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	end := time.Now().Add(10 * time.Millisecond)
	for name, since := range map[string]time.Time{"everything": {}, "something": end.Add(-time.Hour), "nothing": end.Add(1)} {
		var lost int
		h := e.events(t.Context(), EventQuery{Since: since, Until: end}, 10*time.Millisecond, func(ev Event) bool {
			if ev.Type == Lost {
				lost++
			}
			return false
		})
		select {
		case <-h.Done():
		case <-time.After(time.Minute):
			t.Fatalf("%s: it goes on", name)
		}
		if told := lost > 0; told != (name != "nothing") {
			t.Errorf("%s: told %d times that the engine is lost", name, lost)
		}
	}
}

func TestAwaitOutlastsARestartOfTheEngineAndGivesUpOnALostOne(t *testing.T) {
	b := onEngine(t)
	b.ctx = within(t, 3*time.Minute)
	h := b.lab.Hosts()[0]
	p := project(t, t.TempDir(), "services: {web: {image: \"berth-lab/busybox:1\", command: sleep 600}}")
	id := b.up(p)["web"]
	resyncs := make(chan struct{}, 10)
	hub := b.events(b.ctx, EventQuery{}, 10*time.Second, func(ev Event) bool {
		if ev.Type == Resync {
			resyncs <- struct{}{}
		}
		return false
	})
	defer hub.Close()
	<-resyncs
	ended := make(chan error, 1)
	go func() {
		_, err := b.Await(b.ctx, hub, id, func(s State) (bool, error) { return s.Status == "exited", nil })
		ended <- err
	}()
	if err := h.Kill(b.ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.Restart(b.ctx); err != nil {
		t.Fatal(err)
	}
	<-resyncs
	if err := b.Stop(b.ctx, id, new(time.Duration)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("over a restart: %v", err)
	}

	gone, err := Connect(placement.InventoryHost{Name: "gone", Address: "unix:///nowhere/docker.sock"})
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	lost := gone.events(b.ctx, EventQuery{}, time.Millisecond)
	defer lost.Close()
	if _, err := gone.Await(b.ctx, lost, "web", nil); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("on a lost engine: %v", err)
	}
}
