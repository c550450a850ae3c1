package cli

import (
	"github.com/urfave/cli/v2"

	"berth/placement"
	"berth/scheduler"
)

func createCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "create", Usage: "create the project's containers, start none", ArgsUsage: "[SERVICE…]",
		Flags:  makingFlags(),
		Action: s.with(what{words: true, store: true}, create),
	}
}

func create(ss *session) error {
	opts, err := ss.making()
	if err != nil {
		return err
	}
	opts.NoStart = true
	_, err = ss.applyAsking(ss.c.Context, true, func(o *placement.Observation) (*scheduler.Plan, error) {
		return scheduler.Up(ss.project, o, opts)
	}, ss.consentToRenew(&opts))
	return err
}
