package logs

import (
	"context"
	"errors"
	"sync"
	"time"
)

// feed is a stream while it is merged.
type feed struct {
	Stream
	order int       // of the stream, for lines of one time
	key   time.Time // what its latest line is sorted by
	last  time.Time // latest time of the lines that went to the sink
	since int       // how many went there since the first of that time, it included
}

// sortKey is the time that a line is sorted by: its own, but never before the line that it follows in its log.
func (f *feed) sortKey(l Line) time.Time {
	if l.Time.After(f.key) {
		f.key = l.Time
	}
	return f.key
}

// passed notes that a line went to the sink, so that following can go on after it: an engine that is asked for lines
// since a time begins with the first one that is not earlier, and goes on from there whatever the times are (moby's
// loggerutils, logfile.go). So the lines since that one are those to skip.
func (f *feed) passed(l Line) {
	if l.Time.After(f.last) {
		f.last, f.since = l.Time, 0
	}
	f.since++
}

// hosts gives requests their turns and cancels those to a lost host.
type hosts struct {
	opening int

	mu    sync.Mutex
	gates map[string]chan struct{} // by host: tokens of requests not yet answered
	open  map[string]map[*feed]context.CancelCauseFunc
	lost  map[string]error
}

func newHosts(opening int) *hosts {
	return &hosts{
		opening: opening, gates: map[string]chan struct{}{}, open: map[string]map[*feed]context.CancelCauseFunc{},
		lost: map[string]error{},
	}
}

// lose gives up all requests to a host, with cause.
func (h *hosts) lose(host string, cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost[host] != nil {
		return
	}
	h.lost[host] = cause
	for _, cancel := range h.open[host] {
		cancel(cause)
	}
}

// regain lets requests to a host through again, and reports nothing that is lost already.
func (h *hosts) regain(host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.lost, host)
}

// enter registers a feed's request and returns its context and its host's gate.
func (h *hosts) enter(ctx context.Context, f *feed) (context.Context, chan struct{}) {
	ctx, cancel := context.WithCancelCause(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	gate := h.gates[f.Host]
	if gate == nil {
		gate = make(chan struct{}, h.opening)
		h.gates[f.Host] = gate
		h.open[f.Host] = map[*feed]context.CancelCauseFunc{}
	}
	h.open[f.Host][f] = cancel
	if err := h.lost[f.Host]; err != nil {
		cancel(err)
	}
	return ctx, gate
}

// leave ends what enter began.
func (h *hosts) leave(f *feed) {
	h.mu.Lock()
	cancel := h.open[f.Host][f]
	delete(h.open[f.Host], f)
	h.mu.Unlock()
	cancel(nil)
}

// read runs one request: it waits for its turn, calls started, and hands the lines to emit until the source returns.
// The error says why there is nothing more: nil at the end of the log; an error that wraps ErrHostLost takes the
// host's other requests along.
func (h *hosts) read(ctx context.Context, f *feed, o Options, started func(), emit func(context.Context, Line)) error {
	ctx, gate := h.enter(ctx, f)
	defer h.leave(f)
	select {
	case gate <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	answered := sync.OnceFunc(func() { <-gate })
	defer answered()
	defer time.AfterFunc(openingTime, answered).Stop()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	started()
	o.Timestamps, o.Opened = true, answered
	err := f.Source.Logs(ctx, f.ID, o, func(l Line) {
		answered()
		emit(ctx, l)
	})
	if ctx.Err() != nil { // the cause is more than the source can know
		return context.Cause(ctx)
	}
	if errors.Is(err, ErrHostLost) {
		h.lose(f.Host, err)
	}
	return err
}
