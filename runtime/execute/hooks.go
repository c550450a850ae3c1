package execute

import (
	"context"
	"errors"
	"io"

	"berth/runtime/engine"
	"berth/scheduler"
)

func (r *runner) postStart(ctx context.Context, e *engine.Engine, id string, s *scheduler.Step) error {
	if s.Service == nil || s.Service.Spec == nil || len(s.Service.Spec.PostStart) == 0 {
		return nil
	}
	out := r.hookOutput(s)
	return errors.Join(e.PostStart(ctx, id, s.Service, out), out.Close())
}

func (r *runner) preStop(ctx context.Context, e *engine.Engine, id string, s *scheduler.Step) error {
	if s.Service == nil || s.Service.Spec == nil || len(s.Service.Spec.PreStop) == 0 {
		return nil
	}
	out := r.hookOutput(s)
	return errors.Join(e.PreStop(ctx, id, s.Service, out), out.Close())
}

// hookOutput is where the output of a step's hooks goes.
func (r *runner) hookOutput(s *scheduler.Step) io.WriteCloser {
	if r.world.HookOutput != nil {
		return r.world.HookOutput(s)
	}
	return unheard{io.Discard}
}

type unheard struct{ io.Writer }

func (unheard) Close() error { return nil }
