package loader

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v3"

	"berth/placement"
)

// Render is the project's compose model as `config` prints it: format "yaml" (also "") or "json", with every $ doubled
// so that it loads again to the same.
func Render(p *placement.Project, format string) ([]byte, error) {
	var out []byte
	var err error
	switch format {
	case "", "yaml":
		out, err = p.Compose.MarshalYAML()
	case "json":
		out, err = p.Compose.MarshalJSON()
	default:
		return nil, unknownFormat(format)
	}
	if err != nil {
		return nil, fmt.Errorf("render project %s: %w", p.Name, err)
	}
	return bytes.ReplaceAll(out, []byte("$"), []byte("$$")), nil
}

// RenderModel is a model of LoadModel as `config --no-interpolate` prints it: format "yaml" (also "") or "json".
func RenderModel(model map[string]any, format string) ([]byte, error) {
	switch format {
	case "", "yaml":
		var b bytes.Buffer
		e := yaml.NewEncoder(&b)
		e.SetIndent(2)
		err := e.Encode(model)
		return b.Bytes(), err
	case "json":
		return json.MarshalIndent(model, "", "  ")
	}
	return nil, unknownFormat(format)
}

func unknownFormat(format string) error {
	return fmt.Errorf("render: unsupported format %q; want yaml or json", format)
}

// ServiceNames lists the services that run, sorted: `config --services`.
func ServiceNames(p *placement.Project) []string { return p.Compose.ServiceNames() }

// NetworkNames lists the keys of the networks, sorted: `config --networks`.
func NetworkNames(p *placement.Project) []string { return p.Compose.NetworkNames() }

// VolumeNames lists the keys of the volumes, sorted: `config --volumes`.
func VolumeNames(p *placement.Project) []string { return p.Compose.VolumeNames() }

// Profiles lists the profiles of all services, running or not, sorted: `config --profiles`.
func Profiles(p *placement.Project) []string {
	set := map[string]bool{}
	for _, s := range p.Compose.AllServices() {
		for _, profile := range s.Profiles {
			set[profile] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// Images lists the image of each service, in order of the services' names: `config --images`. A service without one has
// the name that building would give it.
func Images(p *placement.Project) []string {
	var images []string
	for _, s := range p.Services {
		images = append(images, p.ImageName(s))
	}
	return images
}

// Hashes lists "service hash" for the named services, or for all, sorted: `config --hash`. They are the hashes that
// containers carry as a label.
func Hashes(p *placement.Project, names []string) ([]string, error) {
	if len(names) == 0 {
		names = serviceNames(p)
	}
	var lines []string
	for _, n := range slices.Sorted(slices.Values(names)) {
		s := p.Service(n)
		if s == nil {
			return nil, fmt.Errorf("hash: %w", noService(n, serviceNames(p)))
		}
		lines = append(lines, n+" "+s.ConfigHash)
	}
	return lines, nil
}

// Environment lists the variables that interpolation saw as "KEY=value", sorted: `config --environment`.
func Environment(p *placement.Project) []string {
	var lines []string
	for k, v := range p.Compose.Environment {
		lines = append(lines, k+"="+v)
	}
	slices.Sort(lines)
	return lines
}

// Variable is one variable that the files use.
type Variable struct {
	Name      string
	Required  bool   // ${NAME:?…}
	Default   string // ${NAME:-default}
	Alternate string // ${NAME:+alternate}
}

// Variables lists the variables of a model that was loaded with NoInterpolate, by name: `config --variables`.
func Variables(model map[string]any) []Variable {
	var all []Variable
	for name, v := range template.ExtractVariables(model, template.DefaultPattern) {
		all = append(all, Variable{Name: name, Required: v.Required, Default: v.DefaultValue, Alternate: v.PresenceValue})
	}
	slices.SortFunc(all, func(a, b Variable) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
