package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"berth/loader"
	"berth/placement"
	"berth/scheduler"
)

func upCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "up", Usage: "create and start the project's containers", ArgsUsage: "[SERVICE…]",
		Flags: append(makingFlags(),
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "do not show the containers' output"},
			&cli.BoolFlag{Name: "wait", Usage: "wait until the services are running or healthy; implies -d"},
			&cli.IntFlag{Name: "wait-timeout", Usage: "`SECONDS` that --wait may take"},
			&cli.BoolFlag{Name: "always-recreate-deps", Usage: "recreate dependencies too"},
			&cli.BoolFlag{Name: "no-deps", Usage: "leave out the services that those named depend on"},
			&cli.BoolFlag{Name: "no-start", Usage: "create, do not start"},
			&cli.BoolFlag{Name: "renew-anon-volumes", Aliases: []string{"V"}, Usage: "fresh anonymous volumes"},
			timeoutFlag(),
			&cli.BoolFlag{Name: "abort-on-container-exit", Usage: "stop all containers when the first has ended, and exit with its code"},
			&cli.BoolFlag{Name: "abort-on-container-failure", Usage: "stop all containers when the first has failed, and exit with its code"},
			&cli.StringFlag{Name: "exit-code-from", Usage: "exit with the code of `SERVICE`; implies --abort-on-container-exit"},
			&cli.StringSliceFlag{Name: "attach", Usage: "show the output of `SERVICE` only, repeatable"},
			&cli.BoolFlag{Name: "attach-dependencies", Usage: "show the output of the services that those named depend on, too"},
			&cli.StringSliceFlag{Name: "no-attach", Usage: "do not show the output of `SERVICE`, repeatable"},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "sync files, rebuild or restart services when files change, as watch does"},
			&cli.BoolFlag{Name: "menu", Hidden: true}, // there is none
			&cli.BoolFlag{Name: "no-color", Usage: "no colours in the output"},
			&cli.BoolFlag{Name: "no-log-prefix", Usage: "no container names in the output"},
			&cli.BoolFlag{Name: "timestamps", Usage: "times in the output"},
		),
		Action: s.with(what{words: true, store: true}, up),
	}
}

func up(ss *session) error {
	c := ss.c
	if len(ss.project.Services)+len(ss.project.Providers) == 0 {
		return errors.New("up: no service selected; the file has none without a profile: switch one on with --profile, or name a service")
	}
	opts, err := ss.making()
	if err != nil {
		return err
	}
	if opts.IgnoreOrphans && opts.RemoveOrphans {
		return ss.incompatible("COMPOSE_IGNORE_ORPHANS", "--remove-orphans")
	}
	opts.NoDeps, opts.AlwaysRecreateDeps = c.Bool("no-deps"), c.Bool("always-recreate-deps")
	opts.RenewAnonVolumes, opts.NoStart = c.Bool("renew-anon-volumes"), c.Bool("no-start")
	opts.Wait, opts.Timeout = c.Bool("wait"), timeout(c)
	if opts.AlwaysRecreateDeps && opts.NoRecreate {
		return ss.incompatible("--always-recreate-deps", "--no-recreate")
	}
	if opts.RenewAnonVolumes && opts.NoRecreate {
		return ss.incompatible("--renew-anon-volumes", "--no-recreate")
	}
	ctx, cancel := ss.waitContext(opts.Wait)
	defer cancel()
	apply := func(ctx context.Context) (*scheduler.Plan, error) {
		return ss.applyAsking(ctx, true, func(o *placement.Observation) (*scheduler.Plan, error) {
			return scheduler.Up(ss.project, o, opts)
		}, ss.consentToRenew(&opts))
	}
	if err := ss.attachFlags(); err != nil {
		return err
	}
	if !c.Bool("detach") && !opts.Wait && !opts.NoStart && !dryRun(c) {
		return ss.attachedUp(ctx, apply)
	}
	plan, err := apply(ctx)
	if err == nil && plan.Empty() && !dryRun(c) && !opts.NoStart {
		ss.display.Warn("nothing to do: " + upToDate(plan))
	}
	return err
}

func upToDate(p *scheduler.Plan) string {
	if len(p.Running) == 1 {
		return "1 container runs as the file says"
	}
	return fmt.Sprintf("%d containers run as the file says", len(p.Running))
}

// timeout is --timeout as the planner wants it: nil when it was not given.
func timeout(c *cli.Context) *time.Duration {
	if !c.IsSet("timeout") {
		return nil
	}
	d := time.Duration(c.Int("timeout")) * time.Second
	return &d
}

// scale sets the replicas that --scale asks for.
func (ss *session) scale(words []string) error {
	scale, err := parseScale(words)
	if err != nil {
		return fmt.Errorf("%s: %w", ss.c.Command.Name, err)
	}
	return loader.Scale(ss.project, scale)
}

// parseScale reads SERVICE=N words.
func parseScale(words []string) (map[string]int, error) {
	scale := map[string]int{}
	for _, w := range words {
		name, number, ok := strings.Cut(w, "=")
		n, err := strconv.Atoi(number)
		if !ok || name == "" || err != nil || n < 0 {
			return nil, fmt.Errorf("%q is not SERVICE=N with N 0 or more", w)
		}
		scale[name] = n
	}
	return scale, nil
}
