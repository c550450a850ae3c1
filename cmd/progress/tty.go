package progress

import (
	"io"
	"strings"
	"sync"
	"time"

	"github.com/morikuni/aec"
)

// redraw is the time between two frames, compose's own.
const redraw = 100 * time.Millisecond

// key names a line.
type key struct{ id, host string }

// line is a resource as the screen shows it.
type line struct {
	Event
	start, end time.Time // end: of the last change to a final status
}

// elapsed is how long the resource has been, or was, worked on.
func (l *line) elapsed(now time.Time) time.Duration {
	if l.Status == Working {
		return now.Sub(l.start)
	}
	return l.end.Sub(l.start)
}

// tty keeps a block of live lines at the end of the terminal's output and rewrites it in place.
type tty struct {
	o     Options
	style style

	mu       sync.Mutex
	lines    []*line // in order of appearance
	index    map[key]*line
	warnings []string // not yet written
	changed  bool     // something to draw beside the clocks and spinners
	closed   bool

	// What the last frame left on the screen. The cursor is on the row below it.
	rows  []int // width in cells of each of its rows
	width int   // of the terminal then

	frames int // drawn so far; turns the spinners

	stop    chan struct{}
	stopped chan struct{}
}

func newTTY(o Options) *tty {
	if o.Title == "" {
		o.Title = "Running"
	}
	t := &tty{
		o: o, style: style{color: o.Color}, index: map[key]*line{},
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go t.run()
	return t
}

func (t *tty) Event(e Event) {
	if e.ID == "" {
		return
	}
	e.ID, e.Text, e.Details = oneLine(e.ID), oneLine(e.Text), oneLine(e.Details)
	if !t.o.Hosts {
		e.Host = ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	now := time.Now()
	k := key{e.ID, e.Host}
	l := t.index[k]
	if l == nil {
		l = &line{start: now}
		t.index[k] = l
		t.lines = append(t.lines, l)
	} else if e.pointless(l.Status) {
		return
	}
	if e.Status != Working && (e.Status != l.Status || l.end.IsZero()) {
		l.end = now
	}
	if e.tick() { // layers finish in any order: a transfer only goes forward
		e.Current, e.Total = max(e.Current, l.Current), max(e.Total, l.Total)
	}
	l.Event = e
	t.changed = true
}

func (t *tty) Warn(sentence string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.warnings = append(t.warnings, oneLine(sentence))
		t.changed = true
	}
}

func (t *tty) Yield() {
	t.draw(false)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = nil
}

func (t *tty) Close() {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.stop)
	}
	t.mu.Unlock()
	<-t.stopped
}

func (t *tty) run() {
	defer close(t.stopped)
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			t.draw(false)
		case <-t.stop:
			t.draw(true)
			return
		}
	}
}

// draw replaces the last frame by the present one, in one write. The final frame is never clipped to the terminal's
// height.
//
// The cursor is hidden only within that write, so that even a killed process leaves it visible.
func (t *tty) draw(final bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	working := len(t.lines) - t.finished()
	if len(t.lines)+len(t.warnings) == 0 || !final && !t.changed && working == 0 {
		return
	}
	width, height := t.size()
	var b strings.Builder
	b.WriteString(aec.Hide.String())
	if n := t.occupied(width); n > 0 {
		b.WriteString(aec.Up(uint(n)).String())
	}
	b.WriteString("\r")
	if width != t.width || len(t.warnings) > 0 {
		b.WriteString(eraseBelow)
	}
	for _, w := range t.warnings {
		if t.o.DryRun {
			w = strings.TrimSpace(dryRunPrefix) + " " + w
		}
		b.WriteString(t.style.warning(w) + "\n")
	}
	t.warnings, t.rows = nil, t.rows[:0]
	if len(t.lines) > 0 {
		limit := height - 1 // the cursor's own row
		if final {
			limit = 0
		}
		for _, r := range t.frame(time.Now(), width, limit) {
			b.WriteString(r.text + eraseRight + "\n")
			t.rows = append(t.rows, r.width)
		}
	}
	b.WriteString(eraseBelow)
	b.WriteString(aec.Show.String())
	t.width, t.changed = width, false
	t.frames++
	_, _ = io.WriteString(t.o.Out, b.String())
}

// Both leave the cursor where it is.
var (
	eraseRight = aec.EraseLine(aec.EraseModes.Tail).String()
	eraseBelow = aec.EraseDisplay(aec.EraseModes.Tail).String()
)

// occupied is how many rows of a terminal of this size the last frame takes. A terminal that has become narrower has
// wrapped the rows that no longer fit (all common ones reflow).
func (t *tty) occupied(width int) int {
	n := 0
	for _, w := range t.rows {
		n += max(1, (w+width-1)/width)
	}
	return n
}

func (t *tty) size() (width, height int) {
	if t.o.Size != nil {
		width, height = t.o.Size()
	}
	if width < 1 || height < 1 {
		return 80, 24
	}
	return width, max(height, 4)
}

func (t *tty) finished() int {
	n := 0
	for _, l := range t.lines {
		if l.Status != Working {
			n++
		}
	}
	return n
}
