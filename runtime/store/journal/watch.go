package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"berth/runtime/store"
)

var _ store.PartsWatcher = (*Client)(nil)

// Watch implements store.Store.
func (c *Client) Watch(ctx context.Context, prefix string, after int64) <-chan store.Batch {
	return c.start(ctx, prefix, func(key string) bool { return strings.HasPrefix(key, prefix) }, after)
}

// WatchParts implements store.PartsWatcher. The log is read whole in any case.
func (c *Client) WatchParts(ctx context.Context, prefixes []string, after int64) <-chan store.Batch {
	return c.start(ctx, store.Common(prefixes), store.Under(prefixes), after)
}

// start has a watch of what is called so run in a goroutine of its own.
func (c *Client) start(ctx context.Context, what string, keep func(key string) bool, after int64) <-chan store.Batch {
	// Room for one: the last batch, which says why the watch ended, can then always be left for the reader.
	out := make(chan store.Batch, 1)
	if !c.spawn(func() { c.watch(ctx, what, &watcher{c: c, keep: keep, after: after, out: out}, out) }) {
		out <- store.Batch{Err: c.watchError(what, store.ErrClosed)}
		close(out)
	}
	return out
}

func (c *Client) watch(ctx context.Context, what string, w *watcher, out chan store.Batch) {
	defer close(out)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(store.ErrClosed) })
	defer func() { stop(); cancel(nil) }()
	err := w.run(ctx)
	end := store.Batch{Err: c.watchError(what, err)}
	if ctx.Err() == nil {
		select {
		case out <- end:
			return
		case <-ctx.Done():
		}
	}
	// The reader asked to end and may have left: what still lies there unread makes place for the last batch.
	end.Err = c.watchError(what, context.Cause(ctx))
	select {
	case <-out:
	default:
	}
	out <- end
}

// watcher is one watch.
type watcher struct {
	c     *Client
	keep  func(key string) bool
	after int64 // the revision that was last sent or passed over
	out   chan<- store.Batch
}

// run sends batches until ctx ends or history is missing.
func (w *watcher) run(ctx context.Context) error {
	n, err := w.begin(ctx)
	for err == nil {
		select {
		case <-n.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if n = n.next; n == nil {
			return store.ErrCompacted
		}
		err = w.send(ctx, n.revision, n.events)
	}
	return err
}

// begin returns the revision from which on memory has all that is still to be sent. What is older than memory it reads
// from the server.
func (w *watcher) begin(ctx context.Context) (*node, error) {
	c := w.c
	c.mu.Lock()
	tail := c.replica.tail
	c.mu.Unlock()
	if w.after == tail.revision {
		return tail, nil
	}
	var first *node
	err := retry(ctx, func() error {
		// The server says from where on there is history, whatever memory still has: all clients are told the same. What
		// is after its last revision was of a store that is no more.
		if err := c.current(ctx); err != nil {
			return err
		}
		c.mu.Lock()
		oldest, newest := c.head.Oldest, c.replica.tail.revision
		first = c.replica.first
		c.mu.Unlock()
		if w.after+1 < oldest || w.after > newest {
			return refuse(fmt.Errorf("%w: after %d, kept are %d to %d", store.ErrCompacted, w.after, oldest, newest))
		}
		err := c.records(ctx, w.after+1, first.revision, func(revision int64, r *record, _ int) error {
			if err := w.send(ctx, revision, r.events(revision)); err != nil {
				return refuse(err)
			}
			return nil
		})
		return err
	})
	return first, err
}

// send sends what of a revision is to be kept.
func (w *watcher) send(ctx context.Context, revision int64, events []store.Event) error {
	if revision <= w.after {
		return nil
	}
	b := store.Batch{Revision: revision}
	for _, e := range events {
		if w.keep(e.Key) {
			e.Value = bytes.Clone(e.Value)
			b.Events = append(b.Events, e)
		}
	}
	if len(b.Events) > 0 {
		select {
		case w.out <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.after = revision
	return nil
}

func (c *Client) watchError(what string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("store %s: watch %s: %w", c, what, err)
}
