package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"berth/placement"
	"berth/runtime/watch"
	"berth/scheduler"
)

// syncsAtOnce is how many containers files are copied into at a time.
const syncsAtOnce = 16

func watchCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "watch", Usage: "sync files, rebuild or restart services when files change", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-up", Usage: "do not build and start the services first"},
			&cli.BoolFlag{Name: "prune", Value: true, Usage: "remove images that a rebuild leaves without a name"},
			&cli.BoolFlag{Name: "quiet", Usage: "do not show what builds print"},
		},
		Action: s.with(what{words: true, store: true}, watchFiles),
	}
}

func watchFiles(ss *session) error {
	f, err := ss.following()
	if err != nil {
		return err
	}
	defer f.watcher.Close()
	if !ss.c.Bool("no-up") {
		var watched []string
		for _, s := range ss.project.Services {
			if s.Spec.Build != nil && s.Spec.Develop != nil {
				watched = append(watched, s.Name)
			}
		}
		restore := ss.building(watched) // an image of last week is not what the files are now
		_, err := ss.apply(ss.c.Context, true, func(o *placement.Observation) (*scheduler.Plan, error) {
			return scheduler.Up(ss.project, o, scheduler.UpOptions{Command: ss.c.Command.Name, Services: ss.services, RenewVolumes: map[string]bool{}})
		})
		restore()
		if err != nil {
			return err
		}
	}
	if dryRun(ss.c) {
		for _, r := range f.rules {
			fmt.Fprintf(ss.env.Stdout, "watch %s: %s %s %s\n", r.Service, r.Path, r.Action, r.Target)
		}
		return nil
	}
	// Others may change the project while nothing happens here.
	if err := ss.cluster.Unlock(ss.c.Context); err != nil {
		return err
	}
	err = f.run(ss.c.Context)
	if errors.Is(err, errInterrupted) {
		return &exitError{code: 130}
	}
	return err
}

// following is a session that answers changes of files.
type following struct {
	ss      *session
	rules   []watch.Rule
	watcher *watch.Watcher // from before the services are started: what changes meanwhile is not lost
	prune   bool
}

// following reads the rules of the session's services and begins to watch their files; it is an error when none has any.
// The caller closes the watcher.
func (ss *session) following() (*following, error) {
	rules, notes, err := watch.Rules(ss.project, ss.services)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	for _, n := range notes {
		ss.display.Warn(n)
	}
	if len(rules) == 0 {
		return nil, errors.New("watch: none of the selected services is configured for watch; give one a develop: section with watch:")
	}
	w, err := watch.New(rules)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	return &following{ss: ss, rules: rules, watcher: w, prune: ss.c.Bool("prune") || !ss.c.IsSet("prune")}, nil
}

// run answers changes until ctx ends. What fails is said, and the next change tries again.
func (f *following) run(ctx context.Context) error {
	begin, err := watch.Beginning(f.rules)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	f.answer(ctx, begin)
	f.say("Watch enabled")
	for {
		changed, err := f.watcher.Next(ctx)
		if err != nil {
			return err
		}
		f.answer(ctx, watch.React(f.rules, changed))
	}
}

func (f *following) say(format string, args ...any) {
	f.ss.display.Yield()
	fmt.Fprintf(f.ss.env.Stdout, "⦿ "+format+"\n", args...)
}

// answer does what changes ask for: rebuilds first, then what goes into the containers that stay.
func (f *following) answer(ctx context.Context, reactions []watch.Reaction) {
	report := func(err error) {
		if err != nil && ctx.Err() == nil {
			f.ss.display.Yield()
			f.ss.call.complain(f.ss.env.Stderr, fmt.Errorf("watch: %w", err))
		}
	}
	var rebuilds, restarts []string
	for _, r := range reactions {
		if r.Rebuild {
			rebuilds = append(rebuilds, r.Service)
		}
	}
	if len(rebuilds) > 0 {
		report(f.rebuild(ctx, rebuilds))
	}
	for _, r := range reactions {
		if r.Rebuild {
			continue
		}
		if err := f.sync(ctx, r); err != nil {
			report(err)
		} else if r.Restart {
			restarts = append(restarts, r.Service)
		}
	}
	if len(restarts) > 0 {
		report(f.restart(ctx, restarts))
	}
	if len(reactions) > 0 && f.ss.c.Bool("verbose") { // what programs that save files wait for
		fmt.Fprintf(f.ss.env.Stderr, "batch complete: %d service(s)\n", len(reactions))
	}
}

// building has the images of services built, whether they are there or not, until what it returns is called.
func (ss *session) building(services []string) (restore func()) {
	policies := map[string]string{}
	for _, name := range services {
		s := ss.project.Service(name)
		policies[name], s.PullPolicy = s.PullPolicy, "build"
	}
	return func() {
		for name, policy := range policies {
			ss.project.Service(name).PullPolicy = policy
		}
	}
}

// rebuild builds the services' images and recreates their containers.
func (f *following) rebuild(ctx context.Context, services []string) error {
	f.say("Rebuilding service(s) %q after changes were detected...", services)
	defer f.ss.building(services)()
	_, err := f.ss.apply(ctx, true, func(o *placement.Observation) (*scheduler.Plan, error) {
		return scheduler.Up(f.ss.project, o, scheduler.UpOptions{Command: "watch", Services: services, NoDeps: true, IgnoreOrphans: true, RenewVolumes: map[string]bool{}})
	})
	if err := errors.Join(err, f.ss.cluster.Unlock(ctx)); err != nil {
		return err
	}
	f.say("service(s) %q successfully built", services)
	if !f.prune {
		return nil
	}
	var errs []error
	for _, e := range f.ss.cluster.Engines() {
		errs = append(errs, e.PruneImages(ctx, f.ss.name))
	}
	return errors.Join(errs...)
}

// sync copies files into the service's running containers, on whatever hosts, and runs the hooks there.
func (f *following) sync(ctx context.Context, r watch.Reaction) error {
	if len(r.Files) == 0 {
		return nil
	}
	f.say("Syncing service %q after %d changes were detected", r.Service, len(r.Files))
	list, _, err := f.ss.containers(ctx, []string{r.Service})
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(ct placement.Container) bool { return !ct.Running() || ct.OneOff })
	if len(list) == 0 {
		return fmt.Errorf("service %s has no running container to sync files into; \"berth up -d %s\" starts one", r.Service, r.Service)
	}
	service := f.ss.project.Service(r.Service)
	printer := f.ss.printer(nil, f.ss.env.Stderr)
	if f.ss.attached != nil {
		printer = f.ss.attached.printer
	}
	g := &errgroup.Group{}
	g.SetLimit(syncsAtOnce)
	errs := make([]error, len(list))
	for i, ct := range list {
		g.Go(func() error {
			e := f.ss.cluster.Engines()[ct.Host]
			errs[i] = watch.Sync(ctx, e, ct.ID, r.Files)
			if errs[i] == nil && len(r.Hooks) > 0 {
				out := linesOfHooks(printer, ct)
				errs[i] = errors.Join(e.RunHooks(ctx, ct.ID, "sync+exec", service, r.Hooks, out), out.Close())
			}
			return nil
		})
	}
	_ = g.Wait()
	return errors.Join(errs...)
}

func (f *following) restart(ctx context.Context, services []string) error {
	o, err := f.ss.cluster.Glance(ctx, f.ss.name)
	if err != nil {
		return err
	}
	p := scheduler.NewPresent(f.ss.name, f.ss.project, o, services).Restart(true, nil)
	if err := f.ss.carry(ctx, p); err != nil {
		return fmt.Errorf("restart %s: %w", strings.Join(services, ", "), err)
	}
	f.say("service(s) %q restarted", services)
	return nil
}
