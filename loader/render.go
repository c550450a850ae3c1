package loader

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"berth/placement"
)

// Render is the project's compose model as `config` prints it: format "yaml" (also "") or "json", with every $ doubled
// so that it loads again to the same.
func Render(p *placement.Project, format string) ([]byte, error) {
	d := canonical(p.Compose)
	var model any = d
	if format == "json" {
		model = d.tree()
	}
	out, err := encode(model, format)
	if err != nil {
		return nil, fmt.Errorf("render project %s: %w", p.Name, err)
	}
	return bytes.ReplaceAll(out, []byte("$"), []byte("$$")), nil
}

// RenderModel is a model of LoadModel as `config --no-interpolate` prints it: format "yaml" (also "") or "json".
func RenderModel(model map[string]any, format string) ([]byte, error) {
	out, err := encode(model, format)
	if err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	return out, nil
}

// RenderImages is an override file with the image of each service and nothing else: `config --lock-image-digests`, once
// the images are digests.
func RenderImages(p *placement.Project, format string) ([]byte, error) {
	only := &types.Project{Services: types.Services{}}
	for name, s := range p.Compose.Services {
		image := types.ServiceConfig{}
		image.Image = s.Image
		only.Services[name] = image
	}
	return Render(&placement.Project{Name: p.Name, Compose: only}, format)
}

// encode writes the bytes that docker compose would; its JSON ends with a line of its own when printed.
func encode(model any, format string) ([]byte, error) {
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
	return nil, fmt.Errorf("unsupported format %q; want yaml or json", format)
}

// ServiceNames lists the services that run, sorted: `config --services`.
func ServiceNames(p *placement.Project) []string { return p.Compose.ServiceNames() }

// NetworkNames lists the keys of the networks, sorted: `config --networks`.
func NetworkNames(p *placement.Project) []string { return p.Compose.NetworkNames() }

// VolumeNames lists the keys of the volumes, sorted: `config --volumes`.
func VolumeNames(p *placement.Project) []string { return p.Compose.VolumeNames() }

// ModelNames lists the AI models that services use, sorted: `config --models`.
func ModelNames(p *placement.Project) []string {
	var names []string
	for _, m := range p.Compose.Models {
		if m.Model != "" {
			names = append(names, m.Model)
		}
	}
	slices.Sort(names)
	return names
}

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
		switch s := p.Service(n); {
		case s != nil:
			lines = append(lines, n+" "+s.ConfigHash)
		case p.Provider(n) != nil:
			h, err := ServiceHash(p.Compose.Services[n])
			if err != nil {
				return nil, fmt.Errorf("hash: service %s: %w", n, err)
			}
			lines = append(lines, n+" "+h)
		default:
			return nil, fmt.Errorf("hash: %w", noService(n, serviceNames(p)))
		}
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
