package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"berth/cmd/progress"
	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/logs"
)

func logsCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "logs", Usage: "show the containers' output, of all hosts in time order", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what is written from now on"},
			&cli.StringFlag{Name: "tail", Aliases: []string{"n"}, Value: "all", Usage: "last `N` lines of each container"},
			&cli.BoolFlag{Name: "timestamps", Aliases: []string{"t"}, Usage: "times before the lines"},
			&cli.StringFlag{Name: "since", Usage: "from a `TIME` (2026-01-02T13:23:37Z) or a duration ago (42m)"},
			&cli.StringFlag{Name: "until", Usage: "up to a `TIME` or a duration ago"},
			&cli.BoolFlag{Name: "no-color", Usage: "no colours"},
			&cli.BoolFlag{Name: "no-log-prefix", Usage: "no container names"},
			&cli.IntFlag{Name: "index", Usage: "only replica `N` of the service"},
		},
		Action: s.with(what{words: true, fileOptional: true, silent: true}, showLogs),
	}
}

func showLogs(ss *session) error {
	c := ss.c
	now, index := time.Now(), c.Int("index")
	if index > 0 && len(ss.services) != 1 {
		return errors.New("logs: --index is about one service; name it, as in \"berth logs --index 2 web\"")
	}
	o := logs.Options{Follow: c.Bool("follow"), Tail: c.String("tail")}
	for flag, bound := range map[string]*string{"since": &o.Since, "until": &o.Until} {
		if v := c.String(flag); v != "" {
			at, err := engine.ParseTime(v, now)
			if err != nil {
				return fmt.Errorf("logs: --%s: %w", flag, err)
			}
			// A moment, the same on every host: the engine's client cuts a duration to the second.
			*bound = at.UTC().Format(time.RFC3339Nano)
		}
	}
	list, hosts, err := ss.containers(c.Context, ss.services)
	if err != nil {
		return err
	}
	ss.unreachable(hosts)
	wanted := func(service string, number int) bool { return ss.asked(service) && (index <= 0 || number == index) }
	others := len(list) > 0
	list = slices.DeleteFunc(list, func(ct placement.Container) bool {
		return ct.OneOff || !wanted(ct.Task.Service, ct.Task.Number)
	})
	if len(list) == 0 && index > 0 {
		return fmt.Errorf("logs: %w", ss.absent(target{service: ss.services[0], number: index}, hosts, true, others))
	}
	if !o.Follow {
		return ss.printLogs(c.Context, list, o)
	}
	err = ss.followLogs(c.Context, list, o, wanted)
	if errors.Is(err, errInterrupted) {
		return &exitError{code: 130}
	}
	return err
}

// printer makes the writer of prefixed lines from the command's flags. The containers' standard error goes to stderr.
func (ss *session) printer(streams []logs.Stream, stderr io.Writer) *logs.Printer {
	tty, _ := ss.env.terminal(ss.env.Stdout)
	off := ss.c.Bool("no-color") || ss.env.Getenv("NO_COLOR") != ""
	p := logs.NewPrinter(ss.env.Stdout, stderr, logs.PrinterOptions{
		Color:    progress.Color(ss.ansi(ss.c), tty, off),
		NoPrefix: ss.c.Bool("no-log-prefix"), Timestamps: ss.c.Bool("timestamps"),
	})
	for _, s := range streams {
		p.Register(s.Label)
	}
	return p
}

// flush writes out what a printer holds, among other work that goes on when nobody reads it.
func flush(p *logs.Printer) func() {
	return func() { _ = p.Flush() }
}

// feeding ends ctx when the printer's output cannot be written to any more, on a full disk; written is what a command then
// ends with. (A reader that has gone away, as in berth logs | head, ends the process.)
func feeding(ctx context.Context, p *logs.Printer) (fed context.Context, idle func(), written func(error) error) {
	fed, end := context.WithCancelCause(ctx)
	idle = func() {
		if err := p.Flush(); err != nil {
			end(err)
		}
	}
	written = func(err error) error {
		if err == nil {
			err = p.Flush()
		}
		end(nil)
		return err
	}
	return fed, idle, written
}

// printLogs merges the containers' logs as they are.
func (ss *session) printLogs(ctx context.Context, list []placement.Container, o logs.Options) error {
	streams := make([]logs.Stream, 0, len(list))
	for _, ct := range list {
		streams = append(streams, ss.stream(ct))
	}
	p := ss.printer(streams, ss.env.Stdout)
	ctx, idle, written := feeding(ctx, p)
	m := logs.Merger{Idle: idle, Report: func(n logs.Notice) {
		if n.Kind != logs.Ended {
			ss.display.Warn(n.String())
		}
	}}
	return written(m.Merge(ctx, streams, o, p.Line))
}

// stream is a container's log.
func (ss *session) stream(ct placement.Container) logs.Stream {
	return logs.Stream{
		Container: ct.Name, Label: logs.Label(ct), Host: ct.Host, ID: ct.ID,
		Source: engineLogs{ss.cluster.Engines()[ct.Host]},
	}
}

// engineLogs lets the log merger read from an engine.
type engineLogs struct{ e *engine.Engine }

func (l engineLogs) Logs(ctx context.Context, id string, o logs.Options, emit func(logs.Line)) error {
	err := l.e.Logs(ctx, id, engine.LogOptions{
		Follow: o.Follow, Tail: o.Tail, Since: o.Since, Until: o.Until,
	}, func(line engine.LogLine) {
		emit(logs.Line{Time: line.Time, Stderr: line.Stderr, Text: line.Text})
	})
	switch {
	case engine.IsUnreachable(err):
		return fmt.Errorf("%w: %w", logs.ErrHostLost, err)
	case o.Follow && (engine.IsNotFound(err) || engine.IsConflict(err)):
		return nil // removed meanwhile, or being removed: it writes no more
	}
	return err
}
