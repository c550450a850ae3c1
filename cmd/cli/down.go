package cli

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"berth/placement"
	"berth/runtime/cluster"
	"berth/scheduler"
)

func downCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "down", Usage: "stop and remove the project's containers and networks", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "volumes", Aliases: []string{"v"}, Usage: "remove the project's named volumes too, with their data"},
			&cli.BoolFlag{Name: "remove-orphans", Usage: "remove containers of services the file does not have"},
			&cli.StringFlag{Name: "rmi", Usage: "remove images too: local (those without a name in the file) or all"},
			timeoutFlag(),
		},
		Action: s.with(what{words: true, fileOptional: true, silent: true, store: true}, down),
	}
}

func down(ss *session) error {
	c := ss.c
	images := scheduler.Images(c.String("rmi"))
	if images != "" && images != scheduler.LocalImages && images != scheduler.AllImages {
		return fmt.Errorf("down: invalid value for --rmi: %q; want local or all", images)
	}
	plan, err := ss.apply(c.Context, false, func(o *placement.Observation) (*scheduler.Plan, error) {
		return scheduler.Down(ss.name, ss.project, o, scheduler.DownOptions{
			Services: ss.services, Volumes: c.Bool("volumes"),
			RemoveOrphans: ss.removeOrphans(), Images: images, Timeout: timeout(c),
		}), nil
	})
	if errors.Is(err, cluster.ErrNoCluster) {
		ss.display.Warn("nothing to do: " + err.Error())
		return nil
	}
	if err == nil && plan.Empty() && !dryRun(c) {
		ss.display.Warn(fmt.Sprintf("nothing to do: project %s has no containers, networks or volumes to remove", ss.name))
	}
	return err
}
