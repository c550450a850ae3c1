package execute

import (
	"context"
	"sync"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
	"berth/scheduler"
)

// publishing is a service that publishes ports.
func publishing(published ...string) *placement.Service {
	spec := &types.ServiceConfig{}
	for _, p := range published {
		spec.Ports = append(spec.Ports, types.ServicePortConfig{Published: p, Target: 80})
	}
	return &placement.Service{Spec: spec}
}

func TestStartsThatPickAPortOfARangeComeOneAfterTheOtherOnAHost(t *testing.T) {
	var steps []scheduler.Step
	add := func(host string, s *placement.Service) {
		steps = append(steps, scheduler.Step{ID: len(steps), Kind: scheduler.Start, Host: host, Service: s})
	}
	for range 4 {
		add("a", publishing("8000-8099"))
		add("b", publishing("8000-8099"))
		add("a", publishing("80"))
		add("a", publishing("8000-8000"))
	}
	var mu sync.Mutex
	cond := sync.NewCond(&mu)
	picking, most := map[string]int{}, map[string]int{}
	others := 0
	err := runGraph(t.Context(), steps, Limits{PerHost: 16, Total: 32}, func(_ context.Context, s *scheduler.Step) error {
		mu.Lock()
		defer mu.Unlock()
		if !picksPort(s) {
			others++
			cond.Broadcast()
			return nil
		}
		picking[s.Host]++
		most[s.Host] = max(most[s.Host], picking[s.Host])
		for others < 8 { // the rest does not wait for them
			cond.Wait()
		}
		picking[s.Host]--
		return nil
	}, func(Report) {})
	if err != nil || most["a"] != 1 || most["b"] != 1 {
		t.Errorf("at most %v at a time, want 1 a host; %v", most, err)
	}
}

func TestOnlyAStartWithARangePicksAPort(t *testing.T) {
	for published, want := range map[string]bool{"": false, "80": false, "80-80": false, "80-90": true} {
		s := scheduler.Step{Kind: scheduler.Start, Service: publishing("1", published)}
		if picksPort(&s) != want {
			t.Errorf("published %q: picks a port: %v", published, !want)
		}
		s.Kind = scheduler.Create
		if picksPort(&s) {
			t.Errorf("published %q: creating picks a port", published)
		}
	}
	if picksPort(&scheduler.Step{Kind: scheduler.Start}) {
		t.Error("a start without a service picks a port")
	}
}
