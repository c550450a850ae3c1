package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"berth/cmd/table"
	"berth/placement"
	"berth/runtime/engine"
)

func psCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "ps", Usage: "list the project's containers", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "stopped containers too"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "container IDs only"},
			&cli.BoolFlag{Name: "services", Usage: "service names only"},
			&cli.BoolFlag{Name: "orphans", Value: true, Usage: "containers of services the file does not have too"},
			&cli.StringFlag{Name: "format", Value: "table", Usage: "table, json, or a Go template"},
			&cli.StringSliceFlag{Name: "status", Usage: "only containers in this `STATE`, repeatable"},
			&cli.BoolFlag{Name: "no-trunc", Usage: "whole commands and IDs"},
		},
		Action: s.with(what{words: true, fileOptional: true, silent: true, list: true}, ps),
	}
}

func ps(ss *session) error {
	c := ss.c
	containers, hosts, err := ss.containers(c.Context, ss.services)
	if err != nil {
		return err
	}
	states := c.StringSlice("status")
	containers = slices.DeleteFunc(containers, func(ct placement.Container) bool {
		switch {
		case ct.OneOff && !c.Bool("all"):
			return true
		case len(states) > 0:
			return !slices.Contains(states, ct.State)
		case !c.Bool("orphans") && ss.project != nil && ss.project.Service(ct.Task.Service) == nil:
			return true
		}
		return !c.Bool("all") && !ct.Running() && ct.State != "restarting"
	})
	err = table.PS(ss.env.Stdout, containers, table.PSOptions{
		Format: c.String("format"), Quiet: c.Bool("quiet"), NoTrunc: c.Bool("no-trunc"), Services: c.Bool("services"),
		Cluster: ss.inv.Cluster(), Now: time.Now(),
	})
	if err != nil {
		return err
	}
	ss.unreachable(hosts)
	return nil
}

// containers lists the project's containers, of the services named or of all, with one list call a host and no store.
func (ss *session) containers(ctx context.Context, services []string) ([]placement.Container, []placement.Host, error) {
	snaps, err := ss.snapshots(ctx)
	if err != nil {
		return nil, nil, err
	}
	var list []placement.Container
	var hosts []placement.Host
	for _, s := range snaps {
		hosts = append(hosts, s.Host)
		for _, ct := range s.Containers {
			if len(services) == 0 || slices.Contains(services, ct.Task.Service) {
				list = append(list, ct)
			}
		}
	}
	return list, hosts, nil
}

// snapshots lists the project's containers on all hosts. A command that began early has the answer already, once: those
// who ask again want to know what is new.
func (ss *session) snapshots(ctx context.Context) ([]engine.Snapshot, error) {
	if ss.listing == nil {
		return ss.cluster.Snapshots(ctx, engine.Query{Project: ss.name, Light: true}, nil)
	}
	snaps, err := ss.listing()
	ss.listing = nil
	for i := range snaps {
		snaps[i] = snaps[i].Of(ss.name)
	}
	return snaps, err
}

// unreachable says which hosts did not answer, to a user who sees what the others have.
func (ss *session) unreachable(hosts []placement.Host) {
	for _, h := range hosts {
		if h.State != placement.Ready {
			ss.display.Warn(fmt.Sprintf("host %s is unreachable, what runs there is not shown: %s", h.Name, h.Problem))
		}
	}
}
