package engine

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
)

// State is what a container is doing.
type State struct {
	ID, Name       string
	Status         string // created, running, paused, restarting, removing, exited, dead
	Running        bool   // paused counts; waiting for its next restart does not
	Health         string // "", starting, healthy, unhealthy
	ExitCode       int    // of the last run
	Error          string // why the last start failed, the engine's words; ""
	HasHealthcheck bool   // in force, from the service or from its image
	Tty            bool   // it was made with a terminal
	OpenStdin      bool   // its standard input can be written to

	Networks map[string]Address // by engine network name

	StartedAt, FinishedAt time.Time // of the last run, the engine's clock; zero when there was none
}

// errStreamEnded says that nobody would wake the waiter any more.
var errStreamEnded = errors.New("the engine's event stream was closed")

// State looks at a container once.
func (e *Engine) State(ctx context.Context, id string) (State, error) {
	info, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return State{}, e.fail("look at container", id, err)
	}
	return stateOf(info), nil
}

func stateOf(info container.InspectResponse) State {
	s := State{ID: info.ID, Name: strings.TrimPrefix(info.Name, "/")}
	if st := info.State; st != nil {
		s.Status, s.Running, s.ExitCode, s.Error = st.Status, st.Running && !st.Restarting, st.ExitCode, st.Error
		s.StartedAt, _ = time.Parse(time.RFC3339Nano, st.StartedAt)
		s.FinishedAt, _ = time.Parse(time.RFC3339Nano, st.FinishedAt)
		if st.Health != nil && st.Health.Status != container.NoHealthcheck {
			s.HasHealthcheck, s.Health = true, st.Health.Status
		}
	}
	if info.NetworkSettings != nil {
		s.Networks = addresses(info.NetworkSettings.Networks)
	}
	if info.Config != nil {
		s.Tty, s.OpenStdin = info.Config.Tty, info.Config.OpenStdin
	}
	if info.Config != nil && info.Config.Healthcheck != nil {
		test := info.Config.Healthcheck.Test
		s.HasHealthcheck = len(test) > 0 && test[0] != "NONE"
	}
	return s
}

// Await waits until cond is done with a container's state, or fails. It looks once, and again after each event of the
// container that may have changed its state. A container that is gone is an error (IsNotFound), and so is an engine that
// has not answered for lostAfter; its shorter absences are waited out.
func (e *Engine) Await(ctx context.Context, hub *Events, id string, cond func(State) (done bool, err error)) (State, error) {
	const op = "wait for container"
	changed, lost := make(chan struct{}, 1), make(chan error, 1)
	var full atomic.Value // the full ID, once known
	full.Store(id)
	cancel := hub.Subscribe(func(ev Event) bool {
		switch {
		case ev.Type == Lost:
			select {
			case lost <- errors.New(ev.Attributes["error"]):
			default:
			}
		case ev.Type == Resync || ev.Type == "container" && changesState(ev.Action) &&
			(ev.ID == full.Load() || ev.Name == id || strings.HasPrefix(ev.ID, id)):
			select {
			case changed <- struct{}{}:
			default: // a look is due already
			}
		}
		return false
	})
	defer cancel()
	wake := hub.Anchored()
	var s State
	for {
		select {
		case <-wake:
		case <-changed:
		case err := <-lost:
			return s, e.fail(op, id, err)
		case <-hub.Done():
			return s, e.fail(op, id, errStreamEnded)
		case <-ctx.Done():
			return s, e.fail(op, id, ctx.Err())
		}
		wake = nil // once is enough
		now, err := e.State(ctx, full.Load().(string))
		if transient(err) && ctx.Err() == nil {
			continue // the stream breaks too, and tells when the engine is back
		}
		if err != nil {
			return s, err
		}
		s = now
		full.Store(s.ID)
		if done, err := cond(s); done || err != nil {
			return s, err
		}
	}
}

// transient reports whether a call failed because the engine went away under it.
func transient(err error) bool {
	return IsUnreachable(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// changesState reports whether a container's state may be another after the event. Health checks run by exec, so the
// exec events are frequent and left out.
func changesState(action string) bool {
	switch action {
	case "create", "start", "restart", "stop", "kill", "die", "oom", "pause", "unpause", "rename", "destroy":
		return true
	}
	return strings.HasPrefix(action, "health_status")
}

// AwaitExit begins to wait for a container's next end, or with autoRemove for its removal after it, and gives a function
// that waits on and returns the exit code. Called before the start, no end is missed.
func (e *Engine) AwaitExit(ctx context.Context, id string, autoRemove bool) (wait func() (int, error)) {
	condition := container.WaitConditionNextExit
	if autoRemove {
		condition = container.WaitConditionRemoved
	}
	ended, failed := e.api.ContainerWait(ctx, id, condition) // returns once the engine watches
	return func() (int, error) {
		select {
		case r := <-ended:
			if r.Error != nil {
				return 0, e.fail("wait for container", id, errors.New(r.Error.Message))
			}
			return int(r.StatusCode), nil
		case err := <-failed:
			return 0, e.fail("wait for container", id, err)
		}
	}
}
