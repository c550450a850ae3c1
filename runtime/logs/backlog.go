package logs

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// backlog is a feed while the logs that are there already are merged.
type backlog struct {
	*feed
	lines   chan Line
	started chan struct{} // closed when its request is made
	news    atomic.Int64  // when its request was made or last brought a line, Unix nanoseconds
	err     error         // of the request; to be read when lines is closed
	head    Line          // its next line
}

// mergeBacklogs hands all lines of the feeds to sink, a k-way merge: at any time it holds the next line of every feed,
// and at most heldLines more. It returns the feeds that came to their ends; the others have handed over what they could
// and are reported to r.
func (m Merger) mergeBacklogs(ctx context.Context, h *hosts, feeds []*feed, o Options, r *reporter, sink func(Stream, Line)) []*feed {
	o.Follow = false
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()

	room := max(1, min(64, heldLines/max(1, len(feeds))))
	all := make([]*backlog, len(feeds))
	for i, f := range feeds {
		b := &backlog{feed: f, lines: make(chan Line, room), started: make(chan struct{})}
		all[i] = b
		readers.Go(func() {
			defer close(b.lines)
			started := func() {
				b.news.Store(time.Now().UnixNano())
				close(b.started)
			}
			b.err = h.read(ctx, f, o, started, func(ctx context.Context, l Line) {
				select {
				case b.lines <- l:
					b.news.Store(time.Now().UnixNano())
				case <-ctx.Done():
				}
			})
		})
	}

	var whole []*feed
	heads := make(backlogHeap, 0, len(all))
	// next reads a feed's next line, or finds that there is none.
	next := func(b *backlog) bool {
		l, more, err := m.await(ctx, b)
		if err == nil && !more {
			err = b.err
		}
		switch {
		case err != nil && ctx.Err() == nil:
			r.ended(b.feed, err)
			return false
		case !more:
			whole = append(whole, b.feed)
			return false
		}
		b.head = l
		b.sortKey(l)
		return true
	}
	for _, b := range all {
		if next(b) {
			heads = append(heads, b)
		}
	}
	heap.Init(&heads)
	for len(heads) > 0 && ctx.Err() == nil {
		b := heads[0]
		sink(b.Stream, b.head)
		b.passed(b.head)
		if next(b) {
			heap.Fix(&heads, 0)
		} else {
			heap.Pop(&heads)
		}
	}
	slices.SortFunc(whole, func(a, b *feed) int { return a.order - b.order })
	return whole
}

// await returns the next line of a backlog; false at its end, and an error when it does not come.
func (m Merger) await(ctx context.Context, b *backlog) (Line, bool, error) {
	select {
	case l, more := <-b.lines:
		return l, more, nil
	default:
	}
	m.Idle()
	// Waiting for its turn is no stall of its own: turns always come.
	select {
	case <-b.started:
	case l, more := <-b.lines:
		return l, more, nil
	case <-ctx.Done():
		return Line{}, false, context.Cause(ctx)
	}
	stall := time.NewTimer(time.Until(time.Unix(0, b.news.Load()).Add(m.Stall)))
	defer stall.Stop()
	select {
	case l, more := <-b.lines:
		return l, more, nil
	case <-stall.C:
		return Line{}, false, fmt.Errorf("no line and no end for %s", m.Stall)
	case <-ctx.Done():
		return Line{}, false, context.Cause(ctx)
	}
}

// backlogHeap has the feed with the earliest head first.
type backlogHeap []*backlog

func (h backlogHeap) Len() int { return len(h) }
func (h backlogHeap) Less(i, j int) bool {
	if c := h[i].key.Compare(h[j].key); c != 0 {
		return c < 0
	}
	return h[i].order < h[j].order
}
func (h backlogHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *backlogHeap) Push(x any)   { *h = append(*h, x.(*backlog)) }
func (h *backlogHeap) Pop() any {
	last := len(*h) - 1
	b := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return b
}
