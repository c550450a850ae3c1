package logs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrClosed is what Add returns when the follower takes no more streams.
var ErrClosed = errors.New("logs: the follower is closed")

// Follower merges streams and takes further ones while it runs. Its methods are safe for concurrent use; Run is called
// once.
type Follower struct {
	m     Merger
	o     Options
	hosts *hosts
	first []*feed
	wake  chan struct{} // something was added, or closed

	mu     sync.Mutex
	orders int
	added  []addition
	closed bool
}

// addition is a stream that Run has not begun to read.
type addition struct {
	feed *feed
	o    Options
}

// NewFollower prepares to merge streams, and those that Add will bring, until Close.
func NewFollower(m Merger, streams []Stream, o Options) *Follower {
	m = m.withDefaults()
	f := &Follower{m: m, o: o, hosts: newHosts(m.Opening), wake: make(chan struct{}, 1)}
	for _, s := range streams {
		f.first = append(f.first, f.feed(s))
	}
	return f
}

func (f *Follower) feed(s Stream) *feed {
	f.orders++
	return &feed{Stream: s, order: f.orders}
}

// Now is the time to give Follower.Add for a container of which nothing is wanted that it has written before.
const Now = "now"

// Add begins to follow a further container, with all its lines from since on; "" is the follower's own Since and Tail. A
// host that was lost counts as back.
func (f *Follower) Add(s Stream, since string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	o := f.o
	switch since {
	case "":
	case Now:
		o.Since, o.Tail = "", "0"
	default:
		o.Since, o.Tail = since, "all"
	}
	f.hosts.regain(s.Host)
	f.added = append(f.added, addition{f.feed(s), o})
	f.signal()
	return nil
}

// Lost gives up the streams of a host that is known to be out of reach. Without it, a connection that died in silence
// looks like a container that writes nothing.
func (f *Follower) Lost(host string, cause error) {
	if cause == nil {
		cause = ErrHostLost
	}
	if !errors.Is(cause, ErrHostLost) {
		cause = fmt.Errorf("%w: %w", ErrHostLost, cause)
	}
	f.hosts.lose(host, cause)
}

// Close says that no more streams come: Run returns when the present ones have ended.
func (f *Follower) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.signal()
}

func (f *Follower) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// take returns what was added since the last call, and whether more may come.
func (f *Follower) take() (added []addition, open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	added, f.added = f.added, nil
	return added, !f.closed
}

// Run hands the lines to sink, from the calling goroutine: first all that the logs hold already, sorted as Merge
// promises; then, with Options.Follow, what the containers write, sorted within Merger.Window. It returns when all
// streams have ended and Close was called, or when ctx is done, and leaves no goroutine behind. Its error is Merge's.
func (f *Follower) Run(ctx context.Context, sink func(Stream, Line)) error {
	defer f.m.Idle()
	defer f.Close()
	r := &reporter{report: f.m.Report, lost: map[string]bool{}}

	// The engine does not say where a followed log stops being the past. So the past is read by requests of their
	// own, and following goes on after the last line of each, which the engine finds by its time.
	live := make([]addition, 0, len(f.first))
	if f.o.Follow && f.o.Tail == "0" {
		for _, x := range f.first {
			live = append(live, addition{x, f.o})
		}
	} else {
		whole := f.m.mergeBacklogs(ctx, f.hosts, f.first, f.o, r, sink)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for _, x := range whole {
			o := f.o
			o.Tail = "all" // nothing there yet: all that comes is new
			if x.since > 0 {
				o.Since = x.last.UTC().Format(time.RFC3339Nano)
			}
			live = append(live, addition{x, o})
		}
	}
	if f.o.Follow {
		if err := f.follow(ctx, live, r, sink); err != nil {
			return err
		}
	}
	return r.result()
}

// follow hands over lines as they are written.
func (f *Follower) follow(ctx context.Context, live []addition, r *reporter, sink func(Stream, Line)) error {
	reading, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()

	arrivals := make(chan arrival, 64)
	active := 0
	begin := func(a addition) {
		active++
		x, o, seen := a.feed, a.o, a.feed.since
		o.Follow = true
		from := x.last
		readers.Go(func() {
			err := f.hosts.read(reading, x, o, func() {}, func(ctx context.Context, l Line) {
				if seen > 0 && !l.Time.After(from) { // handed over with the backlog
					seen--
					return
				}
				seen = 0
				select {
				case arrivals <- arrival{feed: x, line: l}:
				case <-ctx.Done():
				}
			})
			if reading.Err() != nil { // interrupted, not ended
				return
			}
			select {
			case arrivals <- arrival{feed: x, end: true, err: err}:
			case <-reading.Done():
			}
		})
	}
	for _, a := range live {
		begin(a)
	}

	w := &window{size: f.m.Window, limit: heldLines}
	out := func(a arrival) {
		if a.end {
			r.ended(a.feed, a.err)
			return
		}
		sink(a.feed.Stream, a.line)
		a.feed.passed(a.line)
	}
	receive := func(a arrival) {
		if a.end {
			active--
		}
		now := time.Now()
		w.push(a, now)
		w.release(now, out)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		added, open := f.take()
		for _, a := range added {
			r.regained(a.feed.Host)
			begin(a)
		}
		select {
		case a := <-arrivals:
			receive(a)
			continue
		default:
		}
		w.release(time.Now(), out)
		var due <-chan time.Time // the timer runs only while something waits
		if at, some := w.next(); some {
			timer.Reset(time.Until(at))
			due = timer.C
		} else if active == 0 && !open {
			return nil
		}
		f.m.Idle()
		select {
		case a := <-arrivals:
			receive(a)
		case <-due:
		case <-f.wake:
		case <-ctx.Done():
			w.flush(out) // received before the interruption
			return context.Cause(ctx)
		}
	}
}

// reporter turns the ends of feeds into notices, one a lost host.
type reporter struct {
	report func(Notice)
	lost   map[string]bool
	broken int
}

// ended reports that a feed has ended, and why.
func (r *reporter) ended(f *feed, err error) {
	n := Notice{Kind: Broken, Stream: f.Stream, Last: f.last, Err: err}
	switch {
	case err == nil:
		n.Kind = Ended
	case errors.Is(err, ErrHostLost):
		r.broken++
		if r.lost[f.Host] {
			return
		}
		r.lost[f.Host] = true
		n = Notice{Kind: HostLost, Stream: Stream{Host: f.Host}, Err: err}
	default:
		r.broken++
	}
	r.report(n)
}

// regained lets a host be lost again.
func (r *reporter) regained(host string) { delete(r.lost, host) }

func (r *reporter) result() error {
	switch r.broken {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: 1 container's log broke off", ErrIncomplete)
	}
	return fmt.Errorf("%w: %d containers' logs broke off", ErrIncomplete, r.broken)
}
