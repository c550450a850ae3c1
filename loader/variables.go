package loader

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v3"
)

// Variable is one variable that the files use. Its fields are named as docker compose prints them.
type Variable struct {
	Name          string
	DefaultValue  string // ${NAME:-default}
	PresenceValue string // ${NAME:+alternate}
	Required      bool   // ${NAME:?…}
}

// Variables are the variables of a model that was loaded with NoInterpolate, by name.
func Variables(model map[string]any) map[string]Variable {
	all := map[string]Variable{}
	for name, v := range template.ExtractVariables(model, template.DefaultPattern) {
		all[name] = Variable{Name: name, Required: v.Required, DefaultValue: v.DefaultValue, PresenceValue: v.PresenceValue}
	}
	return all
}

// RenderVariables is what `config --variables` prints, sorted by name: a table (format "" or "table"), "json" or "yaml".
func RenderVariables(all map[string]Variable, format string) ([]byte, error) {
	var b bytes.Buffer
	switch format {
	case "", "table", "pretty":
		w := tabwriter.NewWriter(&b, 20, 1, 3, ' ', 0)
		fmt.Fprintln(w, "NAME\tREQUIRED\tDEFAULT VALUE\tALTERNATE VALUE")
		for _, name := range slices.Sorted(maps.Keys(all)) {
			v := all[name]
			fmt.Fprintf(w, "%s\t%t\t%s\t%s\n", v.Name, v.Required, v.DefaultValue, v.PresenceValue)
		}
		err := w.Flush()
		return b.Bytes(), err
	case "json":
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "    ")
		err := e.Encode(all)
		b.WriteByte('\n')
		return b.Bytes(), err
	case "yaml":
		return yaml.Marshal(all)
	}
	return nil, fmt.Errorf("config --variables: unknown format %q; want table, json or yaml", format)
}

// ModelServices lists the services of a model, sorted: `config --services --no-interpolate`.
func ModelServices(model map[string]any) []string {
	services, _ := model["services"].(map[string]any)
	return slices.Sorted(maps.Keys(services))
}
