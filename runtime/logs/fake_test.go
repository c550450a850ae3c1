package logs

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when the clock of a synctest bubble begins.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// at is a time some milliseconds after start.
func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// journal is a container's log as an engine keeps it: Since finds the first line, Tail counts from the end, Follow waits.
type journal struct {
	mu       sync.Mutex
	changed  chan struct{} // closed at every change
	lines    []Line
	ended    bool
	err      error
	requests []Options

	hang  bool // never answer
	quiet bool // do not call Opened
	gauge *gauge
	delay time.Duration // before it answers
}

func newJournal(lines ...Line) *journal {
	return &journal{changed: make(chan struct{}), lines: lines}
}

func line(ms int, text string) Line { return Line{Time: at(ms), Text: []byte(text)} }

func (j *journal) change(f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f()
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *journal) write(lines ...Line) { j.change(func() { j.lines = append(j.lines, lines...) }) }
func (j *journal) end(err error)       { j.change(func() { j.ended, j.err = true, err }) }

func (j *journal) Logs(ctx context.Context, _ string, o Options, emit func(Line)) error {
	if j.gauge != nil {
		j.gauge.add(1)
	}
	j.mu.Lock()
	j.requests = append(j.requests, o)
	j.mu.Unlock()
	if j.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if j.delay > 0 {
		select {
		case <-time.After(j.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if j.gauge != nil {
		j.gauge.add(-1)
	}
	if o.Opened != nil && !j.quiet {
		o.Opened()
	}
	next := 0
	if n, err := strconv.Atoi(o.Tail); err == nil {
		j.mu.Lock()
		next = max(0, len(j.lines)-n)
		j.mu.Unlock()
	}
	since, _ := time.Parse(time.RFC3339Nano, o.Since)
	for {
		j.mu.Lock()
		lines, changed, ended, err := j.lines[min(next, len(j.lines)):], j.changed, j.ended, j.err
		j.mu.Unlock()
		for _, l := range lines {
			next++
			if !l.Time.Before(since) {
				since = time.Time{} // as the engine does, for clocks that jump
				emit(l)
			}
		}
		if !o.Follow || ended {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gauge remembers how many there were at most.
type gauge struct {
	mu       sync.Mutex
	now, top int
}

func (g *gauge) add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	g.top = max(g.top, g.now)
}

// streams makes one stream a source, web-1, web-2 …, all on host a.
func streams(sources ...Source) []Stream {
	var all []Stream
	for i, s := range sources {
		label := fmt.Sprintf("web-%d", i+1)
		all = append(all, Stream{Container: "p-" + label, Label: label, Host: "a", ID: label, Source: s})
	}
	return all
}

// run is a merge in the background of a bubble, and what came out of it: "web-1:text" for lines, sentences for notices.
type run struct {
	t      *testing.T
	mu     sync.Mutex
	out    []string
	done   chan struct{}
	err    error
	cancel context.CancelFunc
}

func begin(t *testing.T, m Merger, all []Stream, o Options) (*run, *Follower) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &run{t: t, done: make(chan struct{}), cancel: cancel}
	m.Report = func(n Notice) { r.add(n.String()) }
	f := NewFollower(m, all, o)
	go func() {
		defer close(r.done)
		r.err = f.Run(ctx, func(s Stream, l Line) { r.add(s.Label + ":" + string(l.Text)) })
	}()
	synctest.Wait()
	return r, f
}

func (r *run) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out = append(r.out, s)
}

// want checks what came since the last call.
func (r *run) want(lines ...string) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if got, want := strings.Join(r.out, "\n"), strings.Join(lines, "\n"); got != want {
		r.t.Errorf("at %s came:\n%s\nwant:\n%s", time.Since(start), got, want)
	}
	r.out = nil
}

// stop interrupts the merge and waits for it.
func (r *run) stop() {
	r.cancel()
	<-r.done
}

// pass lets time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
