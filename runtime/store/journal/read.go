package journal

import (
	"context"

	"berth/runtime/store"
)

// Get implements store.Store. It asks the server only whether the state in memory is the newest.
func (c *Client) Get(ctx context.Context, prefix string) (store.Snapshot, error) {
	op := "read " + prefix
	if err := c.ended(ctx); err != nil {
		return store.Snapshot{}, c.fail(ctx, op, err)
	}
	rctx, cancel := c.request(ctx)
	defer cancel()
	if err := retry(rctx, func() error { return c.current(rctx) }); err != nil {
		return store.Snapshot{}, c.fail(ctx, op, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.replica.state.get(prefix), nil
}
