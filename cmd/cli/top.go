package cli

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"berth/cmd/table"
	"berth/placement"
	"berth/runtime/engine"
)

func topCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "top", Usage: "list the processes in the containers", ArgsUsage: "[SERVICE…]",
		Action: s.with(what{words: true, fileOptional: true, silent: true}, top),
	}
}

func top(ss *session) error {
	list, hosts, err := ss.containers(ss.c.Context, ss.services)
	if err != nil {
		return err
	}
	ss.unreachable(hosts)
	list = slices.DeleteFunc(list, func(ct placement.Container) bool { return ct.OneOff || !ct.Running() })
	slices.SortStableFunc(list, func(a, b placement.Container) int {
		return cmp.Or(cmp.Compare(a.Task.Service, b.Task.Service), a.Task.Number-b.Task.Number)
	})
	all := make([]engine.Processes, len(list))
	err = ss.each(list, func(ctx context.Context, i int, e *engine.Engine) (err error) {
		all[i], err = e.Top(ctx, list[i].ID)
		return err
	})
	if err != nil {
		return err
	}
	var titles []string
	var rows []table.TopRow
	for i, ct := range list {
		for _, t := range all[i].Titles {
			if !slices.Contains(titles, t) {
				titles = append(titles, t)
			}
		}
		for _, p := range all[i].Rows {
			row := table.TopRow{Service: ct.Task.Service, Number: strconv.Itoa(ct.Task.Number), Host: ct.Host, Cells: map[string]string{}}
			for j, cell := range p {
				row.Cells[all[i].Titles[j]] = cell
			}
			rows = append(rows, row)
		}
	}
	return table.Top(ss.env.Stdout, titles, rows, ss.inv.Cluster())
}
