package loader

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// asWritten is what a loaded project does not tell any more: see relativeBinds, and portModes in ingress.go.
type asWritten struct {
	binds relativeBinds
	modes portModes
}

// asWritten loads the model once more with paths left as written, since a loaded project has absolute ones only, and with
// a mark on the modes of ports that the files name. PWD becomes "." for it, so that ${PWD}/data counts as the relative
// path that it means.
func (s *sources) asWritten(ctx context.Context) (asWritten, error) {
	details := s.details()
	details.Environment["PWD"] = "."
	model, err := loader.LoadModelWithContext(ctx, details, s.unchecked, markPortModes, func(l *loader.Options) {
		l.ResolvePaths = false
		l.ConvertWindowsPaths = false
	})
	if err != nil {
		return asWritten{}, err
	}
	return asWritten{findRelativeBinds(model), findPortModes(model)}, nil
}

// relativeBinds are the bind mounts that name a path of this machine rather than of the host, by service and target,
// and the volumes that do so with driver_opts. The path is as written.
type relativeBinds struct {
	mounts  map[[2]string]string // {service, target} → path
	volumes map[string]string    // volume key → path
}

func findRelativeBinds(model map[string]any) relativeBinds {
	found := relativeBinds{map[[2]string]string{}, map[string]string{}}
	services, _ := model["services"].(map[string]any)
	for name, service := range services {
		entry, _ := service.(map[string]any)
		volumes, _ := entry["volumes"].([]any)
		for _, v := range volumes {
			mount, _ := v.(map[string]any)
			source, _ := mount["source"].(string)
			target, _ := mount["target"].(string)
			if mount["type"] == types.VolumeTypeBind && !filepath.IsAbs(source) {
				found.mounts[[2]string{name, target}] = source
			}
		}
	}
	volumes, _ := model["volumes"].(map[string]any)
	for key, volume := range volumes {
		entry, _ := volume.(map[string]any)
		opts, _ := entry["driver_opts"].(map[string]any)
		if device, ok := opts["device"].(string); ok && opts["o"] == "bind" && !filepath.IsAbs(device) {
			found.volumes[key] = device
		}
	}
	return found
}

// checkDevices refuses volumes that are a relative path on the host: the engine of another host has no such folder.
func (s *sources) checkDevices(compose *types.Project, relative relativeBinds) error {
	for _, key := range slices.Sorted(maps.Keys(relative.volumes)) {
		if _, used := compose.Volumes[key]; used {
			return s.locate(&Error{Key: "volumes." + key + ".driver_opts.device", Err: fmt.Errorf(
				"bind device %s is a path on this machine, and a volume is made on the host; "+
					"mount the folder in the service instead, or use an absolute path that is present on the host", relative.volumes[key])})
		}
	}
	return nil
}

// locateBind finds the line of a mount by its path: merging files moves the indexes of lists.
func (s *sources) locateBind(e *Error, service, path string) error {
	key := "services." + service + ".volumes." + path
	if at := find(s.documents(), key); at.depth > len(key) {
		e.File, e.Line = s.opts.shown(at.file), at.line
		return e
	}
	return s.locate(e)
}
