package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"berth/cmd/table"
	"berth/placement"
	"berth/runtime/engine"
)

func statsCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "stats", Usage: "show what the containers use of CPU, memory, network and disks", ArgsUsage: "[SERVICE]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "stopped containers too"},
			&cli.BoolFlag{Name: "no-stream", Usage: "measure once"},
			&cli.BoolFlag{Name: "no-trunc", Usage: "whole IDs"},
			&cli.StringFlag{Name: "format", Value: "table", Usage: "how to print: table, json, or a Go template"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return fmt.Errorf("stats accepts at most 1 arg(s), received %d: name one service, or none for all", c.NArg())
			}
			return s.with(what{words: true, fileOptional: true, silent: true}, stats)(c)
		},
	}
}

func stats(ss *session) error {
	c := ss.c
	list, hosts, err := ss.containers(c.Context, ss.services)
	if err != nil {
		return err
	}
	ss.unreachable(hosts)
	list = slices.DeleteFunc(list, func(ct placement.Container) bool { return !c.Bool("all") && !ct.Running() })
	o := table.UsageOptions{Format: c.String("format"), NoTrunc: c.Bool("no-trunc"), Cluster: ss.inv.Cluster()}
	if err := table.Usage(io.Discard, nil, o); err != nil {
		return err // a template that does not parse shows before anything is measured
	}
	if c.Bool("no-stream") {
		return ss.statsOnce(list, o)
	}
	m := newMeter(ss, c.Bool("all"))
	err = m.run(c.Context, list, func(rows []table.UsageRow, notes []string) error { return ss.redraw(rows, notes, o) })
	if errors.Is(err, errInterrupted) {
		return &exitError{code: 130}
	}
	return err
}

func (ss *session) statsOnce(list []placement.Container, o table.UsageOptions) error {
	rows := make([]table.UsageRow, len(list))
	for i, ct := range list {
		rows[i] = table.UsageRow{ID: ct.ID, Name: ct.Name, Host: ct.Host}
	}
	err := ss.each(list, func(ctx context.Context, i int, e *engine.Engine) error {
		u, err := e.Usage(ctx, list[i].ID)
		if err == nil {
			fill(&rows[i], u)
		}
		return err
	})
	if err != nil {
		return err
	}
	sortUsage(rows)
	return table.Usage(ss.env.Stdout, rows, o)
}

func fill(row *table.UsageRow, u engine.Usage) {
	row.Known = true
	row.CPU, row.Memory, row.MemoryLimit, row.MemoryPercent = u.CPU, u.Memory, u.MemoryLimit, u.MemoryPercent()
	row.NetworkRead, row.NetworkSent = u.NetworkRead, u.NetworkSent
	row.BlockRead, row.BlockWritten, row.Processes = u.BlockRead, u.BlockWritten, u.Processes
}

func sortUsage(rows []table.UsageRow) {
	slices.SortFunc(rows, func(a, b table.UsageRow) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Host, b.Host))
	})
}

// How a terminal is redrawn in place, without the flicker that clearing it first would make.
const (
	cursorHome   = "\x1b[H"
	clearLineEnd = "\x1b[K"
	clearBelow   = "\x1b[J"
)

// redraw writes the table over the last one on a terminal, and below it elsewhere.
func (ss *session) redraw(rows []table.UsageRow, notes []string, o table.UsageOptions) error {
	var b bytes.Buffer
	if err := table.Usage(&b, rows, o); err != nil {
		return err
	}
	text := b.String()
	if tty, size := ss.env.terminal(ss.env.Stdout); tty {
		_, height := size()
		lines := strings.SplitAfter(text+strings.Join(notes, "\n"), "\n")
		text = cursorHome + strings.ReplaceAll(strings.Join(lines[:min(len(lines), max(height-1, 1))], ""), "\n", clearLineEnd+"\n") + clearBelow
	}
	_, err := io.WriteString(ss.env.Stdout, text)
	return err
}

// redrawEvery is the docker command line's pace.
const redrawEvery = 500 * time.Millisecond
