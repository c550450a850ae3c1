package cli

import (
	"fmt"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"berth/loader"
	"berth/placement"
	"berth/scheduler"
)

func scaleCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "scale", Usage: "set the number of a service's replicas", ArgsUsage: "SERVICE=N…",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-deps", Usage: "do not start the services that these depend on"},
			&cli.BoolFlag{Name: "partial", Usage: "start what can be placed when not everything can"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "answer every question with yes"},
		},
		Action: func(c *cli.Context) error {
			scale, err := parseScale(c.Args().Slice())
			if err != nil {
				return fmt.Errorf("scale: %w", err)
			}
			if len(scale) == 0 {
				return fmt.Errorf("scale: say which service and how many, as in \"berth scale web=3\"")
			}
			services := slices.Sorted(maps.Keys(scale))
			return s.with(what{services: services, store: true}, func(ss *session) error {
				if err := loader.Scale(ss.project, scale); err != nil {
					return err
				}
				opts := scheduler.UpOptions{
					Command: c.Command.Name, Services: services, NoDeps: c.Bool("no-deps"), IgnoreOrphans: true, Partial: c.Bool("partial"),
					RenewVolumes: map[string]bool{},
				}
				_, err := ss.applyAsking(c.Context, true, func(o *placement.Observation) (*scheduler.Plan, error) {
					return scheduler.Up(ss.project, o, opts)
				}, ss.consentToRenew(&opts))
				return err
			})(c)
		},
	}
}
