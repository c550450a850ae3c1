package execute

import (
	"context"

	"berth/runtime/provider"
	"berth/scheduler"
)

// provider calls the program of a service that runs outside the engines.
func (r *runner) provider(ctx context.Context, s *scheduler.Step) error {
	c := provider.Of(r.world.Project, s.Provider)
	c.Info = func(says string) { r.report(Report{Step: s, Phase: Working, Says: says}) }
	c.Note = func(sentence string) { r.note(s, []string{sentence}) }
	switch s.Kind {
	case scheduler.Halt:
		return c.Stop(ctx)
	case scheduler.Release:
		return c.Down(ctx)
	}
	variables, err := c.Up(ctx)
	if err == nil && r.world.Provided != nil {
		r.world.Provided(s.Name, variables)
	}
	return err
}
