package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"berth/cmd/table"
	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/logs"
)

func eventsCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "events", Usage: "show what happens to the project's containers, on all hosts in time order", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "one JSON object a line"},
			&cli.StringFlag{Name: "since", Usage: "from a `TIME` (2026-01-02T13:23:37Z) or a duration ago (42m) on"},
			&cli.StringFlag{Name: "until", Usage: "end at a `TIME` or a duration ago"},
		},
		Action: s.with(what{words: true, fileOptional: true, silent: true}, showEvents),
	}
}

// showEvents merges the hosts' events like logs: a host is a stream, an event a line. A host that is lost is named, and
// heard again when it is back.
func showEvents(ss *session) error {
	c, now := ss.c, time.Now()
	var q engine.EventQuery
	for _, bound := range []struct {
		flag string
		at   *time.Time
	}{{"since", &q.Since}, {"until", &q.Until}} {
		if !c.IsSet(bound.flag) {
			continue
		}
		var err error
		if *bound.at, err = engine.ParseTime(c.String(bound.flag), now); err != nil {
			return fmt.Errorf("events: --%s: %w", bound.flag, err)
		}
	}
	q.Labels = []string{engine.ProjectLabel + "=" + ss.name}
	_, hosts, err := ss.containers(c.Context, nil) // says what is wrong when no host answers at all
	if err != nil {
		return err
	}
	ss.unreachable(hosts)

	var streams []logs.Stream
	for _, h := range hosts {
		src := &eventSource{ss: ss, host: h.Name, query: q, follow: q.Until.IsZero() || q.Until.After(now), lost: h.State != placement.Ready}
		streams = append(streams, logs.Stream{Host: h.Name, Source: src})
	}
	o := logs.Options{Follow: true}
	if q.Since.IsZero() && q.Until.IsZero() { // an end alone means all that the engines remember until then, as their API has it
		o.Tail = "0"
	}
	var broken error
	m := logs.Merger{Report: func(n logs.Notice) {
		if n.Kind != logs.Ended {
			broken = n.Err
		}
	}}
	f := logs.NewFollower(m, streams, o)
	f.Close() // hosts do not come by themselves
	ctx, end := context.WithCancelCause(c.Context)
	defer end(nil)
	err = f.Run(ctx, func(_ logs.Stream, l logs.Line) {
		if _, err := ss.env.Stdout.Write(append(l.Text, '\n')); err != nil {
			end(err)
		}
	})
	if errors.Is(err, errInterrupted) {
		return &exitError{code: 130}
	}
	if broken != nil {
		return broken
	}
	return err
}

// eventSource is one host's events as a log.
type eventSource struct {
	ss     *session
	host   string
	query  engine.EventQuery
	follow bool // events later than the command's start are wanted
	lost   bool // it does not answer, which has been said
}

// Logs hands over past events, or with Follow those after them.
func (s *eventSource) Logs(ctx context.Context, _ string, o logs.Options, emit func(logs.Line)) error {
	e, q := s.ss.cluster.Engines()[s.host], s.query
	each := func(ev engine.Event) {
		if line := s.line(ev); line != nil {
			emit(logs.Line{Time: ev.Time, Text: line})
		}
	}
	if !o.Follow {
		if s.lost {
			return nil // the others' events do not wait for it; what it remembers comes when it is back
		}
		err := e.Past(ctx, q, each)
		if engine.IsUnreachable(err) && s.ss.inv.Cluster() {
			return nil // named already; what it remembers comes when it is back
		}
		return err
	}
	if !s.follow {
		return nil
	}
	if last, err := time.Parse(time.RFC3339Nano, o.Since); err == nil {
		q.Since = last
	}
	q.Fresh = q.Since.IsZero()
	return e.Watch(ctx, q, func(ev engine.Event) {
		switch {
		case ev.Type == engine.Lost && !s.lost:
			s.lost = true
			s.ss.display.Warn(fmt.Sprintf("host %s does not answer, its events come when it is back: %s", s.host, ev.Attributes["error"]))
		case ev.Type == engine.Resync && s.lost:
			s.lost = false
			s.ss.display.Warn(fmt.Sprintf("host %s is back", s.host))
		case ev.Type == "container":
			each(ev)
		}
	})
}

// line is an event as it is printed; nil for one that is not asked for.
func (s *eventSource) line(ev engine.Event) []byte {
	service := ev.Attributes[engine.ServiceLabel]
	if ev.Attributes[engine.OneOffLabel] == "True" || !s.ss.asked(service) {
		return nil
	}
	row := table.EventRow{Time: ev.Time, Action: ev.Action, ID: ev.ID, Service: service, Attributes: map[string]string{}}
	if s.ss.inv.Cluster() {
		row.Host = s.host
	}
	for k, v := range ev.Attributes {
		if !strings.HasPrefix(k, engine.ComposePrefix) && !strings.HasPrefix(k, engine.BerthPrefix) {
			row.Attributes[k] = v
		}
	}
	return table.Event(row, s.ss.c.Bool("json"), time.Local)
}
