package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"berth/cmd/table"
	"berth/placement"
	"berth/runtime/engine"
)

func volumesCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "volumes", Usage: "list the project's volumes, or those that some services use", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "names only"},
			&cli.StringFlag{Name: "format", Value: "table", Usage: "how to print: table, json, or a Go template"},
		},
		Action: s.with(what{words: true, fileOptional: true, silent: true}, volumes),
	}
}

func volumes(ss *session) error {
	list, hosts, err := ss.containers(ss.c.Context, ss.services)
	if err != nil {
		return err
	}
	ss.unreachable(hosts)
	used := map[[2]string]bool{} // host, volume
	for _, ct := range list {
		for _, m := range ct.Mounts {
			if m.Type == "volume" {
				used[[2]string{ct.Host, m.Source}] = true
			}
		}
	}
	var mu sync.Mutex
	var rows []table.VolumeRow
	err = ss.everyHost(hosts, func(ctx context.Context, e *engine.Engine) error {
		found, err := e.Volumes(ctx, ss.name)
		mu.Lock()
		defer mu.Unlock()
		for _, v := range found {
			if len(ss.services) == 0 || used[[2]string{e.Host(), v.Name}] {
				rows = append(rows, table.VolumeRow{Name: v.Name, Driver: v.Driver, Scope: v.Scope, Mountpoint: v.Mountpoint,
					Labels: v.Labels, Host: e.Host()})
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	order := func(name string) int {
		return slices.IndexFunc(hosts, func(h placement.Host) bool { return h.Name == name })
	}
	slices.SortFunc(rows, func(a, b table.VolumeRow) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), order(a.Host)-order(b.Host))
	})
	return table.Volumes(ss.env.Stdout, rows, table.VolumeOptions{
		Format: ss.c.String("format"), Quiet: ss.c.Bool("quiet"), Cluster: ss.inv.Cluster(),
	})
}
