package table

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"berth/placement"
)

// PSOptions are the flags of ps.
type PSOptions struct {
	// Format is "table" (and ""), "json", "raw", a Go template, or "table TEMPLATE". Templates see the fields of
	// compose's ps and Host.
	Format   string
	Quiet    bool // full IDs only, whatever the format
	NoTrunc  bool // whole IDs, commands and mounts
	Services bool // the names of the services that the containers belong to, only
	Cluster  bool // a HOST column, and Host in the JSON
	// Addresses are where hosts are reached, by name: what is published on all addresses of a host shows that one. A host
	// without one shows what the engine says.
	Addresses map[string]string
	// Now is what CREATED is relative to; its location is the time zone of CreatedAt.
	Now time.Time
}

// psTable is compose's default table; on a cluster the host comes after the name.
const (
	psTable        = "table {{.Name}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}"
	psClusterTable = "table {{.Name}}\t{{.Host}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}"
	psRaw          = `container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
`
)

var psTitles = header{
	"ID": "CONTAINER ID", "Name": "NAME", "Names": "NAMES", "Host": "HOST", "Project": "PROJECT", "Service": "SERVICE",
	"Image": "IMAGE", "Command": "COMMAND", "CreatedAt": "CREATED AT", "RunningFor": "CREATED", "Ports": "PORTS",
	"Publishers": "PUBLISHERS", "State": "STATE", "Status": "STATUS", "Health": "HEALTH", "ExitCode": "EXIT CODE",
	"Size": "SIZE", "Labels": "LABELS", "Mounts": "MOUNTS", "LocalVolumes": "LOCAL VOLUMES", "Networks": "NETWORKS",
}

// PS writes the containers, sorted by name (byte order, as compose does) and host. It writes what it is given: leaving
// out stopped ones is the caller's.
func PS(w io.Writer, containers []placement.Container, o PSOptions) error {
	containers = slices.Clone(containers)
	slices.SortStableFunc(containers, func(a, b placement.Container) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Host, b.Host))
	})
	if o.Quiet {
		var b strings.Builder
		for _, c := range containers {
			b.WriteString(c.ID + "\n")
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
	rows := make([]*row, len(containers))
	for i := range containers {
		rows[i] = &row{c: &containers[i], o: &o}
	}
	if o.Services {
		var names []string
		for _, r := range rows {
			if s := r.Service(); !slices.Contains(names, s) {
				names = append(names, s)
			}
		}
		_, err := fmt.Fprintln(w, strings.Join(names, "\n"))
		return err
	}
	format := o.Format
	switch format {
	case "", Table:
		if format = psTable; o.Cluster {
			format = psClusterTable
		}
	case Raw:
		format = psRaw
	}
	return render(w, format, psTitles, rows)
}
