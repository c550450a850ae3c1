package etcd

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"berth/runtime/store"
)

var _ store.PartsWatcher = (*client)(nil)

// Pauses between two requests for progress: while events wait for it, doubled from the first to the last, and while there
// is nothing to wait for, so that going on after a quiet hour does not ask for compacted history.
const (
	firstAsk = 20 * time.Millisecond
	lastAsk  = time.Second
	quietAsk = time.Minute
)

// WatchParts implements store.PartsWatcher. A server whose word about progress cannot be relied on is watched at what all
// prefixes begin with.
func (s *client) WatchParts(ctx context.Context, prefixes []string, after int64) <-chan store.Batch {
	common := store.Common(prefixes)
	if len(prefixes) < 2 {
		return s.Watch(ctx, common, after)
	}
	keep := store.Under(prefixes)
	return s.start(ctx, common, after, func(ctx context.Context, next int64, out chan<- store.Batch) (int64, error) {
		told, err := s.tellsProgress(ctx)
		switch {
		case err != nil:
			return next, pause(ctx)
		case told:
			return s.partsFrom(ctx, prefixes, next, out)
		}
		return s.watchFrom(ctx, common, keep, next, out)
	})
}

// parts is a watch of several prefixes under way. etcd watches each by itself, in one stream, and promises an order among
// the events of one prefix only. So events are held until the server says that it has sent, for all of them, everything up
// to a revision, and then leave in its order. It is asked when there is something to hold: foreign changes cost nothing.
type parts struct {
	stream  grpc.BidiStreamingClient[etcdserverpb.WatchRequest, etcdserverpb.WatchResponse]
	missing int // prefixes that the server does not watch yet
	held    []*mvccpb.Event
	next    int64 // what is before has been sent on
}

// partsFrom is the follower of several prefixes.
func (s *client) partsFrom(ctx context.Context, prefixes []string, next int64, out chan<- store.Batch) (int64, error) {
	wctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	stream, err := etcdserverpb.NewWatchClient(s.etcd.ActiveConnection()).Watch(wctx, grpc.MaxCallRecvMsgSize(math.MaxInt32))
	if err != nil {
		return next, s.broken(ctx, err)
	}
	p := &parts{stream: stream, missing: len(prefixes), next: next}
	answers := make(chan *etcdserverpb.WatchResponse)
	var ended error // of the stream; set before answers is closed
	go func() {     // until the stream ends, which it does with wctx
		defer close(answers)
		for {
			r, err := stream.Recv()
			if err != nil {
				ended = err
				return
			}
			select {
			case answers <- r:
			case <-wctx.Done():
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range answers { // until it is closed
		}
	}()
	for _, prefix := range prefixes {
		from, end := span(prefix)
		create := &etcdserverpb.WatchCreateRequest{Key: []byte(from), RangeEnd: []byte(end), StartRevision: next}
		if stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: create}}) != nil {
			break // the receiver learns why
		}
	}
	again := time.NewTimer(quietAsk)
	defer again.Stop()
	wait := firstAsk
	for {
		select {
		case r, ok := <-answers:
			if !ok {
				return p.next, s.broken(ctx, ended)
			}
			waited := len(p.held) > 0
			if err := p.take(ctx, r, out); err != nil {
				return p.next, err
			}
			if r.Canceled { // for want of a leader, say: another member may do better
				return p.next, pause(ctx)
			}
			if len(p.held) == 0 {
				again.Reset(quietAsk)
			} else if !waited || r.WatchId == clientv3.InvalidWatchID || p.missing == 0 && r.Created {
				wait = firstAsk
				p.ask()
				again.Reset(wait)
			}
		case <-again.C:
			p.ask()
			if wait = min(2*wait, lastAsk); len(p.held) == 0 {
				wait = quietAsk
			}
			again.Reset(wait)
		case <-ctx.Done():
			return p.next, context.Cause(ctx)
		}
	}
}

// ask has the server say how far it is, if it watches all prefixes. One that is not as far with all of them says nothing.
func (p *parts) ask() {
	if p.missing == 0 {
		// An error ends the stream, and the receiver learns it.
		_ = p.stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_ProgressRequest{ProgressRequest: &etcdserverpb.WatchProgressRequest{}}})
	}
}

// take takes an answer in, and sends on what is complete by it.
func (p *parts) take(ctx context.Context, r *etcdserverpb.WatchResponse, out chan<- store.Batch) error {
	switch {
	case r.CompactRevision != 0:
		return store.ErrCompacted
	case r.Created:
		p.missing--
	case r.WatchId == clientv3.InvalidWatchID && len(r.Events) == 0 && !r.Canceled:
		return p.release(ctx, r.Header.Revision, out)
	default:
		p.held = append(p.held, r.Events...)
	}
	return nil
}

// release sends on all events up to a revision, in its order.
func (p *parts) release(ctx context.Context, revision int64, out chan<- store.Batch) error {
	slices.SortStableFunc(p.held, func(a, b *mvccpb.Event) int { return int(a.Kv.ModRevision - b.Kv.ModRevision) })
	complete := 0
	for complete < len(p.held) && p.held[complete].Kv.ModRevision <= revision {
		complete++
	}
	for _, b := range split(p.held[:complete]) {
		select {
		case out <- b:
			p.next = b.Revision + 1
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	p.held = slices.Delete(p.held, 0, complete)
	p.next = max(p.next, revision+1)
	return nil
}

// broken is what a watch makes of an error: none when trying again makes sense.
func (s *client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch code, _ := kind(err); code {
	case codes.PermissionDenied, codes.InvalidArgument, codes.Unauthenticated:
		return err
	}
	return pause(ctx)
}

// pause waits a moment before a watch goes on.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(rewatchWait):
		return nil
	}
}

// tellsProgress reports whether the server says that it has sent everything up to a revision only when it has: 3.4.31 and
// later of 3.4, 3.5.13 and later (etcd's issues 15220 and 17507).
func (s *client) tellsProgress(ctx context.Context) (bool, error) {
	rctx, cancel := s.request(ctx)
	defer cancel()
	r, err := etcdserverpb.NewMaintenanceClient(s.etcd.ActiveConnection()).Status(rctx, &etcdserverpb.StatusRequest{})
	if err != nil {
		return false, err
	}
	return progressSince(r.Version), nil
}

// progressSince is tellsProgress of a version.
func progressSince(version string) bool {
	var major, minor, patch int
	version, _, _ = strings.Cut(version, "-")
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return false
	}
	switch {
	case major != 3:
		return major > 3
	case minor == 4:
		return patch >= 31
	case minor == 5:
		return patch >= 13
	}
	return minor > 5
}
