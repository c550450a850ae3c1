package execute

import (
	"context"
	"errors"
	"fmt"
	"time"

	"berth/placement"
	"berth/runtime/engine"
	"berth/scheduler"
)

// do carries out one step. What an engine refuses is told with the container's name, which is what users know.
func (r *runner) do(ctx context.Context, s *scheduler.Step) error {
	err := r.step(ctx, s)
	var refused *engine.Error
	if errors.As(err, &refused) && s.ContainerID != "" && refused.Subject == s.ContainerID {
		refused.Subject = s.Name
	}
	return err
}

// step does what the step's kind says. Every branch is safe to repeat: a step that an interrupted run had done already
// succeeds.
func (r *runner) step(ctx context.Context, s *scheduler.Step) error {
	switch s.Kind {
	case scheduler.Record:
		return r.world.Store.Commit(ctx, r.plan.Change)
	case scheduler.Forget:
		return r.world.Store.Commit(ctx, r.plan.Forget)
	case scheduler.Publish:
		return r.world.Store.PortAnswered(ctx, s.Name, s.Hosts)
	case scheduler.Withdraw:
		if r.world.Store == nil {
			return nil // it does not answer, and the command does without
		}
		return r.world.Store.Withdraw(ctx, s.Host, s.Name)
	}
	if s.Provider != nil {
		return r.provider(ctx, s)
	}
	e, err := r.engine(s.Host)
	if err != nil {
		return err
	}
	switch s.Kind {
	case scheduler.CreateNetwork:
		return r.createNetwork(ctx, e, s)
	case scheduler.RemoveNetwork:
		return r.removeNetwork(ctx, e, s)
	case scheduler.CreateVolume:
		return e.CreateVolume(ctx, r.world.Project, s.Volume)
	case scheduler.SeedVolume:
		image := s.ImageID
		if image == "" {
			image = r.world.Project.ImageName(s.Service)
		}
		skipped, err := e.SeedVolume(ctx, r.world.Project, s.Volume, image)
		r.note(s, skipped)
		return err
	case scheduler.RemoveVolume:
		return e.RemoveVolume(ctx, s.Name)
	case scheduler.Pull:
		return r.pull(ctx, e, s)
	case scheduler.Build:
		return r.build(ctx, e, s)
	case scheduler.Push:
		return r.push(ctx, e, s)
	case scheduler.Send:
		return r.send(ctx, s)
	case scheduler.Create:
		return r.create(ctx, e, s)
	case scheduler.Start:
		return r.start(ctx, e, s)
	case scheduler.Stop:
		return r.stop(ctx, e, s)
	case scheduler.Leave:
		return e.LeaveNetwork(ctx, r.container(s), s.Network.Name)
	case scheduler.Join:
		return e.JoinNetwork(ctx, r.container(s), s.Network, engine.CreateSpec{
			Project: r.world.Project, Service: s.Service, Task: s.Task, Name: s.Name, Cluster: r.world.Cluster,
		})
	case scheduler.Restart:
		return r.restart(ctx, e, s)
	case scheduler.Kill:
		return e.Kill(ctx, r.container(s), s.Signal)
	case scheduler.Pause:
		return e.Pause(ctx, r.container(s))
	case scheduler.Unpause:
		return e.Unpause(ctx, r.container(s))
	case scheduler.RemoveImage:
		return e.RemoveImage(ctx, s.Name)
	case scheduler.Remove:
		return e.Remove(ctx, r.container(s), s.Anonymous)
	case scheduler.Rename:
		id := r.container(s)
		if err := e.Rename(ctx, id, s.To); err != nil {
			return err
		}
		r.created(s.Host, s.To, id)
		return nil
	case scheduler.Wait:
		return r.wait(ctx, e, s)
	}
	return fmt.Errorf("step %d: unknown kind %q", s.ID, s.Kind)
}

// overlay reports whether the step's network is one that the agents make.
func (r *runner) overlay(s *scheduler.Step) bool {
	if !r.world.Cluster {
		return false
	}
	n := s.Network
	return n == nil || n.Driver == "" || n.Driver == "bridge" || n.Driver == "overlay"
}

func (r *runner) createNetwork(ctx context.Context, e *engine.Engine, s *scheduler.Step) error {
	if r.overlay(s) {
		return r.world.Store.NetworkReady(ctx, s.Name, s.Host)
	}
	_, err := e.CreateNetwork(ctx, r.world.Project, s.Network)
	return err
}

func (r *runner) removeNetwork(ctx context.Context, e *engine.Engine, s *scheduler.Step) error {
	if s.Plain || !r.overlay(s) {
		return e.RemoveNetwork(ctx, s.Name)
	}
	if err := r.world.Store.NetworkGone(ctx, s.Name, s.Host); err != nil {
		return err
	}
	return e.RemoveNetwork(ctx, s.Name) // one that no agent knows, left by a lost store; usually nothing is there
}

func (r *runner) create(ctx context.Context, e *engine.Engine, s *scheduler.Step) error {
	spec := engine.CreateSpec{
		Project: r.world.Project, Service: s.Service, Task: s.Task, Name: s.Name, Replaces: s.Replaces,
		Cluster: r.world.Cluster, Endpoints: s.Endpoints, Resolvers: s.Resolvers, Inherit: s.Inherit,
		ShareWith: s.ShareWith, ImageID: s.ImageID, Record: s.Record,
	}
	ctx, cancel := finishing(ctx)
	defer cancel()
	if o := s.OneOff; o != nil {
		spec.OneOff, spec.Slug, spec.AutoRemove = true, o.Slug, o.AutoRemove
	}
	id, warnings, err := e.Create(ctx, spec)
	if err != nil {
		return err
	}
	r.note(s, warnings)
	r.created(s.Host, s.Name, id)
	return nil
}

// note tells what a step that goes on has to say.
func (r *runner) note(s *scheduler.Step, sentences []string) {
	for _, n := range sentences {
		r.report(Report{Step: s, Phase: Working, Note: n})
	}
}

// finishTime bounds what goes on after an interruption.
const finishTime = 10 * time.Second

// finishing outlives ctx by finishTime: for calls that take milliseconds, and whose effect would come after the command
// has looked what there is to stop or to remove.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(ended)
		timer := time.NewTimer(finishTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() {
		cancel()
		if !unhook() {
			<-ended
		}
	}
}

func (r *runner) start(ctx context.Context, e *engine.Engine, s *scheduler.Step) error {
	id := r.container(s)
	starting, cancel := finishing(ctx)
	defer cancel()
	if err := e.Start(starting, id); err != nil {
		return err
	}
	r.begun.Store(id, time.Now())
	return r.postStart(ctx, e, id, s)
}

func (r *runner) stop(ctx context.Context, e *engine.Engine, s *scheduler.Step) error {
	id := r.container(s)
	if err := r.preStop(ctx, e, id, s); err != nil {
		return err
	}
	return e.Stop(ctx, id, s.Timeout)
}

// restart is one call to the engine, between the hooks.
func (r *runner) restart(ctx context.Context, e *engine.Engine, s *scheduler.Step) error {
	id := r.container(s)
	if err := r.preStop(ctx, e, id, s); err != nil {
		return err
	}
	if err := e.Restart(ctx, id, s.Timeout); err != nil {
		return err
	}
	return r.postStart(ctx, e, id, s)
}

// wait follows the container's events until the condition holds or cannot hold any more. The sentences are the ones
// that docker compose users know.
func (r *runner) wait(ctx context.Context, e *engine.Engine, s *scheduler.Step) error {
	_, err := e.Await(ctx, r.events(e), r.container(s), func(st engine.State) (bool, error) {
		return Holds(s, st)
	})
	if err == nil && s.Running {
		return r.settled(ctx, e, s)
	}
	return err
}

// Holds judges a container's state against the condition of a Wait step: done, still to wait for, or an error that
// names the container, and its service where docker compose's sentence has only that. With Running set (--wait) the
// condition is "healthy if it has a check, else running", and one that has ended, with 0 too, will never be.
func Holds(s *scheduler.Step, st engine.State) (bool, error) {
	condition := s.Condition
	failed := func(format string, args ...any) (bool, error) {
		why := "container " + s.Name + " " + fmt.Sprintf(format, args...)
		if !s.Running && condition != placement.Started {
			why = "dependency failed to start: " + why
		}
		return false, errors.New(why)
	}
	exited := st.Status == "exited" || st.Status == "dead"
	if s.Running {
		condition = placement.Started
		if st.HasHealthcheck {
			condition = placement.Healthy
		}
	}
	switch {
	case exited && condition == placement.Completed && st.ExitCode != 0:
		return failed("exited (%d): service %q didn't complete successfully: exit %d; see its logs", st.ExitCode, s.Task.Service, st.ExitCode)
	case exited && condition != placement.Completed:
		return failed("exited (%d); see its logs", st.ExitCode)
	case condition == placement.Completed:
		return exited, nil
	case condition == placement.Started || !st.Running:
		return st.Running, nil
	case !st.HasHealthcheck:
		return failed("has no healthcheck configured; give its service one or use condition: service_started")
	case st.Health == "unhealthy":
		return failed("is unhealthy; see its logs")
	}
	return st.Health == "healthy", nil
}
