// Package cli is berth's command line: it reads flags, calls loader, scheduler and runtime, and prints. A command is
// one file; what several share stands in settings.go (global flags), session.go (files, inventory, hosts), change.go
// (plan and carry out) and display.go.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/moby/term"
	"github.com/urfave/cli/v2"
)

// Env is what the command line gets from the system; tests hand in their own.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Dir            string   // working folder
	Environ        []string // KEY=value
}

// System is the process's own environment.
func System() Env {
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	return Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Dir: dir, Environ: os.Environ()}
}

// Getenv reads one variable; "" when it is not set.
func (e Env) Getenv(key string) string {
	value, _ := e.Lookup(key)
	return value
}

// Lookup reads one variable, and whether it is set.
func (e Env) Lookup(key string) (string, bool) {
	for i := len(e.Environ) - 1; i >= 0; i-- {
		if v := e.Environ[i]; len(v) > len(key) && v[len(key)] == '=' && v[:len(key)] == key {
			return v[len(key)+1:], true
		}
	}
	return "", false
}

// terminal reports whether w is one that moves its cursor and shows colours, and its size.
func (e Env) terminal(w io.Writer) (tty bool, size func() (width, height int)) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(f.Fd()) || e.Getenv("TERM") == "dumb" {
		return false, func() (int, int) { return 80, 24 }
	}
	return true, func() (int, int) {
		ws, err := term.GetWinsize(f.Fd())
		if err != nil || ws.Width == 0 {
			return 80, 24
		}
		return int(ws.Width), int(ws.Height)
	}
}

// exitError carries an exit code other than 1 out of a command.
type exitError struct {
	code int
	err  error // nil: nothing to print
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// errInterrupted is the cause of the context that SIGINT or SIGTERM ends.
var errInterrupted = errors.New("interrupted")

// Main runs one command and returns its exit code: 0, 1 for an error (printed as "berth: …" on stderr), 130 after an
// interrupt, or what the command passes through.
func Main(args []string, env Env) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	s := &settings{env: env}
	s.call, args = invoked(args, env, slices.Concat(s.globalFlags(), dockerFlags()))
	app := newApp(s)
	if env.Getenv("GOGC") == "" {
		// A command lives for milliseconds and leaves little: collecting less saves a sixth of its processor time.
		defer debug.SetGCPercent(debug.SetGCPercent(400))
	}
	stop := s.signals(func() { cancel(errInterrupted) })
	defer stop()
	defer followDocker(env, func() { cancel(errInterrupted) })()
	err := app.RunContext(ctx, arrange(app, args))
	return report(env.Stderr, s.call, ended(ctx, err))
}

// ended is a command's error, which after an interrupt is the interrupt where a call says only that its context was
// canceled.
func ended(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errInterrupted) && errors.Is(err, context.Canceled) && !errors.As(err, new(*exitError)) {
		return errInterrupted
	}
	return err
}

// report prints an error under the name that the user called, and gives the exit code.
func report(stderr io.Writer, call invocation, err error) int {
	if err == nil {
		return 0
	}
	var exit *exitError
	if errors.As(err, &exit) {
		if err := besides(err, exit); err != nil {
			call.complain(stderr, err)
		}
		return exit.code
	}
	if errors.Is(err, errInterrupted) {
		err = errors.New("interrupted; run the same command again to go on where it stopped")
		call.complain(stderr, err)
		return 130
	}
	call.complain(stderr, err)
	return 1
}

// besides is what there is to say beside an exit code: its own error, and what else failed after the process had ended.
func besides(err error, exit *exitError) error {
	if !errors.Is(err, exit) {
		return err
	}
	several, ok := err.(interface{ Unwrap() []error }) // this one, not what it wraps
	if !ok {
		return exit.err
	}
	var rest []error
	for _, e := range several.Unwrap() {
		rest = append(rest, besides(e, exit))
	}
	return errors.Join(rest...)
}

func newApp(s *settings) *cli.App {
	env := s.env
	app := &cli.App{
		Name:            s.call.name,
		Description:     description,
		HideVersion:     true,
		HideHelpCommand: true,
		Reader:          env.Stdin,
		Writer:          env.Stdout,
		ErrWriter:       env.Stderr,
		Flags: slices.Concat(s.globalFlags(), dockerFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "print the version"},
			cli.HelpFlag, // the library leaves it out where there is a help command
		}),
		Commands:       commands(s),
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   usageError,
		// A value may hold commas: -e LIST=a,b
		DisableSliceFlagSeparator: true,
		Before:                    s.obeyVariables,
		// What no command takes.
		Action: func(c *cli.Context) error {
			switch {
			case c.Args().Present():
				return unknownCommand("", c.App.Commands, c.Args().First())
			case c.Bool("version"):
				return s.printVersion("", false)
			}
			return cli.ShowAppHelp(c)
		},
	}
	app.CustomAppHelpTemplate = s.call.name // see printHelp
	setUp(app.Commands, s.call.name)
	return app
}

// setUp fills in what all commands have in common; called is what is typed before their names.
func setUp(commands []*cli.Command, called string) {
	for _, c := range commands {
		c.UseShortOptionHandling = true
		c.OnUsageError = usageError
		c.HideHelpCommand = true
		c.CustomHelpTemplate = called // see printHelp
		setUp(c.Subcommands, called+" "+c.Name)
		if run := c.Action; run != nil && c.ArgsUsage == "" && !c.Hidden {
			c.Action = func(ctx *cli.Context) error {
				if word := ctx.Args().First(); word != "" {
					return fmt.Errorf("%s takes no arguments, got %q", typed(ctx), word)
				}
				return run(ctx)
			}
		}
		if len(c.Subcommands) > 0 && c.Action == nil {
			c.Action = func(ctx *cli.Context) error {
				if ctx.Args().Present() {
					return unknownCommand(c.Name, c.Subcommands, ctx.Args().First())
				}
				return cli.ShowSubcommandHelp(ctx)
			}
		}
	}
}

const description = `Run a docker-compose file: on one host like docker compose, on many with
hosts.yml beside the file, or -i FILE: the same commands, over a cluster.`

func usageError(c *cli.Context, err error, _ bool) error {
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != c.App.Name {
		name := typed(c)
		return fmt.Errorf("%s: %w; %s", name, err, cmp.Or(flagElsewhere(err), fmt.Sprintf("\"berth %s --help\" lists the options", name)))
	}
	return fmt.Errorf("%w; %s", err, cmp.Or(flagElsewhere(err), "\"berth --help\" lists the options"))
}

// typed is a command as one types it: "store backup".
func typed(c *cli.Context) string { return strings.TrimPrefix(c.Command.HelpName, c.App.Name+" ") }

// unknownCommand is the error about a word that names no command, or none of those that the command "of" consists of.
func unknownCommand(of string, commands []*cli.Command, name string) error {
	if hint := commandsElsewhere[name]; hint != "" && of == "" {
		return fmt.Errorf("unknown command %q; %s", name, hint)
	}
	if of != "" {
		of += " "
	}
	best, at := "", len(name)/3+1 // one slip of the keyboard in a short word, some in a long one
	for _, c := range commands {
		if d := distance(c.Name, name); !c.Hidden && d < at {
			best, at = c.Name, d
		}
	}
	if best != "" {
		best = ", did you mean \"berth " + of + best + "\"?"
	}
	return fmt.Errorf("unknown command %q; \"berth %s--help\" lists them%s", of+name, of, best)
}

// distance is the edit distance (insert, delete, replace) of two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		last := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := last
			if a[i-1] != b[j-1] {
				cost++
			}
			last = row[j]
			row[j] = min(row[j]+1, row[j-1]+1, cost)
		}
	}
	return row[len(b)]
}
