package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
			&cli.BoolFlag{Name: "orphans", Value: true, Usage: "containers of services the file does not have too; --orphans=false leaves them out"},
			&cli.StringFlag{Name: "format", Value: "table", Usage: "how to print: table, json, or a Go template"},
			&cli.StringSliceFlag{Name: "status", Usage: "only containers in this `STATE` (running, exited …), repeatable"},
			&cli.StringFlag{Name: "filter", Usage: "only containers with `status=STATE`"},
			&cli.BoolFlag{Name: "no-trunc", Usage: "whole commands and IDs"},
		},
		Action: s.with(what{words: true, fileOptional: true, silent: true, list: true}, ps),
	}
}

func ps(ss *session) error {
	c := ss.c
	states, err := wantedStates(c)
	if err != nil {
		return err
	}
	containers, hosts, err := ss.containers(c.Context, ss.services)
	if err != nil {
		return err
	}
	containers = slices.DeleteFunc(containers, func(ct placement.Container) bool {
		switch {
		case ct.OneOff && !c.Bool("all") && len(states) == 0:
			return true
		case len(states) > 0 && !slices.Contains(states, ct.State):
			return true
		case !c.Bool("orphans") && ss.project != nil && ss.project.Service(ct.Task.Service) == nil:
			return true
		}
		return !c.Bool("all") && len(states) == 0 && !ct.Running() && ct.State != "restarting"
	})
	addresses := map[string]string{}
	if ss.inv.Cluster() {
		for _, h := range hosts {
			addresses[h.Name] = reachableAt(h, "")
		}
	}
	err = table.PS(ss.env.Stdout, containers, table.PSOptions{
		Addresses: addresses,
		Format:    c.String("format"), Quiet: c.Bool("quiet"), NoTrunc: c.Bool("no-trunc"), Services: c.Bool("services"),
		Cluster: ss.inv.Cluster(), Now: time.Now(),
	})
	if err != nil {
		return err
	}
	ss.unreachable(hosts)
	return nil
}

// wantedStates are those of --status, or of --filter, which replaces them.
func wantedStates(c *cli.Context) ([]string, error) {
	filter := c.String("filter")
	if filter == "" {
		return c.StringSlice("status"), nil
	}
	key, value, ok := strings.Cut(filter, "=")
	switch {
	case !ok:
		return nil, fmt.Errorf("ps: arguments to --filter should be in form KEY=VAL, not %q", filter)
	case key != "status":
		return nil, fmt.Errorf("ps: --filter %s is not implemented; the one there is is status=STATE", key)
	}
	return []string{value}, nil
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
	ss.endListing()
	ss.listing = nil
	for i := range snaps {
		snaps[i] = snaps[i].Of(ss.name)
	}
	return snaps, err
}

// asked reports whether a service is one of those named on the command line, or none was.
func (ss *session) asked(service string) bool {
	return len(ss.services) == 0 || slices.Contains(ss.services, service)
}

// unreachable says which hosts did not answer, to a user who sees what the others have.
func (ss *session) unreachable(hosts []placement.Host) {
	for _, h := range hosts {
		if h.State != placement.Ready {
			ss.display.Warn(fmt.Sprintf("host %s is unreachable, what runs there is not shown: %s", h.Name, h.Problem))
		}
	}
}
