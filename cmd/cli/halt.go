package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"berth/scheduler"
)

// errAborting is the cause of the end of an up whose first container has ended.
var errAborting = errors.New("a container has ended")

// attachedUp brings the project up, shows what the containers write, and passes on how they end: with code 130 after an
// interrupt, which stops them (a second one kills them), and with the code that the flags ask for.
func (ss *session) attachedUp(ctx context.Context, apply func(context.Context) (*scheduler.Plan, error)) error {
	o, err := ss.attachOptions(ss.services)
	if err != nil {
		return err
	}
	var files *following
	if ss.c.Bool("watch") {
		if files, err = ss.following(); err != nil {
			return err
		}
		defer files.watcher.Close()
	}
	a := ss.attaching(ctx, o)
	ss.attached = a
	defer a.close()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	a.work.Go(func() {
		select {
		case <-a.aborted:
			abort(errAborting)
		case <-a.ctx.Done():
		}
	})
	plan, err := apply(ctx)
	switch {
	case err == nil:
		if plan.Empty() {
			ss.display.Warn("nothing to do: " + upToDate(plan))
		}
		a.begin()
	case !a.started || context.Cause(ctx) == nil:
		return err // nothing has been started, or what has is left as it is
	default:
		a.begin() // shows how what has been started ends
	}
	// Others may change the project while its output is shown.
	if err := ss.cluster.Unlock(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	if files == nil {
		a.complete()
		return a.follow(ctx)
	}
	a.work.Go(func() { // while files are watched, more containers may start
		if err := files.run(ctx); ctx.Err() == nil {
			ss.call.complain(ss.env.Stderr, err)
		}
		a.complete()
	})
	return a.follow(ctx)
}

// complete says that the command starts no more.
func (a *attached) complete() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.final = true
	a.settle()
}

// follow shows the output to its end, and brings that about when the user or a container's end asks for it.
func (a *attached) follow(ctx context.Context) error {
	select {
	case err := <-a.shown:
		if a.ctx.Err() != nil {
			err = nil // what is awaited has ended, and the rest was cut off
		}
		if context.Cause(ctx) == nil && !a.aborting() {
			return errors.Join(err, a.code(ctx, 0))
		}
		a.shown <- err
	case <-ctx.Done():
	}
	code := 130
	if a.aborting() {
		code = *a.first
		fmt.Fprintln(a.ss.env.Stderr, "Aborting on container exit...")
	} else {
		fmt.Fprintln(a.ss.env.Stdout, "Gracefully Stopping... press Ctrl+C again to force")
	}
	ctx = context.WithoutCancel(ctx)
	if err := a.stop(ctx); err != nil {
		return err
	}
	a.mu.Lock()
	a.stopped = func(service string) bool { return len(a.ss.services) == 0 || slices.Contains(a.ss.services, service) }
	a.settle()
	a.mu.Unlock()
	<-a.shown //nolint:errcheck // a log that broke off meanwhile is no matter any more
	if code == 130 {
		return &exitError{code: code}
	}
	return a.code(ctx, code)
}

func (a *attached) aborting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.first != nil
}

// code is the exit code of the service that --exit-code-from names, else the given one.
func (a *attached) code(ctx context.Context, code int) error {
	if a.o.exitFrom != "" {
		list, hosts, err := a.ss.containers(context.WithoutCancel(ctx), []string{a.o.exitFrom})
		if err != nil {
			return err
		}
		a.ss.unreachable(hosts)
		for _, ct := range list {
			if !ct.OneOff {
				code = ct.ExitCode
				break
			}
		}
	}
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

// stop stops what the command was about, dependents first, while the rest of the output is shown. A further interrupt
// kills it.
func (a *attached) stop(ctx context.Context) error {
	ss := a.ss
	display, err := ss.amongOutput()
	if err != nil {
		return err
	}
	ss.display = display
	defer display.Close()
	stopping, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ss.onSecond(func() { cancel(errInterrupted) })
	_, err = ss.stop(stopping, "interrupted")
	if !errors.Is(context.Cause(stopping), errInterrupted) {
		return err
	}
	_, err = ss.act(ctx, func(x *scheduler.Present) (*scheduler.Plan, error) { return x.Kill(scheduler.KillOptions{}), nil })
	return err
}
