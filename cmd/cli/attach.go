package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/execute"
	"berth/runtime/logs"
	"berth/scheduler"
)

// attach shows the output of the services' containers from since on until all of them have ended. An interrupt stops
// them in order, a second one kills them; the exit code then is 130.
func (ss *session) attach(ctx context.Context, services []string, since time.Time) error {
	list, hosts, err := ss.containers(ctx, services)
	if err != nil {
		return err
	}
	ss.unreachable(hosts)
	a := &attached{ss: ss}
	var streams []logs.Stream
	for _, ct := range list {
		if !ct.OneOff {
			a.list = append(a.list, ct)
			streams = append(streams, ss.stream(ct))
		}
	}
	ss.display.Close() // what follows is the containers' own output
	p := ss.printer(streams, ss.env.Stderr)
	a.follower = logs.NewFollower(logs.Merger{Idle: flush(p), Report: a.report}, streams, logs.Options{
		Follow: true, Since: since.UTC().Format(time.RFC3339Nano),
	})
	a.left, a.printer = len(streams), p
	if a.left == 0 {
		return nil
	}
	a.ctx = ctx
	ss.watchHosts(a.follower, a.list)
	err = a.follower.Run(ctx, p.Line)
	a.watchers.Wait()
	if errors.Is(err, errInterrupted) || errors.Is(context.Cause(ctx), errInterrupted) {
		return ss.stopAttached(context.WithoutCancel(ctx), services)
	}
	return err
}

// attached is the state of one attached up.
type attached struct {
	ss       *session
	ctx      context.Context
	follower *logs.Follower
	printer  *logs.Printer
	list     []placement.Container
	watchers sync.WaitGroup

	mu   sync.Mutex
	left int // containers that may still write
}

// report is told when a container's log has ended: for good, or until the engine restarts it.
func (a *attached) report(n logs.Notice) {
	if n.Kind != logs.Ended {
		fmt.Fprintln(a.ss.env.Stderr, n.String())
		a.gone()
		return
	}
	a.watchers.Go(func() { a.ended(n) })
}

// ended says how a container ended, or goes on with its log when its restart policy has started it again.
func (a *attached) ended(n logs.Notice) {
	e := a.ss.cluster.Engines()[n.Stream.Host]
	st, err := e.Await(a.ctx, a.ss.events(e.Host()), n.Stream.ID, func(st engine.State) (bool, error) {
		return st.Status != "restarting", nil
	})
	if err != nil && !engine.IsNotFound(err) {
		a.gone()
		return
	}
	if err == nil && st.Running {
		if a.follower.Add(n.Stream, n.Last.Add(time.Nanosecond).UTC().Format(time.RFC3339Nano)) == nil {
			return
		}
	}
	if err == nil {
		a.printer.Status(n.Stream.Label, fmt.Sprintf("exited with code %d", st.ExitCode))
		flush(a.printer)()
	}
	a.gone()
}

func (a *attached) gone() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left--; a.left == 0 {
		a.follower.Close()
	}
}

// stopAttached stops what an attached up shows, dependents first.
func (ss *session) stopAttached(ctx context.Context, services []string) error {
	fmt.Fprintln(ss.env.Stderr, "Gracefully Stopping... press Ctrl+C again to force")
	display, err := ss.newDisplay(ss.c, ss.inv.Cluster(), false)
	if err != nil {
		return err
	}
	ss.display = display
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ss.onSecond(func() { cancel(errInterrupted) })
	list, _, err := ss.containers(ctx, services)
	if err != nil {
		return err
	}
	plan, err := scheduler.Halt(ss.project, list, timeout(ss.c))
	if err != nil {
		return err
	}
	w := execute.World{Project: ss.project, Engines: ss.cluster.Engines()}
	if err := execute.Run(ctx, w, plan, execute.DefaultLimits, ss.shower(plan)); err != nil && !errors.Is(err, errInterrupted) {
		return err
	}
	if errors.Is(context.Cause(ctx), errInterrupted) {
		var killers sync.WaitGroup
		for _, ct := range list {
			if ct.Running() {
				killers.Go(func() { _ = ss.cluster.Engines()[ct.Host].Kill(context.WithoutCancel(ctx), ct.ID, "SIGKILL") })
			}
		}
		killers.Wait()
	}
	return &exitError{code: 130}
}
