package cli

import (
	"github.com/urfave/cli/v2"

	"berth/placement"
	"berth/scheduler"
)

func rebalanceCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "rebalance", Usage: "move the fewest tasks that bring balance, after hosts joined or are drained", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{timeoutFlag()},
		Action: s.with(what{words: true, store: true}, func(ss *session) error {
			if !ss.inv.Cluster() {
				ss.display.Warn("there is one host: nothing to balance")
				return nil
			}
			p, err := ss.apply(ss.c.Context, true, func(o *placement.Observation) (*scheduler.Plan, error) {
				return scheduler.Rebalance(ss.project, o, scheduler.RebalanceOptions{Services: ss.services, Timeout: timeout(ss.c)})
			})
			if err == nil && p.Empty() {
				ss.display.Warn("nothing to do: no task has a better host")
			}
			return err
		}),
	}
}
