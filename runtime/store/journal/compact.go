package journal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"berth/runtime/store"
)

// The log since the base is long when it has so many records or bytes: the state is then written anew. A base is read
// whole by whoever opens the store, and written whole here, so it is not done for less than its own size.
const (
	longRecords = 500
	longBytes   = 1 << 20
)

// compactIfLong begins to compact the log when it has become long. The history that watches may ask for stays: up to
// keepRecords records of up to keepBytes.
func (c *Client) compactIfLong() {
	c.mu.Lock()
	since := c.replica.tail.revision - c.head.Base.Revision
	size := 0
	if c.head.Base.Blob != nil {
		size = c.head.Base.Blob.Size
	}
	long := since >= longRecords || c.replica.logged >= max(longBytes, size)
	due := long && !c.packing && c.replica.tail.revision-c.replica.packed >= longRecords/10
	if due {
		c.packing = true
		c.replica.packed = c.replica.tail.revision
	}
	c.mu.Unlock()
	if !due {
		return
	}
	done := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.packing = false
	}
	if !c.spawn(func() {
		defer done()
		// One that fails is tried again by whoever writes later.
		_ = c.compact(c.ctx, 0)
	}) {
		done()
	}
}

// Compact writes the state as the new base and deletes the records before a revision, of which no watch can be sent any
// more. It is done by itself when the log is long.
func (c *Client) Compact(ctx context.Context, before int64) error {
	const op = "compact"
	if err := c.ended(ctx); err != nil {
		return c.fail(ctx, op, err)
	}
	rctx, cancel := c.request(ctx)
	defer cancel()
	if err := retry(rctx, func() error { return c.current(rctx) }); err != nil {
		return c.fail(ctx, op, err)
	}
	if err := c.compact(ctx, before); err != nil {
		return c.fail(ctx, op, err)
	}
	return nil
}

// compact makes the base of the state as it is, and the revision before the oldest; 0: what history does not need.
func (c *Client) compact(ctx context.Context, before int64) error {
	c.mu.Lock()
	revision := c.replica.state.revision
	saved := c.replica.state.save()
	oldest := max(before, c.head.Oldest)
	if before == 0 {
		oldest = max(oldest, c.replica.first.revision+1, revision-keepRecords)
		oldest = max(min(oldest, revision-keepLeast), c.head.Oldest)
	}
	oldest = min(oldest, revision+1) // what comes after the base is part of the state
	c.mu.Unlock()
	content, err := encode(saved)
	if err != nil {
		return err
	}
	rctx, cancel := c.request(ctx)
	defer cancel()
	b, err := c.writeBlob(rctx, revision, content)
	if err != nil {
		return err
	}
	_, err = c.append(ctx, func(s *state) (*change, error) {
		if c.head.Base.Revision >= revision || s.revision-revision > blobAge {
			return nil, nil // somebody else was quicker
		}
		ch := &change{record: &record{}, body: &body{}, head: func(h *head) {
			h.Base = base{Revision: revision, Blob: b}
			h.Oldest = max(h.Oldest, oldest)
		}}
		s.place(ch.record, ch.body)
		return ch, nil
	})
	if err != nil {
		return err
	}
	rctx, cancel = c.request(ctx)
	defer cancel()
	return c.sweep(rctx)
}

// sweep deletes records older than the oldest, and blobs that nothing speaks of any more: they are so much older than
// the oldest record that none can, and not the base's.
func (c *Client) sweep(ctx context.Context) error {
	c.mu.Lock()
	h := c.head
	c.mu.Unlock()
	var names []string
	for folder, before := range map[string]int64{Log: h.Oldest, Blobs: min(h.Oldest, h.Revision-keepLeast) - blobAge} {
		there, err := c.b.List(ctx, folder)
		if err != nil {
			return err
		}
		for _, name := range there {
			if r := revisionOf(name); r != 0 && r < before && !h.base(name) {
				names = append(names, folder+"/"+name)
			}
		}
	}
	slices.Sort(names)
	if err := c.b.Delete(ctx, names); err != nil {
		return fmt.Errorf("delete what is no longer needed: %w", err)
	}
	return nil
}

// base reports whether a name under Blobs is a part of the base.
func (h head) base(name string) bool {
	return h.Base.Blob != nil && strings.HasPrefix(name, h.Base.Blob.Name+"-")
}

var _ store.Store = (*Client)(nil)
