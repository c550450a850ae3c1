package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"berth/runtime/store"
)

// Watch implements store.Store.
func (c *Client) Watch(ctx context.Context, prefix string, after int64) <-chan store.Batch {
	// Room for one: the last batch, which says why the watch ended, can then always be left for the reader.
	out := make(chan store.Batch, 1)
	if !c.spawn(func() { c.watch(ctx, prefix, after, out) }) {
		out <- store.Batch{Err: c.watchError(prefix, store.ErrClosed)}
		close(out)
	}
	return out
}

func (c *Client) watch(ctx context.Context, prefix string, after int64, out chan store.Batch) {
	defer close(out)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(store.ErrClosed) })
	defer func() { stop(); cancel(nil) }()
	w := &watcher{c: c, prefix: prefix, after: after, out: out}
	err := w.run(ctx)
	end := store.Batch{Err: c.watchError(prefix, err)}
	if ctx.Err() == nil {
		select {
		case out <- end:
			return
		case <-ctx.Done():
		}
	}
	// The reader asked to end and may have left: what still lies there unread makes place for the last batch.
	end.Err = c.watchError(prefix, context.Cause(ctx))
	select {
	case <-out:
	default:
	}
	out <- end
}

// watcher is one watch.
type watcher struct {
	c      *Client
	prefix string
	after  int64 // the revision that was last sent or passed over
	out    chan<- store.Batch
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

// send sends what of a revision is under the prefix.
func (w *watcher) send(ctx context.Context, revision int64, events []store.Event) error {
	if revision <= w.after {
		return nil
	}
	b := store.Batch{Revision: revision}
	for _, e := range events {
		if strings.HasPrefix(e.Key, w.prefix) {
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

func (c *Client) watchError(prefix string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("store %s: watch %s: %w", c, prefix, err)
}
