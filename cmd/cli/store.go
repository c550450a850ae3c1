package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func storeCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "store", Usage: "look at the cluster's key-value store",
		Subcommands: []*cli.Command{{
			Name: "dump", Usage: "print every key and value, a line each",
			Action: s.with(what{hostsOnly: true, store: true}, func(ss *session) error {
				if !ss.inv.Cluster() {
					return fmt.Errorf("store: one host has no store; berth keeps one only for an inventory of several hosts")
				}
				if err := ss.cluster.Open(ss.c.Context, false); err != nil {
					return err
				}
				snap, err := ss.cluster.Dump(ss.c.Context)
				if err != nil {
					return err
				}
				for _, p := range snap.Pairs {
					fmt.Fprintf(ss.env.Stdout, "%s %s\n", p.Key, p.Value)
				}
				return nil
			}),
		}, rotateCommand(s)},
	}
}
