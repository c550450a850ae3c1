package cli

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"berth/cmd/table"
)

func storeCommand(s *settings) *cli.Command {
	action := func(run func(*session) error) cli.ActionFunc {
		return s.with(what{hostsOnly: true, store: true}, func(ss *session) error {
			if !ss.inv.Cluster() {
				return fmt.Errorf("store: one host has no store; berth keeps one only for an inventory of several hosts")
			}
			return run(ss)
		})
	}
	return &cli.Command{
		Name: "store", Usage: "look at the cluster's key-value store, back it up, move it",
		Subcommands: []*cli.Command{
			{Name: "status", Usage: "where it is, how its servers are, who is on it", Action: action(storeStatus),
				Flags: []cli.Flag{&cli.StringFlag{Name: "format", Value: "table", Usage: "how to print: table or json"}}},
			{Name: "dump", Usage: "print every key and value, a line each", Action: action(storeDump)},
			{Name: "backup", Usage: "write all that berth keeps there to a file, or - for standard output", ArgsUsage: "FILE|-", Action: action(storeBackup)},
			{Name: "restore", Usage: "make it what a backup says; what runs on the hosts wins", ArgsUsage: "FILE|-", Action: action(storeRestore),
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "dry-run", Usage: "say what would change, and change nothing"},
					&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
				}},
			{Name: "recover", Usage: "make it work again when most of its members are lost for ever", Action: action(storeRecover),
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "dry-run", Usage: "say what would be done, and do nothing"},
					&cli.BoolFlag{Name: "yes", Aliases: []string{"y", "force"}, Usage: "do not ask"},
				}},
			{Name: "migrate", Usage: "move it to another store, and the agents with it", ArgsUsage: "URL", Action: action(storeMigrate)},
			rotateCommand(s),
		},
	}
}

// openStore opens the store of a cluster that is there.
func (ss *session) openStore() error { return ss.cluster.Open(ss.c.Context, false) }

func storeDump(ss *session) error {
	if err := ss.openStore(); err != nil {
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
}

func storeStatus(ss *session) error {
	format := ss.c.String("format")
	if format != table.Table && format != table.JSON {
		return fmt.Errorf("store status: --format is %q; want table or json", format)
	}
	if err := ss.openStore(); err != nil {
		return err
	}
	status, err := ss.cluster.Status(ss.c.Context)
	if err != nil {
		return err
	}
	if err := table.Store(ss.env.Stdout, status, format); err != nil {
		return err
	}
	var errs []error
	for _, s := range status.Servers {
		if s.Problem != "" {
			errs = append(errs, fmt.Errorf("store status: %s: %s", s.Endpoint, s.Problem))
		}
	}
	for _, h := range status.Hosts {
		for _, p := range h.Problems {
			errs = append(errs, errors.New(p))
		}
	}
	return errors.Join(errs...)
}
