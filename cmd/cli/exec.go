package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"berth/cmd/console"
	"berth/runtime/engine"
)

func execCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "exec", Usage: "run a command in a running container", ArgsUsage: "SERVICE[.N] COMMAND [ARG…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "run the command in the background"},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "`KEY=VALUE` for the command, repeatable"},
			&cli.IntFlag{Name: "index", Usage: "replica `N` of the service, like SERVICE.N"},
			&cli.BoolFlag{Name: "no-tty", Aliases: []string{"T", "no-TTY"}, Usage: "no terminal (default: one where berth has one)"},
			&cli.BoolFlag{Name: "privileged", Usage: "give the command all capabilities"},
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`USER` that the command runs as"},
			&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "`FOLDER` that the command starts in"},
			&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Value: true, Hidden: true},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Value: true, Hidden: true},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() < 2 {
				return fmt.Errorf("exec: say which service and which command, as in \"berth exec web ls\"")
			}
			return s.with(what{fileOptional: true, silent: true}, execIn)(c)
		},
	}
}

func execIn(ss *session) error {
	c := ss.c
	t, err := ss.target(c.Args().First(), c.Int("index"))
	if err != nil {
		return err
	}
	ct, err := ss.running(c.Context, t)
	if err != nil {
		return err
	}
	x := engine.ExecSpec{
		Cmd: c.Args().Tail(), Env: ss.assignments(c.StringSlice("env")), User: c.String("user"), WorkingDir: c.String("workdir"),
		Privileged: c.Bool("privileged"), Detach: c.Bool("detach"),
	}
	if dryRun(c) {
		fmt.Fprintf(ss.env.Stdout, "exec in %s%s: %s\n", ct.Name, ss.on(ct.Host), strings.Join(x.Cmd, " "))
		return nil
	}
	ctx, cancel := ss.within(c.Context, ct.Host)
	defer cancel()
	if !x.Detach {
		x.Stdout, x.Stderr = ss.env.Stdout, ss.env.Stderr
		if c.Bool("interactive") {
			x.Stdin = ss.env.Stdin
		}
		if x.Tty = x.Stdin != nil && c.Bool("tty") && ss.wantsTerminal(); x.Tty {
			held, err := ss.takeTerminal()
			if err != nil {
				return fmt.Errorf("exec: %w", err)
			}
			defer held.Release()
			x.Resize = held.Sizes
		}
	}
	code, err := ss.cluster.Engines()[ct.Host].Exec(ctx, ct.Name, x)
	return passed(ctx, code, err)
}

// passed makes a command's end of how a process ended: its exit code, or 130 when the user interrupted berth.
func passed(ctx context.Context, code int, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errInterrupted):
		return &exitError{code: 130}
	case cause != nil:
		return cause
	case err != nil:
		return err
	case code != 0:
		return &exitError{code: code}
	}
	return nil
}

// on names a container's host to the user of a cluster.
func (ss *session) on(host string) string {
	if ss.inv.Cluster() {
		return " on " + host
	}
	return ""
}

// wantsTerminal reports whether a process gets a terminal: berth has one on both sides, and the user does not say no.
func (ss *session) wantsTerminal() bool {
	return !ss.c.Bool("no-tty") && console.Is(ss.env.Stdin) && console.Is(ss.env.Stdout)
}

// takeTerminal hands the user's terminal over. It is given back by Release, and when a second signal ends berth at once.
func (ss *session) takeTerminal() (*console.Held, error) {
	held, err := console.Take(ss.env.Stdin, ss.env.Stdout)
	if err != nil {
		return nil, err
	}
	ss.atExit(held.Release)
	return held, nil
}

// detachKeys are the keys to leave a container by: those of docker's own configuration, else docker's defaults.
func detachKeys(e *engine.Engine) string {
	return cmp.Or(e.DetachKeys(), console.DefaultDetachKeys)
}

// assignments completes KEY=VALUE words: a KEY alone takes the user's own value, and is left out where there is none.
func (ss *session) assignments(words []string) []string {
	var all []string
	for _, w := range words {
		if strings.Contains(w, "=") {
			all = append(all, w)
		} else if v, ok := ss.env.Lookup(w); ok {
			all = append(all, w+"="+v)
		}
	}
	return all
}
