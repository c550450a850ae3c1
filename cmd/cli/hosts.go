package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"berth/cmd/table"
	"berth/runtime/engine"
)

func hostsCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "hosts", Usage: "list the hosts: state, engine, labels, what is reserved of them",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "names only"},
			&cli.StringFlag{Name: "format", Value: "table", Usage: "how to print: table, json or a Go template"},
		},
		Action: s.with(what{hostsOnly: true}, hosts),
	}
}

func hosts(ss *session) error {
	snaps, err := ss.cluster.Snapshots(ss.c.Context, engine.Query{}, nil)
	if err != nil && (len(snaps) == 0 || !ss.inv.Cluster()) { // a list that says of each host why it does not answer is better
		return err
	}
	var rows []table.HostRow
	down := 0
	for _, sn := range snaps {
		row := table.HostRow{Host: sn.Host}
		if ss.inv.Cluster() && sn.Host.Problem == "" { // who does not answer does not say what its agent does
			row.Agent = agentState(sn.Agent)
		}
		for _, ct := range sn.Containers {
			if ct.Running() {
				row.Tasks++
				row.Reserved = row.Reserved.Add(ct.Reservation)
			}
		}
		if sn.Host.Problem != "" {
			down++
		}
		rows = append(rows, row)
	}
	if ss.c.Bool("quiet") {
		for _, r := range rows {
			fmt.Fprintln(ss.env.Stdout, r.Host.Name)
		}
	} else if err := table.Hosts(ss.env.Stdout, rows, ss.c.String("format")); err != nil {
		return err
	}
	for _, sentence := range warnings(ss) {
		fmt.Fprintln(ss.env.Stderr, sentence)
	}
	if down > 0 {
		return fmt.Errorf("hosts: %d of %d do not answer", down, len(rows))
	}
	return nil
}

// agentState is an agent's container in one word: what `docker ps` calls it, "ready" when it runs.
func agentState(a *engine.AgentContainer) string {
	switch {
	case a == nil:
		return "missing"
	case a.State == "running":
		return "ready"
	}
	return a.State
}

// storeGlance bounds what the list of hosts waits for the store: it is for hosts first.
const storeGlance = 3 * time.Second

// warnings are what the agents have found wrong between hosts; none when the store does not answer.
func warnings(ss *session) []string {
	if !ss.inv.Cluster() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ss.c.Context, storeGlance)
	defer cancel()
	if ss.cluster.Open(ctx, false) != nil {
		return nil
	}
	view, err := ss.cluster.View(ctx)
	if err != nil {
		return nil
	}
	return append(view.Warnings(), view.Unreached()...)
}
