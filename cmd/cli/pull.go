package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"berth/cmd/progress"
	"berth/placement"
	"berth/runtime/cluster"
	"berth/scheduler"
)

func pullCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "pull", Usage: "pull the services' images on the hosts that run them", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "ignore-buildable", Usage: "leave out images that can be built"},
			&cli.BoolFlag{Name: "ignore-pull-failures", Usage: "pull what can be pulled; failures are warnings"},
			&cli.BoolFlag{Name: "include-deps", Usage: "pull for the services that these depend on, too"},
			&cli.StringFlag{Name: "policy", Usage: "missing or always, instead of the services' pull_policy"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress"},
			// docker compose's old ones, which scripts still have.
			&cli.BoolFlag{Name: "parallel", Hidden: true},
			&cli.BoolFlag{Name: "no-parallel", Hidden: true},
		},
		Action: s.with(what{words: true, store: true}, pull),
	}
}

func pull(ss *session) error {
	c := ss.c
	for _, flag := range []string{"parallel", "no-parallel"} {
		if c.IsSet(flag) {
			ss.display.Warn(fmt.Sprintf("--%s is ignored: several images are pulled at a time in any case", flag))
		}
	}
	policy := c.String("policy")
	if !slices.Contains([]string{"", "missing", "always"}, policy) {
		return fmt.Errorf("pull: --policy is %q; want missing or always", policy)
	}
	opts := scheduler.PullOptions{
		Services: ss.services, Deps: c.Bool("include-deps"), Policy: policy,
		IgnoreBuildable: c.Bool("ignore-buildable"), IgnoreFailures: c.Bool("ignore-pull-failures"),
	}
	_, err := ss.images(c.Context, func(o *placement.Observation) (*scheduler.Plan, error) {
		p, err := scheduler.PullImages(ss.project, o, opts)
		if err == nil {
			ss.skipped(p, opts)
		}
		return p, err
	})
	return err
}

// skipped says of each service whose image is not pulled why.
func (ss *session) skipped(p *scheduler.Plan, opts scheduler.PullOptions) {
	pulled := map[string]bool{}
	for _, s := range p.Steps {
		pulled[s.Name] = true
	}
	for _, s := range ss.project.Services {
		if pulled[s.Image] || len(opts.Services) > 0 && !slices.Contains(opts.Services, s.Name) {
			continue
		}
		text := "Skipped"
		switch {
		case s.Image == "":
			text = "Skipped - No image to be pulled"
		case s.PullPolicy == "never", s.PullPolicy == "build":
		case s.Build != nil && opts.IgnoreBuildable:
			text = "Skipped - Image can be built"
		default:
			text = "Skipped - Image is already present locally"
		}
		ss.display.Event(progress.Event{ID: s.Name, Text: text, Status: progress.Done})
	}
}

func pushCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "push", Usage: "push the images of services that have build: and image:", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "ignore-push-failures", Usage: "push what can be pushed; failures are warnings"},
			&cli.BoolFlag{Name: "include-deps", Usage: "push for the services that these depend on, too"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress"},
		},
		Action: s.with(what{words: true, store: true}, push),
	}
}

func push(ss *session) error {
	c := ss.c
	plan, err := ss.images(c.Context, func(o *placement.Observation) (*scheduler.Plan, error) {
		return scheduler.PushImages(ss.project, o, scheduler.PushOptions{
			Services: ss.services, Deps: c.Bool("include-deps"), IgnoreFailures: c.Bool("ignore-push-failures"),
		})
	})
	if err == nil && plan.Empty() {
		ss.display.Warn("nothing to push: no service has both build: and image:")
	}
	return err
}

// images observes, plans and carries out what concerns images only: that needs neither agents nor a lock, and of a
// cluster's store just what it says of where tasks are.
func (ss *session) images(ctx context.Context, plan planner) (*scheduler.Plan, error) {
	if err := ss.cluster.Open(ctx, false); err != nil && !errors.Is(err, cluster.ErrNoCluster) {
		return nil, err
	}
	o, err := ss.cluster.Look(ctx, ss.name, ss.project)
	if err != nil {
		return nil, err
	}
	p, err := plan(o)
	if err != nil {
		return nil, err
	}
	ss.warn(p)
	if dryRun(ss.c) {
		fmt.Fprint(ss.env.Stdout, p.String())
		return p, failures(p)
	}
	return p, errors.Join(ss.carryOut(ctx, p), failures(p))
}
