package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"

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
			&cli.StringSliceFlag{Name: "explain", Usage: "tell how the hosts of `SERVICE` are chosen, repeatable"},
			&cli.BoolFlag{Name: "partial", Usage: "plan what can be placed when not everything can"},
		},
		Action: s.with(what{words: true, store: true}, func(ss *session) error {
			opts, err := ss.making()
			if err != nil {
				return err
			}
			opts.NoDeps, opts.Explain = ss.c.Bool("no-deps"), ss.c.StringSlice("explain")
			for _, name := range opts.Explain {
				if ss.project.Service(name) == nil {
					return fmt.Errorf("plan: --explain: no such service: %s", name)
				}
			}
			p, err := ss.preview(ss.c.Context, func(o *placement.Observation) (*scheduler.Plan, error) {
				return scheduler.Up(ss.project, o, opts)
			}, nil)
			if p != nil {
				for i := range p.Explanations {
					fmt.Fprint(ss.env.Stdout, p.Explanations[i].String())
				}
			}
			if err == nil && p.Empty() {
				ss.display.Warn("nothing to do: " + upToDate(p))
			}
			return err
		}),
	}
}
