package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"

	"berth/placement"
)

// CreateVolume makes a volume of the project, with compose's labels. One that is there already stays as it is.
func (e *Engine) CreateVolume(ctx context.Context, p *placement.Project, v *placement.VolumeSpec) error {
	labels := map[string]string{}
	options := volume.CreateOptions{Name: v.Name, Driver: v.Driver, Labels: labels}
	spec := v.Spec
	if spec == nil {
		spec = &types.VolumeConfig{Name: v.Name, Driver: v.Driver}
	}
	options.DriverOpts = spec.DriverOpts
	for k, l := range spec.Labels {
		labels[k] = l
	}
	labels[labelProject], labels[labelVolume], labels[labelVersion] = p.Name, v.Key, ComposeVersion
	labels[labelConfigHash] = v.ConfigHash
	_, err := e.api.VolumeCreate(ctx, options)
	return e.fail("create volume", v.Name, err)
}

// RemoveVolume removes a volume and its data, and what a command that was filling it has left. One that is not there is
// success.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	marks, err := e.marks(ctx, name)
	if err != nil {
		return e.fail("remove volume", name, err)
	}
	drop := func(mark bool) error { // the mark itself, or what keeps the volume
		for _, m := range marks {
			if (m.Names[0] == "/"+name+markSuffix) != mark {
				continue
			}
			if err := e.Remove(ctx, m.ID, true); err != nil {
				return err
			}
		}
		return nil
	}
	if err := drop(false); err != nil {
		return err
	}
	if err := e.api.VolumeRemove(ctx, name, false); err != nil && !IsNotFound(err) {
		return e.fail("remove volume", name, err)
	}
	return drop(true)
}

// VolumeInfo describes a volume on the host.
type VolumeInfo struct {
	Name, Driver, Scope, Mountpoint string
	Labels                          map[string]string
}

// Volumes lists the volumes of a compose project, sorted by name.
func (e *Engine) Volumes(ctx context.Context, project string) ([]VolumeInfo, error) {
	list, err := e.api.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelProject+"="+project))})
	if err != nil {
		return nil, e.fail("list volumes", "", err)
	}
	var infos []VolumeInfo
	for _, v := range list.Volumes {
		infos = append(infos, VolumeInfo{Name: v.Name, Driver: v.Driver, Scope: v.Scope, Mountpoint: v.Mountpoint, Labels: v.Labels})
	}
	slices.SortFunc(infos, func(a, b VolumeInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

func jsonHash(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // these types always marshal; an empty hash compares as unknown
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
