package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// rotateCommand changes the keys of encrypted networks at once, beside their regular change.
func rotateCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "rotate-keys", Usage: "have all hosts change the keys of encrypted networks now; traffic goes on",
		Action: s.with(what{hostsOnly: true, store: true}, func(ss *session) error {
			if !ss.inv.Cluster() {
				return fmt.Errorf("store: one host encrypts nothing; there are keys only for an inventory of several hosts")
			}
			if dryRun(ss.c) {
				fmt.Fprintln(ss.env.Stdout, "change the keys on all hosts that are on an encrypted network")
				return nil
			}
			if err := ss.cluster.Open(ss.c.Context, false); err != nil {
				return err
			}
			hosts, err := ss.cluster.RotateKeys(ss.c.Context)
			if err != nil {
				return err
			}
			if len(hosts) == 0 {
				fmt.Fprintln(ss.env.Stdout, "no host is on an encrypted network")
				return nil
			}
			fmt.Fprintln(ss.env.Stdout, "keys changed on", strings.Join(hosts, ", "))
			return nil
		}),
	}
}
