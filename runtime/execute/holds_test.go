package execute

import (
	"testing"

	"berth/placement"
	"berth/runtime/engine"
	"berth/scheduler"
)

func TestWhenAConditionHolds(t *testing.T) {
	const started, healthy, completed = placement.Started, placement.Healthy, placement.Completed
	up := engine.State{Status: "running", Running: true}
	checked := func(health string) engine.State {
		return engine.State{Status: "running", Running: true, HasHealthcheck: true, Health: health}
	}
	ended := func(code int) engine.State { return engine.State{Status: "exited", ExitCode: code} }
	for _, c := range []struct {
		name      string
		condition placement.Condition
		running   bool // --wait
		state     engine.State
		done      bool
		err       string
	}{
		{"started", started, false, up, true, ""},
		{"created only", started, false, engine.State{Status: "created"}, false, ""},
		{"between two runs", started, false, engine.State{Status: "restarting"}, false, ""},
		{"ended instead of started", started, false, ended(1), false, "container x exited (1); see its logs"},
		{"healthy", healthy, false, checked("healthy"), true, ""},
		{"not yet healthy", healthy, false, checked("starting"), false, ""},
		{"unhealthy", healthy, false, checked("unhealthy"), false, "dependency failed to start: container x is unhealthy; see its logs"},
		{"healthy without a check", healthy, false, up, false,
			"dependency failed to start: container x has no healthcheck configured; give its service one or use condition: service_started"},
		{"ended instead of healthy", healthy, false, ended(3), false, "dependency failed to start: container x exited (3); see its logs"},
		{"completed", completed, false, ended(0), true, ""},
		{"still at it", completed, false, up, false, ""},
		{"completed badly", completed, false, ended(2), false, "dependency failed to start: container x exited (2): service \"web\" didn't complete successfully: exit 2; see its logs"},
		{"--wait without a check", started, true, up, true, ""},
		{"--wait with a check", started, true, checked("starting"), false, ""},
		{"--wait and unhealthy", started, true, checked("unhealthy"), false, "container x is unhealthy; see its logs"},
		{"--wait and ended with 0", started, true, ended(0), false, "container x exited (0); see its logs"},
	} {
		done, err := Holds(&scheduler.Step{Name: "x", Task: placement.Task{Service: "web"}, Condition: c.condition, Running: c.running}, c.state)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if done != c.done || got != c.err {
			t.Errorf("%s: %v %q, want %v %q", c.name, done, got, c.done, c.err)
		}
	}
}
