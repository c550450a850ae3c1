package progress

import (
	"encoding/json"
	"io"
	"strings"
	"sync"
	"unicode"
)

// dryRunPrefix is compose's own (pkg/api, DRYRUN_PREFIX).
const dryRunPrefix = " DRY-RUN MODE - "

// lines is a display that writes each event as one line, at once. Its two functions return "" for what is not shown.
type lines struct {
	mu     sync.Mutex
	out    io.Writer
	hosts  bool
	closed bool
	last   map[key]Status // of each resource so far
	event  func(Event) string
	warn   func(string) string
	// ticks shows every step of a transfer, not only its first news.
	ticks bool
}

func (l *lines) Event(e Event) {
	if e.ID == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hosts {
		e.Host = ""
	}
	k := key{e.ID, e.Host}
	last, known := l.last[k]
	if known && e.pointless(last) || known && e.tick() && last == Working && !l.ticks {
		return
	}
	l.last[k] = e.Status
	l.write(l.event(e))
}

func (l *lines) Warn(sentence string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(l.warn(oneLine(sentence)))
}

// Yield has nothing to do: all is written already.
func (l *lines) Yield() {}

func (l *lines) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// write hands the line over in one call, so that other writers of the same file cannot cut it in two. A standard
// error that cannot be written to is no reason to stop the command.
func (l *lines) write(s string) {
	if s != "" && !l.closed {
		_, _ = io.WriteString(l.out, s+"\n")
	}
}

func newPlain(o Options) Display {
	return &lines{
		out: o.Out, hosts: o.Hosts, last: map[key]Status{},
		event: func(e Event) string { return plainLine(e, o.DryRun) },
		warn: func(s string) string {
			if o.DryRun {
				s = dryRunPrefix + s
			}
			return s
		},
	}
}

func newQuiet(o Options) Display {
	return &lines{
		out: o.Out, hosts: o.Hosts, last: map[key]Status{},
		event: func(e Event) string {
			if e.Status != Failed && e.Status != Warning {
				return ""
			}
			return plainLine(e, o.DryRun)
		},
		warn: func(s string) string { return s },
	}
}

// plainLine is compose's plain line, " Container p-web-1  Started", followed by the host and the details:
// " Container p-web-1  Error on host1: no space left on device".
func plainLine(e Event, dryRun bool) string {
	var b strings.Builder
	if dryRun {
		b.WriteString(dryRunPrefix)
	}
	b.WriteString(" " + oneLine(e.ID) + "  " + oneLine(e.Text))
	if e.Host != "" {
		b.WriteString(" on " + e.Host)
	}
	if e.Details != "" {
		b.WriteString(": " + oneLine(e.Details))
	}
	return b.String()
}

// message is one line of the JSON mode: compose v2.40's keys (pkg/progress/json.go), where the words of an event are
// the "status" and what explains them is the "text", and "host".
type message struct {
	DryRun  bool   `json:"dry-run,omitempty"`
	Tail    bool   `json:"tail,omitempty"` // a sentence to the user, not about one resource
	ID      string `json:"id,omitempty"`
	Host    string `json:"host,omitempty"`
	Text    string `json:"text,omitempty"`
	Status  string `json:"status,omitempty"`
	Current int64  `json:"current,omitempty"` // bytes
	Total   int64  `json:"total,omitempty"`   // bytes
	Percent int    `json:"percent,omitempty"`
}

func newJSON(o Options) Display {
	line := func(m message) string {
		m.DryRun = o.DryRun
		b, err := json.Marshal(m)
		if err != nil { // a struct of strings and numbers
			return ""
		}
		return string(b)
	}
	return &lines{
		out: o.Out, hosts: o.Hosts, last: map[key]Status{}, ticks: true,
		event: func(e Event) string {
			m := message{ID: e.ID, Host: e.Host, Text: e.Details, Status: e.Text, Current: e.Current, Total: e.Total}
			if e.Total > 0 {
				m.Percent = int(min(e.Current, e.Total) * 100 / e.Total)
			}
			return line(m)
		},
		warn: func(s string) string { return line(message{Tail: true, Text: s}) },
	}
}

// oneLine makes engine messages fit a line and keeps escape sequences in them from the terminal.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s))
}
