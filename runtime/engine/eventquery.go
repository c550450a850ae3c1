package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	timetypes "github.com/docker/docker/api/types/time"
)

// EventQuery says which events of an engine.
type EventQuery struct {
	Labels []string  // of containers, each `key` or `key=value`, anded; with any, events of networks are left out
	Since  time.Time // the engine's clock, inclusive; zero: from now on
	Until  time.Time // the engine's clock; zero: for ever
	// Fresh leaves out what happened before the request reached the engine. Without Since, a stream begins up to a
	// second earlier, so that its user misses nothing.
	Fresh bool
}

// options are the engine's form of the query, but for Since.
func (q EventQuery) options() events.ListOptions {
	o := events.ListOptions{Filters: filters.NewArgs(filters.Arg("type", "container"))}
	if len(q.Labels) == 0 {
		o.Filters.Add("type", "network")
	}
	for _, l := range q.Labels {
		o.Filters.Add("label", l)
	}
	if !q.Until.IsZero() {
		o.Until = unix(q.Until)
	}
	return o
}

// over reports whether a stream that ended with err came to the query's end, which is where engines close it.
func (h *Events) over(ctx context.Context, err error) bool {
	if h.query.Until.IsZero() || !errors.Is(err, io.EOF) {
		return false
	}
	now, err := h.engine.now(ctx)
	return err == nil && !now.Before(h.query.Until.Truncate(time.Second))
}

// unix is the engine's form of a time that loses nothing.
func unix(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// Watch calls f for each event that q asks for, and for Resync and Lost, until q's or ctx's end, whose error it
// returns. It survives the engine's restarts like Events; an engine that is lost at q's end is not waited for.
func (e *Engine) Watch(ctx context.Context, q EventQuery, f func(Event)) error {
	h := e.events(ctx, q, lostAfter, func(ev Event) bool { f(ev); return false })
	<-h.Done() // it ends with ctx
	return ctx.Err()
}

// Past calls f for each event that the engine remembers (the last 256 of all kinds) since q.Since, all where that is zero,
// up to its own present or, where that is earlier, q.Until.
func (e *Engine) Past(ctx context.Context, q EventQuery, f func(Event)) error {
	now, err := e.now(ctx)
	if err != nil {
		return e.fail("list events", "", err)
	}
	if q.Until.IsZero() || q.Until.After(now.Add(time.Second)) { // now is cut to the second
		q.Until = now
	}
	if !q.Since.Before(q.Until) {
		return nil
	}
	o := q.options()
	if o.Since = unix(q.Since); q.Since.IsZero() {
		o.Since = "" // all that the engine remembers
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, errs := e.api.Events(ctx, o)
	for {
		select {
		case m := <-messages:
			f(eventOf(m))
		case err := <-errs:
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return e.fail("list events", "", err)
		}
	}
}

func eventOf(m events.Message) Event {
	return Event{Time: time.Unix(0, m.TimeNano), Type: string(m.Type), Action: string(m.Action), ID: m.Actor.ID,
		Name: m.Actor.Attributes["name"], Attributes: m.Actor.Attributes}
}

// ParseTime reads a moment as docker's --since and --until take it: RFC 3339 or a shorter form of it, seconds since 1970,
// or a duration back from now ("10m").
func ParseTime(value string, now time.Time) (time.Time, error) {
	if back, err := time.ParseDuration(value); err == nil {
		return now.Add(-back), nil // the library cuts this to the second
	}
	text, err := timetypes.GetTimestamp(value, now)
	if err == nil {
		var sec, nano int64
		if sec, nano, err = timetypes.ParseTimestamps(text, 0); err == nil {
			return time.Unix(sec, nano), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a time (2026-01-02T13:23:37Z) nor a duration back from now (42m)", value)
}
