// Package table prints what ps and hosts know: tables, JSON and Go templates, with the formats, template functions and
// field names of docker compose v2.40 and the docker command line.
package table

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/docker/cli/templates"
)

// The formats that are not templates.
const (
	Table = "table" // alone: the default columns; before a template: that template with aligned columns and a header
	JSON  = "json"  // one object a line
	Raw   = "raw"   // "key: value" lines
)

// header gives the templates of a table their column titles: `{{.Name}}` is "NAME" in the header row.
type header map[string]string

// Label is the title of a column made of one label: its name's last part, "com.example.tier" is "tier".
func (header) Label(name string) string {
	n := strings.Split(name, ".")
	return strings.NewReplacer("-", " ", "_", " ").Replace(n[len(n)-1])
}

// render writes each row through the template in format; "table TEMPLATE" aligns the tab-separated columns and begins
// with the header. It writes nothing when the template does not parse or fails on a row.
func render[Row any](w io.Writer, format string, titles header, rows []Row) error {
	text, aligned := strings.CutPrefix(format, Table)
	if format == JSON {
		text = "{{json .}}"
	}
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(strings.Trim(text, " "))
	tmpl, err := templates.Parse(text)
	if err != nil {
		return fmt.Errorf("--format %q: %w", format, err)
	}
	var body bytes.Buffer
	for _, r := range rows {
		if err := tmpl.Execute(&body, r); err != nil {
			return fmt.Errorf("--format %q: %w", format, err)
		}
		body.WriteByte('\n')
	}
	if !aligned {
		_, err := body.WriteTo(w)
		return err
	}
	// The same cell sizes as the docker command line's.
	tw := tabwriter.NewWriter(w, 10, 1, 3, ' ', 0)
	if err := tmpl.Funcs(templates.HeaderFunctions).Execute(tw, titles); err != nil {
		return fmt.Errorf("--format %q: header: %w", format, err)
	}
	if _, err := tw.Write([]byte{'\n'}); err != nil {
		return err
	}
	if _, err := body.WriteTo(tw); err != nil {
		return err
	}
	return tw.Flush()
}
