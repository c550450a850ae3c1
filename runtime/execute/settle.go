package execute

import (
	"context"
	"errors"
	"time"

	"berth/runtime/engine"
	"berth/scheduler"
)

// settle is how long a container without a health check has to go on running before `up --wait` takes it for started:
// one that ends at once has failed. docker compose looks after as long.
const settle = 500 * time.Millisecond

var errSettled = errors.New("the container runs on")

// settled waits until a container that this run has started has run for settle, or has ended.
func (r *runner) settled(ctx context.Context, e *engine.Engine, s *scheduler.Step) error {
	id := r.container(s)
	began, ok := r.begun.Load(id)
	if !ok {
		return nil // it ran before
	}
	within, cancel := context.WithDeadlineCause(ctx, began.(time.Time).Add(settle), errSettled)
	defer cancel()
	_, err := e.Await(within, r.events(e), id, func(st engine.State) (bool, error) {
		if st.Running {
			return st.HasHealthcheck, nil
		}
		return Holds(s, st)
	})
	if errors.Is(context.Cause(within), errSettled) && (errors.Is(err, errSettled) || errors.Is(err, context.DeadlineExceeded)) {
		st, err := e.State(ctx, id) // a busy engine tells of an end late
		if err != nil {
			return err
		}
		_, err = Holds(s, st)
		return err
	}
	return err
}
