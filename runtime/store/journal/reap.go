package journal

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// reapSpread is over how long clients that see the same lease go spread their tries to end it: the first does, and
// the others see its record.
const reapSpread = 40 * time.Millisecond

// reap ends the leases whose holds are gone, until Close.
func (c *Client) reap() {
	token := uint64(0)
	for c.ctx.Err() == nil {
		ctx, done := c.untilGranted()
		next, err := c.reapOnce(ctx, token)
		woken := ctx.Err() != nil
		done()
		switch {
		case err == nil:
			token = next
		case woken: // perhaps the lease was gone before its record was read: look at once
			token = 0
		default:
			token = 0
			_ = sleep(c.ctx, lastPause)
		}
	}
}

// untilGranted returns a context that ends with Close, or when a lease has been granted.
func (c *Client) untilGranted() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(c.ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-c.granted:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-stopped }
}

// reapOnce waits until the holds may have changed since the call that returned the token known, and ends the leases
// that have none. A lease has its hold before its record, and both for once: one that was known before the server was
// asked, and that the answer lacks, has ended.
func (c *Client) reapOnce(ctx context.Context, known uint64) (uint64, error) {
	before := c.leases()
	names, token, err := c.b.Held(ctx, known, false)
	if err != nil || !lacks(names, before) {
		return token, err
	}
	if names, token, err = c.b.Held(ctx, 0, true); err != nil {
		return 0, err
	}
	for _, id := range before {
		if lacks(names, []int64{id}) {
			if err := c.reapLease(ctx, id); err != nil {
				return 0, err
			}
		}
	}
	return token, nil
}

// reapLease ends a lease whose hold is gone. Whoever else sees that does it too; who comes late finds it done.
func (c *Client) reapLease(ctx context.Context, id int64) error {
	if err := sleep(ctx, rand.N(reapSpread)); err != nil {
		return err
	}
	if !slices.Contains(c.leases(), id) {
		return nil
	}
	_, err := c.append(ctx, ending(id))
	return err
}

// lacks reports whether the hold of any of the leases is not among the names.
func lacks(names []string, leases []int64) bool {
	for _, id := range leases {
		if !slices.Contains(names, holdName(id)) {
			return true
		}
	}
	return false
}

// leases lists those that have not ended as far as this client has read.
func (c *Client) leases() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.replica.state.leases))
}
