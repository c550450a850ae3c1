package engine

import (
	"context"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
)

// Start starts a created or stopped container; a running one stays as it is.
func (e *Engine) Start(ctx context.Context, id string) error {
	return e.fail("start container", id, e.api.ContainerStart(ctx, id, container.StartOptions{}))
}

// Stop asks a container to end and kills it after timeout (nil: its own stop_grace_period, or the engine's 10 s). It
// returns when the container has ended. One that is stopped or gone already is success.
func (e *Engine) Stop(ctx context.Context, id string, timeout *time.Duration) error {
	err := e.stop(ctx, id, timeout)
	if IsNotFound(err) {
		return nil
	}
	return e.fail("stop container", id, err)
}

func (e *Engine) stop(ctx context.Context, id string, timeout *time.Duration) error {
	return e.ending(ctx, id, timeout, func() error {
		return e.api.ContainerStop(ctx, id, container.StopOptions{Timeout: stopSeconds(timeout)})
	})
}

// Restart stops and starts a container; timeout as for Stop. It takes two calls: when the grace period is 0, 20.10's own
// restart starts the container before the old one's task is gone, and refuses every exec in it from then on.
func (e *Engine) Restart(ctx context.Context, id string, timeout *time.Duration) error {
	if err := e.fail("restart container", id, e.stop(ctx, id, timeout)); err != nil {
		return err
	}
	return e.fail("restart container", id, e.api.ContainerStart(ctx, id, container.StartOptions{}))
}

// atOnce is the grace of what is killed.
var atOnce time.Duration

func stopSeconds(d *time.Duration) *int {
	if d == nil {
		return nil
	}
	n := wholeSeconds(*d)
	return &n
}

// Kill sends a signal ("" is SIGKILL) to a container's first process.
func (e *Engine) Kill(ctx context.Context, id, signal string) error {
	send := func() error { return e.api.ContainerKill(ctx, id, signal) }
	if !deadly(signal) {
		return e.fail("kill container", id, send())
	}
	return e.fail("kill container", id, e.ending(ctx, id, &atOnce, send))
}

// deadly reports whether a signal is SIGKILL.
func deadly(signal string) bool {
	return signal == "" || signal == "9" || strings.TrimPrefix(strings.ToUpper(signal), "SIG") == "KILL"
}

// Pause freezes a container's processes.
func (e *Engine) Pause(ctx context.Context, id string) error {
	return e.fail("pause container", id, e.api.ContainerPause(ctx, id))
}

// Unpause lets them go on.
func (e *Engine) Unpause(ctx context.Context, id string) error {
	return e.fail("unpause container", id, e.api.ContainerUnpause(ctx, id))
}

// Rename gives a container another name.
func (e *Engine) Rename(ctx context.Context, id, name string) error {
	return e.fail("rename container", id, e.api.ContainerRename(ctx, id, name))
}

// Remove removes a container, killing it if it runs, and with anonymousVolumes the volumes that only it has. One that
// is gone already is success; one that is being removed by someone else is waited for.
func (e *Engine) Remove(ctx context.Context, id string, anonymousVolumes bool) error {
	remove := func(force bool) error {
		return e.api.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: anonymousVolumes, Force: force})
	}
	err := remove(!e.miscounts(ctx))
	if err != nil && IsConflict(err) && !underRemoval(err) && e.miscounts(ctx) { // it runs
		err = e.ending(ctx, id, &atOnce, func() error { return remove(true) })
	}
	for try := 1; err != nil && writtenMeanwhile(err) && try < removals && ctx.Err() == nil; try++ {
		err = remove(true)
	}
	switch {
	case err == nil || IsNotFound(err):
		return nil
	case underRemoval(err):
		return e.awaitRemoval(ctx, id)
	}
	return e.fail("remove container", id, err)
}

// removals bounds how often a container is removed whose files the engine itself goes on writing.
const removals = 3

// writtenMeanwhile reports whether the engine wrote a container's state, on hearing that it has ended, into the folder that
// it was removing. The container is dead then, and its removal can be asked for again.
func writtenMeanwhile(err error) bool {
	return strings.Contains(err.Error(), "unable to remove filesystem") && strings.Contains(err.Error(), "directory not empty")
}

func underRemoval(err error) bool {
	return IsConflict(err) && strings.Contains(err.Error(), "is already in progress")
}

// awaitRemoval waits until a removal that is under way has ended. The container's state does not tell: while it is being
// killed it counts as running.
func (e *Engine) awaitRemoval(ctx context.Context, id string) error {
	gone, failed := e.api.ContainerWait(ctx, id, container.WaitConditionRemoved)
	select {
	case <-gone:
		return nil
	case err := <-failed:
		if IsNotFound(err) {
			return nil
		}
		return e.fail("remove container", id, err)
	}
}
