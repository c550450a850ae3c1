package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"berth/loader"
	"berth/placement"
	"berth/scheduler"
)

func planCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: "print what \"up\" would do, and why", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "scale", Usage: "`SERVICE=N` replicas, repeatable"},
			&cli.BoolFlag{Name: "force-recreate", Usage: "recreate containers that did not change"},
			&cli.BoolFlag{Name: "no-recreate", Usage: "leave containers that are there as they are"},
			&cli.BoolFlag{Name: "no-deps", Usage: "leave out the services that those named depend on"},
			&cli.BoolFlag{Name: "remove-orphans", Usage: "remove containers of services the file does not have"},
			&cli.BoolFlag{Name: "partial", Usage: "plan what can be placed when not everything can"},
		},
		Action: func(c *cli.Context) error {
			services := c.Args().Slice()
			ss, err := s.open(c, what{services: services, store: true})
			if err != nil {
				return err
			}
			defer ss.close()
			if err := ss.checkServices(services); err != nil {
				return err
			}
			scale, err := parseScale(c.StringSlice("scale"))
			if err != nil {
				return fmt.Errorf("plan: %w", err)
			}
			if err := loader.Scale(ss.project, scale); err != nil {
				return err
			}
			p, err := ss.preview(c.Context, func(o *placement.Observation) (*scheduler.Plan, error) {
				return scheduler.Up(ss.project, o, scheduler.UpOptions{
					Services: services, NoDeps: c.Bool("no-deps"), ForceRecreate: c.Bool("force-recreate"),
					NoRecreate: c.Bool("no-recreate"), RemoveOrphans: c.Bool("remove-orphans"), Partial: c.Bool("partial"),
				})
			})
			if err == nil && p.Empty() {
				ss.display.Warn("nothing to do: " + upToDate(p))
			}
			return err
		},
	}
}
