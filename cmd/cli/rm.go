package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"berth/placement"
	"berth/runtime/cluster"
	"berth/scheduler"
)

func rmCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "rm", Usage: "remove stopped containers", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "do not ask"},
			&cli.BoolFlag{Name: "stop", Aliases: []string{"s"}, Usage: "stop what runs first"},
			&cli.BoolFlag{Name: "volumes", Aliases: []string{"v"}, Usage: "remove the containers' anonymous volumes too"},
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Hidden: true, Usage: "without effect, as for docker compose"},
			timeoutFlag(),
		},
		Action: s.with(what{words: true, fileOptional: true, silent: true, store: true}, rm),
	}
}

func rm(ss *session) error {
	c := ss.c
	plan, err := ss.applyAsking(c.Context, false, func(o *placement.Observation) (*scheduler.Plan, error) {
		return scheduler.NewPresent(ss.name, ss.project, o, ss.services).Clear(scheduler.ClearOptions{
			Stop: c.Bool("stop"), Volumes: c.Bool("volumes"), Timeout: timeout(c),
		}), nil
	}, ss.consentToRemove)
	switch {
	case errors.Is(err, errDeclined):
		return nil
	case errors.Is(err, cluster.ErrNoCluster), err == nil && plan.Empty():
		ss.display.Warn("No stopped containers")
		return nil
	}
	return err
}

// consentToRemove says what goes, and asks unless --force is given.
func (ss *session) consentToRemove(p *scheduler.Plan) (bool, error) {
	var names []string
	for _, s := range p.Steps {
		if s.Kind == scheduler.Remove {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return false, nil
	}
	ss.display.Yield()
	fmt.Fprintf(ss.env.Stdout, "Going to remove %s\n", strings.Join(names, ", "))
	if ss.c.Bool("force") {
		return false, nil
	}
	yes, err := ss.ask("Are you sure? [y/N] ")
	if err == nil && !yes {
		err = errDeclined
	}
	return false, err
}
