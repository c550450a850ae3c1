package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"berth/cmd/progress"
	"berth/loader"
	"berth/placement"
	"berth/runtime/cluster"
	"berth/runtime/execute"
	"berth/runtime/store"
	"berth/scheduler"
)

// planner makes a plan from what was observed.
type planner func(*placement.Observation) (*scheduler.Plan, error)

// replans bounds how often a plan is made anew because another command allocated addresses at the same time.
const replans = 10

// apply observes, plans and carries out, under the project's lock; with --dry-run it prints the plan and stops there.
func (ss *session) apply(ctx context.Context, bootstrap bool, plan planner) (*scheduler.Plan, error) {
	return ss.applyAsking(ctx, bootstrap, plan, nil)
}

// applyAsking is apply that asks before it carries out; ask may be nil.
func (ss *session) applyAsking(ctx context.Context, bootstrap bool, plan planner, ask consent) (*scheduler.Plan, error) {
	if dryRun(ss.c) {
		return ss.preview(ctx, plan, ask)
	}
	if err := ss.lock(ctx, bootstrap); err != nil {
		return nil, err
	}
	images := made{}
	late := false
	for try := 1; ; try++ {
		o, err := ss.cluster.Observe(ctx, ss.name, ss.project)
		if err != nil {
			return nil, err
		}
		o.Made = images.ids(o)
		p, err := plan(o)
		if try == 1 {
			ss.warn(p)
		}
		if err != nil {
			return p, err
		}
		if ask != nil {
			if anew, err := ask(p); err != nil {
				return p, err
			} else if anew {
				continue
			}
		}
		anew, err := ss.anew(ctx, p, images)
		if anew && (err == nil || again(err) && try < replans) {
			continue
		} else if err != nil {
			return p, err
		}
		err = ss.run(ctx, p)
		if again(err) && try < replans {
			continue
		}
		if err == nil && !late && ss.cluster.AwaitLate(ctx) {
			late = true // once is enough
			if fell, err := ss.fell(ctx, p); err != nil {
				return p, err
			} else if fell {
				continue
			}
		}
		return p, errors.Join(err, failures(p))
	}
}

// fell reports whether a container that a plan took for running is not any more: a command before this one was killed when it
// had told the engine to stop it.
func (ss *session) fell(ctx context.Context, p *scheduler.Plan) (bool, error) {
	o, err := ss.cluster.Observe(ctx, ss.name, ss.project)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(p.Running, func(was placement.Container) bool {
		return !slices.ContainsFunc(o.Containers, func(is placement.Container) bool { return is.ID == was.ID && is.State == was.State })
	}), nil
}

// again reports whether a plan failed because the store is not as it was when the plan was made, or may not be.
func again(err error) bool {
	return errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUncertain)
}

// preview prints the plan of a command that then changes nothing. Nobody is asked; --yes answers.
func (ss *session) preview(ctx context.Context, plan planner, ask consent) (*scheduler.Plan, error) {
	err := ss.cluster.Open(ctx, false)
	if err != nil && !errors.Is(err, cluster.ErrNoCluster) {
		return nil, err
	}
	o, err := ss.cluster.Look(ctx, ss.name, ss.project)
	if err != nil {
		return nil, err
	}
	p, err := plan(o)
	if err == nil && ask != nil && ss.c.Bool("yes") {
		if again, _ := ask(p); again {
			p, err = plan(o)
		}
	}
	ss.warn(p)
	if err != nil {
		return p, err
	}
	for _, v := range p.Differing {
		ss.display.Warn(fmt.Sprintf("volume %s differs from the file; the command asks whether to make it anew, without its data", v.Name))
	}
	return p, ss.print(p)
}

// print prints a plan, and says what it would leave undone.
func (ss *session) print(p *scheduler.Plan) error {
	fmt.Fprint(ss.env.Stdout, p.String())
	return failures(p)
}

// carry carries a plan out that needs no lock, or prints it with --dry-run, and says what it left undone.
func (ss *session) carry(ctx context.Context, p *scheduler.Plan) error {
	if dryRun(ss.c) {
		return ss.print(p)
	}
	return errors.Join(ss.run(ctx, p), failures(p))
}

func (ss *session) warn(p *scheduler.Plan) {
	if p == nil {
		return
	}
	for _, w := range p.Warnings {
		ss.display.Warn(w)
	}
}

// failures is what a plan left undone, as an error: nil when nothing.
func failures(p *scheduler.Plan) error {
	var errs []error
	if len(p.Unplaced) > 0 {
		errs = append(errs, &scheduler.UnplacedError{Project: p.Project, Command: p.Command, Unplaced: p.Unplaced, Partial: true})
	}
	for _, f := range p.Failures {
		errs = append(errs, errors.New(f))
	}
	return errors.Join(errs...)
}

// run carries out a plan and shows each step.
func (ss *session) run(ctx context.Context, p *scheduler.Plan) error {
	for i := range p.Running {
		ss.display.Event(progress.RunningEvent(p.Running[i]))
	}
	for i := range p.Stopped {
		ss.display.Event(progress.StoppedEvent(p.Stopped[i]))
	}
	if ss.attached != nil {
		ss.attached.planned(p)
	}
	if p.Empty() {
		return nil
	}
	return ss.carryOut(ctx, p)
}

// carryOut runs a plan's steps; those that write to the store need the project's lock.
func (ss *session) carryOut(ctx context.Context, p *scheduler.Plan) error {
	w := execute.World{Project: ss.project, Cluster: ss.inv.Cluster(), Engines: ss.cluster.Engines(), Build: ss.buildOptions()}
	if w.Cluster && ss.cluster.Locked() {
		records := ss.cluster.Records(ss.name)
		defer records.Close()
		w.Store = records
		var cancel context.CancelFunc
		ctx, cancel = ss.cluster.WhileLocked(ctx)
		defer cancel()
	} else if w.Cluster && slices.ContainsFunc(p.Steps, func(s scheduler.Step) bool { return s.Kind == scheduler.Withdraw }) {
		records, err := ss.cluster.Withdrawals(ctx, ss.name)
		if err != nil {
			ss.display.Warn(cluster.NotWithdrawn(err))
		} else {
			defer records.Close()
			w.Store = records
		}
	}
	if ss.attached != nil {
		w.HookOutput = ss.attached.hookOutput
	}
	limits, err := ss.limits()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	provided := map[string]map[string]string{}
	w.Provided = func(service string, variables map[string]string) {
		mu.Lock()
		defer mu.Unlock()
		provided[service] = variables
	}
	err = execute.Run(ctx, w, p, limits, ss.shower(p))
	for service, variables := range provided { // other steps read the project until here
		err = errors.Join(err, loader.Provide(ss.project, service, variables))
	}
	return err
}

// limits are execute's, or what --parallel or COMPOSE_PARALLEL_LIMIT says of each host.
func (ss *session) limits() (execute.Limits, error) {
	limits := execute.DefaultLimits
	n := global(ss.c).Int("parallel")
	if v := ss.env.Getenv("COMPOSE_PARALLEL_LIMIT"); n == 0 && v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			return limits, fmt.Errorf("COMPOSE_PARALLEL_LIMIT is %q; want a number", v)
		}
	}
	if n > 0 { // compose's -1, and 0, are no limit of the user's
		limits.PerHost, limits.Grace = n, 0
	}
	return limits, nil
}

// shower shows how the steps of a plan fare.
func (ss *session) shower(p *scheduler.Plan) func(execute.Report) {
	steps := progress.StepsOf(p)
	phases := map[execute.Phase]progress.Status{
		execute.Working: progress.Working, execute.Done: progress.Done, execute.Warned: progress.Warning,
		execute.Failed: progress.Failed, execute.Skipped: progress.Skipped,
	}
	builds := ss.newBuildOutput()
	return func(r execute.Report) {
		switch {
		case ss.attached == nil || r.Note != "":
		case r.Step.Kind != scheduler.Start:
			defer ss.attached.step(r)
		default: // the container's output shows that it is started
			if ss.attached.step(r); r.Phase == execute.Working || r.Phase == execute.Done {
				return
			}
		}
		if r.Note != "" {
			ss.display.Warn(about(r.Step, ss.inv.Cluster()) + r.Note)
			return
		}
		if r.News != nil {
			builds.show(r.Step, *r.News)
			return
		}
		if r.Total > 0 && ss.c.Bool("quiet-pull") && r.Step.Kind == scheduler.Pull {
			return
		}
		ev := steps.Event(*r.Step, phases[r.Phase], r.Err)
		ev.Current, ev.Total = r.Current, r.Total
		if r.Says != "" {
			ev.Text = r.Says
		}
		ss.display.Event(ev)
	}
}

// about says what a note is about: the container, and on a cluster its host.
func about(s *scheduler.Step, cluster bool) string {
	name := s.Name
	if s.Replaces != "" {
		name = s.Replaces // Name is a temporary one
	}
	if cluster && s.Host != "" {
		return name + " on " + s.Host + ": "
	}
	return name + ": "
}
