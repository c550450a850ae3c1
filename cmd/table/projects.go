package table

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// ProjectRow is one project on all hosts.
type ProjectRow struct {
	Name        string
	States      map[string]int // containers by state: running, exited …
	ConfigFiles []string
	Hosts       []string // that have containers of it
}

// ProjectOptions are the flags of ls.
type ProjectOptions struct {
	Format  string // table or json
	Quiet   bool   // names only
	Cluster bool   // a HOSTS column, and Hosts in the JSON
}

// Projects writes the rows in the order given.
func Projects(w io.Writer, rows []ProjectRow, o ProjectOptions) error {
	switch {
	case o.Quiet:
		names := make([]string, len(rows))
		for i := range rows {
			names[i] = rows[i].Name
		}
		return writeLines(w, names)
	case o.Format == JSON:
		return projectsJSON(w, rows, o.Cluster)
	case o.Format != "" && o.Format != Table:
		return fmt.Errorf("--format %q: want table or json", o.Format)
	}
	titles := []string{"NAME", "STATUS", "CONFIG FILES"}
	lines := make([][]string, len(rows))
	for i, r := range rows {
		lines[i] = []string{r.Name, r.status(), r.files()}
		if o.Cluster {
			lines[i] = slices.Insert(lines[i], 2, strings.Join(r.Hosts, ","))
		}
	}
	if o.Cluster {
		titles = slices.Insert(titles, 2, "HOSTS")
	}
	return columns(w, titles, lines)
}

func projectsJSON(w io.Writer, rows []ProjectRow, cluster bool) error {
	type project struct {
		Name        string
		Status      string
		ConfigFiles string
		Hosts       []string `json:",omitempty"`
	}
	list := []project{}
	for _, r := range rows {
		if !cluster {
			r.Hosts = nil
		}
		list = append(list, project{r.Name, r.status(), r.files(), r.Hosts})
	}
	return json.NewEncoder(w).Encode(list)
}

// status is "exited(1), running(3)".
func (r *ProjectRow) status() string {
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(r.States)) {
		parts = append(parts, fmt.Sprintf("%s(%d)", state, r.States[state]))
	}
	return strings.Join(parts, ", ")
}

func (r *ProjectRow) files() string {
	if len(r.ConfigFiles) == 0 {
		return notAvailable
	}
	return strings.Join(r.ConfigFiles, ",")
}
