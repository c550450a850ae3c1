package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"berth/runtime/store"
)

// rewatchWait is how long a watch that the store ended (its member lost the leader) waits before it asks the next
// member.
const rewatchWait = 50 * time.Millisecond

// Watch implements store.Store.
func (s *client) Watch(ctx context.Context, prefix string, after int64) <-chan store.Batch {
	return s.start(ctx, prefix, after, func(ctx context.Context, next int64, out chan<- store.Batch) (int64, error) {
		return s.watchFrom(ctx, prefix, nil, next, out)
	})
}

// follower sends the batches from revision next on until the store ends the watch, and returns where to go on; an error when
// that makes no sense.
type follower func(ctx context.Context, next int64, out chan<- store.Batch) (int64, error)

// start has a watch of what is called so run in a goroutine of its own.
func (s *client) start(ctx context.Context, what string, after int64, from follower) <-chan store.Batch {
	// Room for one: the last batch, which says why the watch ended, can then always be left for the reader.
	out := make(chan store.Batch, 1)
	if !s.spawn(func() { s.watch(ctx, what, after, from, out) }) {
		out <- store.Batch{Err: s.watchError(what, store.ErrClosed)}
		close(out)
	}
	return out
}

func (s *client) watch(ctx context.Context, what string, after int64, from follower, out chan store.Batch) {
	defer close(out)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The wait for done has an owner too: it ends with ctx, and ctx before this function.
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-s.done:
			cancel(store.ErrClosed)
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(nil); <-stopped }()

	next, err := after+1, error(nil)
	for err == nil {
		next, err = from(ctx, next, out)
	}
	end := store.Batch{Err: s.watchError(what, err)}
	if ctx.Err() == nil {
		select {
		case out <- end:
			return
		case <-ctx.Done():
			end.Err = s.watchError(what, context.Cause(ctx))
		}
	}
	// The reader asked to end and may have left: what still lies there unread makes place for the last batch.
	select {
	case <-out:
	default:
	}
	out <- end
}

// watchFrom is the follower of one prefix, or of those of its keys that keep, unless it is nil, is true of. The etcd client mends lost connections itself, from the revision after the last
// event. It also puts fragments together, and etcd never cuts one revision in two answers otherwise (it cuts them
// between revisions), so that a batch always is a whole revision.
func (s *client) watchFrom(ctx context.Context, prefix string, keep func(key string) bool, next int64, out chan<- store.Batch) (int64, error) {
	wctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	from, end := span(prefix)
	// Progress notes carry the revision forward while nothing happens under the prefix, so that going on after a
	// quiet hour does not ask for compacted history.
	for resp := range s.etcd.Watch(wctx, from, clientv3.WithRange(end), clientv3.WithRev(next), clientv3.WithProgressNotify()) {
		if err := resp.Err(); err != nil {
			if resp.CompactRevision != 0 || is(err, rpctypes.ErrCompacted) {
				return next, store.ErrCompacted
			}
			if code, _ := kind(err); code == codes.PermissionDenied || code == codes.InvalidArgument || code == codes.Unauthenticated {
				return next, err
			}
			break // no leader, or a lost connection that the client could not place: another member may do better
		}
		for _, batch := range split(resp.Events) {
			if batch.Revision < next {
				continue
			}
			if keep != nil {
				batch.Events = slices.DeleteFunc(batch.Events, func(e store.Event) bool { return !keep(e.Key) })
			}
			if len(batch.Events) == 0 {
				next = batch.Revision + 1
				continue
			}
			select {
			case out <- batch:
				next = batch.Revision + 1
			case <-ctx.Done():
				return next, context.Cause(ctx)
			}
		}
		if resp.IsProgressNotify() {
			next = max(next, resp.Header.Revision+1)
		}
	}
	select {
	case <-ctx.Done():
		return next, context.Cause(ctx)
	case <-time.After(rewatchWait):
		return next, nil
	}
}

// split cuts the events of one answer, which are in the order of their revisions, into one batch for each revision.
func split(events []*clientv3.Event) []store.Batch {
	var out []store.Batch
	for _, ev := range events {
		e := store.Event{Pair: pair(ev.Kv)}
		if ev.Type == clientv3.EventTypeDelete {
			e = store.Event{Pair: store.Pair{Key: e.Key, Modified: e.Modified}, Deleted: true}
		}
		if n := len(out); n > 0 && out[n-1].Revision == e.Modified {
			out[n-1].Events = append(out[n-1].Events, e)
		} else {
			out = append(out, store.Batch{Revision: e.Modified, Events: []store.Event{e}})
		}
	}
	return out
}

func (s *client) watchError(what string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("store %s: watch %s: %w", s, what, err)
}
