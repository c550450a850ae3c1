package table

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
)

// ImageRow is the image of one container.
type ImageRow struct {
	Container, Host string
	ID              string // "sha256:…"
	Repository, Tag string // "" when no name is left
	Platform        string
	Size            int64     // bytes
	Tagged          time.Time // when it got its name on the host; zero when unknown
}

// ImageOptions are the flags of images.
type ImageOptions struct {
	Format  string // table or json
	Quiet   bool   // IDs only, each once
	Cluster bool   // a HOST column, and Host in the JSON
	Now     time.Time
}

// Images writes the rows in the order given.
func Images(w io.Writer, rows []ImageRow, o ImageOptions) error {
	switch {
	case o.Quiet:
		var ids []string
		for _, r := range rows {
			if _, id := cutHash(r.ID); !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		return writeLines(w, ids)
	case o.Format == JSON:
		return imagesJSON(w, rows, o.Cluster)
	case o.Format != "" && o.Format != Table:
		return fmt.Errorf("--format %q: want table or json", o.Format)
	}
	titles := []string{"CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"}
	lines := make([][]string, len(rows))
	for i, r := range rows {
		age := "N/A"
		if !r.Tagged.IsZero() {
			age = units.HumanDuration(o.Now.Sub(r.Tagged)) + " ago"
		}
		lines[i] = []string{r.Container, orNone(r.Repository), orNone(r.Tag), r.Platform, shortID(r.ID),
			units.HumanSizeWithPrecision(float64(r.Size), 3), age}
		if o.Cluster {
			lines[i] = slices.Insert(lines[i], 1, r.Host)
		}
	}
	if o.Cluster {
		titles = slices.Insert(titles, 1, "HOST")
	}
	return columns(w, titles, lines)
}

func imagesJSON(w io.Writer, rows []ImageRow, cluster bool) error {
	type image struct {
		ID            string
		ContainerName string
		Host          string `json:",omitempty"`
		Repository    string
		Tag           string
		Platform      string
		Size          int64
		LastTagTime   time.Time
	}
	list := []image{}
	for _, r := range rows {
		if !cluster {
			r.Host = ""
		}
		list = append(list, image{r.ID, r.Container, r.Host, r.Repository, r.Tag, r.Platform, r.Size, r.Tagged})
	}
	return json.NewEncoder(w).Encode(list)
}

// orNone is docker's word for a name that is not there.
func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

// cutHash splits "sha256:12ab" into the hash's name and the number.
func cutHash(id string) (hash, number string) {
	if hash, number, ok := strings.Cut(id, ":"); ok {
		return hash, number
	}
	return "", id
}

// columns writes a table with the cell sizes of docker compose's ls and images.
func columns(w io.Writer, titles []string, lines [][]string) error {
	tw := tabwriter.NewWriter(w, 20, 1, 3, ' ', 0)
	for _, l := range slices.Concat([][]string{titles}, lines) {
		if _, err := fmt.Fprintln(tw, strings.Join(l, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

func writeLines(w io.Writer, lines []string) error {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
