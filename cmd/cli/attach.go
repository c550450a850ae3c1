package cli

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"berth/cmd/console"
)

func attachCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "attach", Usage: "join the terminal to a running container's own process", ArgsUsage: "SERVICE[.N]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "detach-keys", Usage: "`KEYS` that leave the container (default: ctrl-p,ctrl-q)"},
			&cli.IntFlag{Name: "index", Usage: "replica `N` of the service, like SERVICE.N"},
			&cli.BoolFlag{Name: "no-stdin", Usage: "do not join standard input"},
			&cli.BoolFlag{Name: "sig-proxy", Value: true, Usage: "pass signals on to the process"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return errors.New("attach: say which service, as in \"berth attach web\"")
			}
			return s.with(what{fileOptional: true, silent: true}, attach)(c)
		},
	}
}

func attach(ss *session) error {
	c := ss.c
	t, err := ss.target(c.Args().First(), c.Int("index"))
	if err != nil {
		return err
	}
	ct, err := ss.running(c.Context, t)
	if err != nil {
		return err
	}
	if dryRun(c) {
		fmt.Fprintf(ss.env.Stdout, "attach to %s%s\n", ct.Name, ss.on(ct.Host))
		return nil
	}
	ctx, cancel := ss.within(c.Context, ct.Host)
	defer cancel()
	e := ss.cluster.Engines()[ct.Host]
	st, err := e.State(ctx, ct.ID)
	if err != nil {
		return err
	}
	j := joining{
		id: ct.ID, tty: st.Tty, stdin: st.OpenStdin && !c.Bool("no-stdin"), proxy: c.Bool("sig-proxy"), detachKeys: c.String("detach-keys"),
	}
	if j.detachKeys == "" {
		j.detachKeys = detachKeys(e)
	}
	p, err := ss.join(ctx, e, j)
	if err != nil {
		return err
	}
	code, err := p.wait()
	if errors.Is(err, console.ErrDetached) {
		return nil
	}
	return passed(ctx, code, err)
}
