package table

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// TopRow is one process of a container.
type TopRow struct {
	Service string
	Number  string // of the container
	Host    string
	Cells   map[string]string // by title
}

// Top writes the processes in the order given. titles are those that the hosts' ps gave, in their order; a HOST column
// stands before them on a cluster.
func Top(w io.Writer, titles []string, rows []TopRow, cluster bool) error {
	if len(rows) == 0 {
		return nil
	}
	// The same cell sizes as docker compose's.
	tw := tabwriter.NewWriter(w, 4, 1, 2, ' ', 0)
	first := []string{"SERVICE", "#"}
	if cluster {
		first = append(first, "HOST")
	}
	lines := [][]string{slices.Concat(first, titles)}
	for _, r := range rows {
		line := []string{r.Service, r.Number}
		if cluster {
			line = append(line, r.Host)
		}
		for _, t := range titles {
			cell, ok := r.Cells[t]
			if !ok {
				cell = "-" // another host's ps has this column
			}
			line = append(line, cell)
		}
		lines = append(lines, line)
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(tw, strings.Join(l, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}
