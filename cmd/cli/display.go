package cli

import (
	"cmp"

	"github.com/urfave/cli/v2"

	"berth/cmd/progress"
)

// displayMode is the way to show progress that flags and environment ask for. own says that the -q of the command itself
// is about the data that it prints.
func (s *settings) displayMode(c *cli.Context, own bool) (progress.Mode, error) {
	mode := s.progress(c)
	if global(c).Bool("quiet") || c.Bool("quiet") && !own {
		mode = string(progress.Quiet)
	}
	return progress.ParseMode(mode, s.ansi(c))
}

// progress is --progress, or what COMPOSE_PROGRESS says.
func (s *settings) progress(c *cli.Context) string {
	return cmp.Or(c.String("progress"), s.env.Getenv("COMPOSE_PROGRESS"))
}

// newDisplay makes the display that the global flags ask for.
func (s *settings) newDisplay(c *cli.Context, hosts, own bool) (progress.Display, error) {
	ansi := s.ansi(c)
	parsed, err := s.displayMode(c, own)
	if err != nil {
		return nil, err
	}
	out := s.env.Stderr
	if truthy(s.env.Getenv("COMPOSE_STATUS_STDOUT")) {
		out = s.env.Stdout
	}
	tty, size := s.env.terminal(out)
	return spoken{s.call, progress.New(progress.Options{
		Out: out, Terminal: tty, Size: size, Mode: parsed, Hosts: hosts, DryRun: dryRun(c),
		Color: progress.Color(ansi, tty, s.env.Getenv("NO_COLOR") != ""),
	})}, nil
}

// amongOutput makes a display like newDisplay's for while containers write too: a line an event, none rewritten.
func (ss *session) amongOutput() (progress.Display, error) {
	mode, err := ss.displayMode(ss.c, false)
	if err != nil {
		return nil, err
	}
	if mode == progress.Auto || mode == progress.TTY {
		mode = progress.Plain
	}
	return spoken{ss.call, progress.New(progress.Options{Out: ss.env.Stderr, Mode: mode, Hosts: ss.inv.Cluster()})}, nil
}

// ansi is --ansi, or what COMPOSE_ANSI says.
func (s *settings) ansi(c *cli.Context) string {
	if a := c.String("ansi"); a != "" {
		return a
	}
	if c.Bool("no-ansi") {
		return "never"
	}
	return s.env.Getenv("COMPOSE_ANSI")
}
