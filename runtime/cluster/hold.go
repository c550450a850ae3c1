package cluster

import (
	"context"
	"fmt"
)

// Lock takes the project's lock in the store of a cluster, waiting for the command that holds it; on one host there
// is none. Close gives it back.
func (c *Cluster) Lock(ctx context.Context, project, command string) error {
	if c.store == nil {
		return nil
	}
	l, err := Lock(ctx, c.store, project, command, c.opts.Notify)
	if err != nil {
		return err
	}
	c.lock = l
	return nil
}

// Unlock gives the project's lock back before Close, for a command that goes on without changing anything.
func (c *Cluster) Unlock(ctx context.Context) error {
	if c.lock == nil {
		return nil
	}
	c.sweep(ctx)
	l := c.lock
	c.lock = nil
	return l.Unlock(ctx)
}

// WhileLocked returns a context that ends with ctx, or when the project's lock is lost because the store could not be
// reached for the lock's time to live. cancel frees what it holds.
func (c *Cluster) WhileLocked(ctx context.Context) (locked context.Context, cancel context.CancelFunc) {
	if c.lock == nil {
		return context.WithCancel(ctx)
	}
	locked, end := context.WithCancelCause(ctx)
	lost := c.lock.Lost()
	go func() {
		select {
		case <-lost:
			end(fmt.Errorf("the lock on the project was lost: the store did not answer; run the same command again"))
		case <-locked.Done():
		}
	}()
	return locked, func() { end(nil) }
}
