// Package logs merges the logs of containers on many hosts in the order of time, and prints them as docker compose
// does.
//
// Merge reads a set of streams; with Options.Follow it goes on with what the containers write, and a Follower takes
// further streams while it runs. A stream that breaks is reported and never stops the others.
//
// One request a container stays open for as long as its lines are merged: the engines offer no request for several
// containers, and a merge needs the next line of every stream before it may print any. With hundreds of streams the
// cost is a connection and a goroutine each; what is bounded is the lines held in memory and the requests that a host
// has to answer at one moment (see Merger).
package logs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrHostLost is wrapped by a source's error when the whole host is out of reach: its other streams are given up at
// once, and the user reads one sentence for all of them.
var ErrHostLost = errors.New("the host is lost")

// ErrIncomplete is wrapped by the error of a merge that went to its end without some of the streams; each was reported.
var ErrIncomplete = errors.New("logs are incomplete")

// Options choose lines. Merge hands them to every source, so Tail counts per container, as in compose.
type Options struct {
	Follow     bool
	Timestamps bool   // of sources: set Line.Time. Merge always sets it; printing the time is the Printer's business
	Tail       string // number of last lines, "all" or ""
	Since      string // inclusive; a time (RFC 3339) or a duration back from now ("42m"), as the engine's client takes them
	Until      string

	// Opened is called by a source once the engine has answered, before the first line. It may be nil. A source that
	// does not call it only makes the opening of many streams slower.
	Opened func()
}

// Line is one line of a container's log.
type Line struct {
	Time   time.Time // when the engine got it, the host's clock
	Stderr bool
	Text   []byte // without the line end; the receiver owns it
}

// Source reads the log of one container.
type Source interface {
	// Logs calls emit for the lines that o chooses, in the order of the log, from one goroutine, and returns when
	// there are no more: at the end of the log, or with Follow when the container has ended. emit may block; after ctx
	// is done it returns at once and drops the line. Logs must return soon after ctx is done.
	Logs(ctx context.Context, id string, o Options, emit func(Line)) error
}

// Stream is the log of one container.
type Stream struct {
	Container string // full name: "p-web-1"
	Label     string // what prefixes its lines: "web-1"
	Host      string
	ID        string // container ID, handed to Source
	Source    Source
}

// Kind says what a Notice is about.
type Kind int

// The kinds of notices.
const (
	Ended    Kind = iota // while following: the container writes no more
	Broken               // the stream failed before its end
	HostLost             // all streams of Stream.Host failed; only that field is set
)

// Notice tells what happened to a stream, after its last line.
type Notice struct {
	Kind   Kind
	Stream Stream
	Last   time.Time // latest time of its lines; zero when there was none
	Err    error     // of Broken and HostLost
}

// String is the notice as a sentence for the user.
func (n Notice) String() string {
	switch n.Kind {
	case Broken:
		where := n.Stream.Container
		if n.Stream.Host != "" {
			where += " on host " + n.Stream.Host
		}
		return fmt.Sprintf("logs: %s: the log broke off, the others go on: %v", where, n.Err)
	case HostLost:
		return fmt.Sprintf("logs: host %s: no more logs from there, the others go on: %v", n.Stream.Host, n.Err)
	}
	return fmt.Sprintf("logs: %s: the log has ended", n.Stream.Container)
}

// The defaults of a Merger.
const (
	DefaultWindow  = 50 * time.Millisecond
	DefaultStall   = 30 * time.Second
	DefaultOpening = 8
)

const (
	// heldLines is how many lines a merge holds in memory, however many streams there are; no stream has less than one.
	heldLines = 4096
	// openingTime is how long a request that is not answered keeps others of its host from being made.
	openingTime = time.Second
)

// Merger holds what a merge may be tuned with. The zero value is ready to use.
type Merger struct {
	// Report is called for what happens to streams, from the goroutine that calls the sink; nil drops it.
	Report func(Notice)
	// Idle is called whenever no line is ready and before Merge returns: the moment to flush a buffered output. May
	// be nil.
	Idle func()
	// Window is how long a line that has just been written waits for earlier ones from other hosts; 0 is
	// DefaultWindow, a negative one does not wait. Lines later than that, by delay or by a wrong clock, are printed
	// out of order.
	Window time.Duration
	// Stall is how long a merge of backlogs waits for the next line of one stream before it goes on without it; 0 is
	// DefaultStall. An engine that skips a gigabyte for Since needs about 10 s before its first line.
	Stall time.Duration
	// Opening is how many requests a host may have unanswered at a time; 0 is DefaultOpening.
	Opening int
}

// Merge is Merger.Merge with the defaults and without reports.
func Merge(ctx context.Context, streams []Stream, o Options, sink func(Stream, Line)) error {
	return Merger{}.Merge(ctx, streams, o, sink)
}

// Merge hands the lines of all streams to sink, from one goroutine, sorted by time; lines of one time come in the order
// of the streams, and the lines of one stream in the order of its log, whatever their times. With o.Follow it goes on
// until all containers have ended or ctx is done.
//
// The error wraps ErrIncomplete when streams broke, and is ctx's when that is done.
func (m Merger) Merge(ctx context.Context, streams []Stream, o Options, sink func(Stream, Line)) error {
	f := NewFollower(m, streams, o)
	f.Close()
	return f.Run(ctx, sink)
}

// withDefaults returns m with every field set.
func (m Merger) withDefaults() Merger {
	if m.Report == nil {
		m.Report = func(Notice) {}
	}
	if m.Idle == nil {
		m.Idle = func() {}
	}
	if m.Window == 0 {
		m.Window = DefaultWindow
	}
	if m.Stall == 0 {
		m.Stall = DefaultStall
	}
	if m.Opening <= 0 {
		m.Opening = DefaultOpening
	}
	return m
}
