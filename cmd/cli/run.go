package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"berth/cmd/console"
	"berth/loader"
	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/execute"
	"berth/scheduler"
)

func runCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "run a one-off command for a service, in a container of its own", ArgsUsage: "SERVICE [COMMAND] [ARG…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "build", Usage: "build the image first"},
			&cli.StringSliceFlag{Name: "cap-add", Usage: "add a `CAPABILITY`, repeatable"},
			&cli.StringSliceFlag{Name: "cap-drop", Usage: "drop a `CAPABILITY`, repeatable"},
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "run it in the background and print the container's ID"},
			&cli.StringFlag{Name: "entrypoint", Usage: "`COMMAND` instead of the image's entrypoint"},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "`KEY=VALUE` for the container, repeatable"},
			&cli.StringSliceFlag{Name: "env-from-file", Usage: "`FILE` with variables for the container, repeatable"},
			&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Value: true, Usage: "keep standard input open"},
			&cli.StringSliceFlag{Name: "label", Aliases: []string{"l", "labels"}, Usage: "`KEY=VALUE` on the container, repeatable"},
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the container"},
			&cli.BoolFlag{Name: "no-tty", Aliases: []string{"T", "no-TTY"}, Usage: "no terminal (default: one where berth has one)"},
			&cli.BoolFlag{Name: "no-deps", Usage: "do not start the services that this one depends on"},
			&cli.StringSliceFlag{Name: "publish", Aliases: []string{"p"}, Usage: "publish a `PORT` (8080:80), repeatable"},
			&cli.StringFlag{Name: "pull", Usage: "when to pull: always, missing or never, instead of the service's pull_policy"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress"},
			&cli.BoolFlag{Name: "quiet-build", Usage: "no progress of the build"},
			&cli.BoolFlag{Name: "quiet-pull", Usage: "no progress of pulls"},
			&cli.BoolFlag{Name: "remove-orphans", Usage: "remove containers of services the file does not have"},
			&cli.BoolFlag{Name: "rm", Usage: "remove the container when it has ended"},
			&cli.BoolFlag{Name: "service-ports", Aliases: []string{"P"}, Usage: "publish what the service publishes"},
			&cli.BoolFlag{Name: "use-aliases", Usage: "let the container answer to the service's name and aliases"},
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`USER` that it runs as"},
			&cli.StringSliceFlag{Name: "volume", Aliases: []string{"v", "volumes"}, Usage: "mount `SOURCE:TARGET`, repeatable"},
			&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "`FOLDER` that it starts in"},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Value: true, Hidden: true},
		},
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() == 0:
				return errors.New("run: say which service, as in \"berth run --rm web sh\"")
			case c.Bool("service-ports") && len(c.StringSlice("publish")) > 0:
				return errors.New("run: --service-ports and --publish are incompatible; give one")
			}
			return s.with(what{services: []string{c.Args().First()}, store: true}, runOneOff)(c)
		},
	}
}

// oneOff is one `run`.
type oneOff struct {
	ss      *session
	changes loader.OneOff // of the command line
	opts    scheduler.RunOptions
	plan    *scheduler.Plan
	e       *engine.Engine // of the host that it was placed on
	id      string         // of its container
}

func runOneOff(ss *session) error {
	r := &oneOff{ss: ss}
	if err := r.prepare(); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	c := ss.c
	if err := r.bringUp(c.Context); err != nil || dryRun(c) {
		return errors.Join(err, r.cleanUp(c.Context, err != nil))
	}
	if c.Bool("detach") {
		fmt.Fprintln(ss.env.Stdout, r.id)
		return nil
	}
	// Others may change the project while the container runs.
	err := ss.cluster.Unlock(c.Context)
	gone := false // the container never ran, or has ended and is to be removed
	if err == nil {
		gone, err = r.follow(c.Context)
	}
	return errors.Join(err, r.cleanUp(c.Context, gone || err != nil && r.opts.AutoRemove))
}

// prepare reads the command line.
func (r *oneOff) prepare() error {
	ss, c := r.ss, r.ss.c
	name := c.Args().First()
	r.changes = loader.OneOff{
		Command: c.Args().Tail(), Env: c.StringSlice("env"), EnvFiles: c.StringSlice("env-from-file"),
		User: c.String("user"), WorkingDir: c.String("workdir"), Volumes: c.StringSlice("volume"), Publish: c.StringSlice("publish"),
		ServicePorts: c.Bool("service-ports"), UseAliases: c.Bool("use-aliases"), Labels: c.StringSlice("label"),
		CapAdd: c.StringSlice("cap-add"), CapDrop: c.StringSlice("cap-drop"),
		Stdin: c.Bool("interactive"), Dir: ss.env.Dir, Cluster: ss.inv.Cluster(),
	}
	var err error
	if r.changes.Tty, err = r.terminal(); err != nil {
		return err
	}
	if c.IsSet("entrypoint") {
		e := c.String("entrypoint")
		r.changes.Entrypoint = &e
	}
	pull, err := pullFlag(c)
	if err != nil {
		return err
	}
	if s := ss.project.Service(name); s != nil {
		if c.Bool("build") && s.Spec.Build != nil {
			for _, s := range append(slices.Clone(ss.project.Bases), s) {
				s.PullPolicy = "build"
			}
		}
		if pull != "" {
			s.PullPolicy = pull
		}
	}
	service, err := r.changes.Of(ss.project, name)
	if err != nil {
		return err
	}
	slug := make([]byte, 32)
	if _, err := io.ReadFull(rand.Reader, slug); err != nil {
		return err
	}
	r.opts = scheduler.RunOptions{
		Service: service, Slug: hex.EncodeToString(slug), Name: c.String("name"),
		NoDeps: c.Bool("no-deps"), Start: c.Bool("detach"), AutoRemove: c.Bool("rm"),
		RemoveOrphans: ss.removeOrphans(),
		IgnoreOrphans: truthy(ss.env.Getenv("COMPOSE_IGNORE_ORPHANS")),
	}
	if r.opts.Name == "" {
		r.opts.Name = ss.project.OneOffName(service, r.opts.Slug)
	}
	return nil
}

// terminal says whether the container gets a terminal: where berth has one, or as the user asks. Input from a pipe or a file
// and a terminal do not go together: its end would never reach the process.
func (r *oneOff) terminal() (bool, error) {
	c := r.ss.c
	if c.IsSet("tty") && c.IsSet("no-tty") {
		return false, errors.New("--tty and --no-TTY can't be used together; give one")
	}
	if asked := c.IsSet("tty") && c.Bool("tty") || c.IsSet("no-tty") && !c.Bool("no-tty"); !asked {
		return c.Bool("interactive") && c.Bool("tty") && r.ss.wantsTerminal(), nil
	}
	if c.Bool("interactive") && !c.Bool("detach") && !console.Is(r.ss.env.Stdin) {
		return false, errors.New("the input device is not a TTY; leave --tty out to read a pipe or a file")
	}
	return true, nil
}

// bringUp makes the container, and what it depends on run.
func (r *oneOff) bringUp(ctx context.Context) error {
	ss := r.ss
	var err error
	r.plan, err = ss.apply(ctx, true, func(o *placement.Observation) (*scheduler.Plan, error) {
		if from := ss.project.Service(r.opts.Service.Name); from.BareHash != "" { // a provider may have been called since
			service, err := r.changes.Of(ss.project, from.Name)
			if err != nil {
				return nil, err
			}
			r.opts.Service = service
		}
		// An image that was pulled ahead of the plan is not wanted anew.
		r.opts.Service.PullPolicy = ss.project.Service(r.opts.Service.Name).PullPolicy
		return scheduler.Run(ss.project, o, r.opts)
	})
	if err != nil || dryRun(ss.c) {
		return err
	}
	ss.display.Close() // what follows is the container's own output
	return r.find(ctx)
}

// find looks for the container that the plan made.
func (r *oneOff) find(ctx context.Context) error {
	if r.plan == nil {
		return nil
	}
	for i := range r.plan.Steps {
		if s := &r.plan.Steps[i]; s.OneOff != nil {
			r.e = r.ss.cluster.Engines()[s.Host]
		}
	}
	if r.e == nil {
		return nil
	}
	var err error
	r.id, err = r.e.OneOff(ctx, r.opts.Slug)
	return err
}

// follow starts the container with the user's streams and waits for its end, which it passes on. gone says that the
// container is not to be kept.
func (r *oneOff) follow(ctx context.Context) (gone bool, err error) {
	ss := r.ss
	ctx, cancel := ss.within(ctx, r.e.Host())
	defer cancel()
	p, err := ss.join(ctx, r.e, joining{
		id: r.id, tty: r.opts.Service.Spec.Tty, stdin: r.opts.Service.Spec.StdinOpen, detachKeys: detachKeys(r.e), proxy: true,
		autoRemove: r.opts.AutoRemove, start: func() error { return r.e.Start(ctx, r.opts.Name) },
	})
	if err != nil {
		return true, err
	}
	code, err := p.wait()
	if errors.Is(err, console.ErrDetached) {
		return false, nil
	}
	return r.opts.AutoRemove, passed(ctx, code, err)
}

// cleanTime bounds what is done after an interrupt.
const cleanTime = 30 * time.Second

// cleanUp removes the container, if it is to go, and forgets its addresses.
func (r *oneOff) cleanUp(ctx context.Context, gone bool) error {
	if !gone || r.plan == nil || dryRun(r.ss.c) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	if r.id == "" {
		if err := r.find(ctx); err != nil && !engine.IsNotFound(err) {
			return err
		}
	}
	plan := scheduler.EndRun(r.plan, r.id)
	w := execute.World{Project: r.ss.project, Cluster: r.ss.inv.Cluster(), Engines: r.ss.cluster.Engines()}
	if w.Cluster {
		records := r.ss.cluster.Records(r.ss.name)
		defer records.Close()
		w.Store = records
	}
	return execute.Run(ctx, w, plan, execute.DefaultLimits, func(execute.Report) {})
}
