package cli

import "fmt"

// storeRecover makes a store work again that has lost most of its members.
func storeRecover(ss *session) error {
	ctx := ss.c.Context
	r, err := ss.cluster.PlanRecovery(ctx)
	if err != nil {
		return fmt.Errorf("store recover: %w", err)
	}
	fmt.Fprintln(ss.env.Stdout, "found: "+r.Found)
	if r.Keep != "" {
		fmt.Fprintf(ss.env.Stdout, "the store goes on with what host %s has, alone, and with what the agents tell of their hosts; its last changes may be lost\n", r.Keep)
	} else {
		fmt.Fprintln(ss.env.Stdout, "nothing is left of the store: a new one begins with what the agents tell of their hosts; external secrets and configs are lost, and so are the certificates of hosts that do not answer now")
	}
	if dryRun(ss.c) {
		return nil
	}
	if !ss.c.Bool("yes") {
		if yes, err := ss.ask("The hosts that do not answer must not run a store of their own while this is done. Recover it? [yN] "); err != nil || !yes {
			return err
		}
	}
	if err := ss.cluster.Recover(ctx, r); err != nil {
		return fmt.Errorf("store recover: %w", err)
	}
	ss.display.Warn("the store works again; \"berth up\" makes it three members where there are three hosts")
	return nil
}
