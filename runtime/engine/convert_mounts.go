package engine

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/mount"

	"berth/placement"
)

// mounts settles volumes, binds and tmpfs: the service's own, the anonymous volumes taken over from a predecessor, and
// the ones that copied-in files need. Plain binds and named volumes go in the old string form, because only that makes
// a missing host folder on every engine version (moby#43483).
func (c *creation) mounts(s *CreateSpec, by surroundings) error {
	inherited := map[string]placement.Mount{}
	for _, m := range s.Inherit {
		inherited[path.Clean(m.Target)] = m
	}
	for _, f := range c.Files {
		delete(inherited, path.Dir(f.Target)) // holds a predecessor's secrets; its successor gets its own
	}
	for target := range c.Host.Tmpfs {
		delete(inherited, path.Clean(target))
	}
	for i := range s.Service.Spec.Volumes {
		v := s.Service.Spec.Volumes[i]
		if old, ok := inherited[path.Clean(v.Target)]; ok {
			delete(inherited, path.Clean(v.Target))
			if v.Type == types.VolumeTypeVolume && v.Source == "" {
				v.Source = old.Source
			}
		}
		if err := c.mount(s, v, by); err != nil {
			return fmt.Errorf("volumes: %s: %w", v.Target, err)
		}
	}
	for _, m := range inherited {
		c.Host.Mounts = append(c.Host.Mounts, mount.Mount{
			Type: mount.TypeVolume, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly,
		})
	}
	c.Files = slices.DeleteFunc(c.Files, func(f injected) bool { // a mount of the user's on the same place wins, as in compose
		return s.mountsAt(f.Target)
	})
	if err := c.fileVolumes(s.Service.Spec.ReadOnly); err != nil {
		return err
	}
	slices.Sort(c.Host.Binds)
	slices.SortFunc(c.Host.Mounts, func(a, b mount.Mount) int { return cmp.Compare(a.Target, b.Target) })
	return nil
}

// mount adds one entry of volumes:.
func (c *creation) mount(s *CreateSpec, v types.ServiceVolumeConfig, by surroundings) error {
	source := v.Source
	if v.Type == types.VolumeTypeVolume {
		source = s.volumeName(v.Source)
	}
	if plainMount(v, source) {
		c.Host.Binds = append(c.Host.Binds, bindString(source, v))
		return nil
	}
	m := mount.Mount{
		Type: mount.Type(v.Type), Source: source, Target: v.Target, ReadOnly: v.ReadOnly,
		Consistency: mount.Consistency(v.Consistency),
	}
	switch v.Type {
	case types.VolumeTypeBind:
		m.BindOptions = bindOptions(v.Bind)
	case types.VolumeTypeVolume:
		if o := v.Volume; o != nil {
			if o.Subpath != "" && !atLeast(by.API, "1.45") {
				return fmt.Errorf("volume.subpath needs Docker 26 or later on the host")
			}
			m.VolumeOptions = &mount.VolumeOptions{NoCopy: o.NoCopy, Subpath: o.Subpath, Labels: o.Labels}
		}
	case types.VolumeTypeTmpfs:
		if o := v.Tmpfs; o != nil {
			m.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: int64(o.Size), Mode: os.FileMode(o.Mode)}
		}
	case types.VolumeTypeImage:
		if !atLeast(by.API, "1.48") {
			return fmt.Errorf("type: image needs Docker 28 or later on the host")
		}
		if o := v.Image; o != nil {
			m.ImageOptions = &mount.ImageOptions{Subpath: o.SubPath}
		}
	}
	c.Host.Mounts = append(c.Host.Mounts, m)
	return nil
}

// volumeName is the engine's name of a volume key; other names stay.
func (s *CreateSpec) volumeName(key string) string {
	for _, v := range s.Project.Volumes {
		if v.Key == key {
			return v.Name
		}
	}
	return key
}

// plainMount reports whether the string form says all there is to say.
func plainMount(v types.ServiceVolumeConfig, source string) bool {
	if source == "" || strings.Contains(source, ":") || strings.Contains(v.Target, ":") {
		return false
	}
	switch v.Type {
	case types.VolumeTypeBind:
		return v.Bind == nil || bool(v.Bind.CreateHostPath) && v.Bind.Recursive == ""
	case types.VolumeTypeVolume:
		return v.Volume == nil || !v.Volume.NoCopy && v.Volume.Subpath == "" && len(v.Volume.Labels) == 0
	}
	return false
}

func bindString(source string, v types.ServiceVolumeConfig) string {
	options := []string{"rw"}
	if v.ReadOnly {
		options[0] = "ro"
	}
	if v.Bind != nil {
		for _, o := range []string{v.Bind.SELinux, v.Bind.Propagation} {
			if o != "" {
				options = append(options, o)
			}
		}
	}
	return source + ":" + v.Target + ":" + strings.Join(options, ",")
}

func bindOptions(b *types.ServiceVolumeBind) *mount.BindOptions {
	if b == nil {
		return &mount.BindOptions{CreateMountpoint: true}
	}
	o := &mount.BindOptions{Propagation: mount.Propagation(b.Propagation), CreateMountpoint: bool(b.CreateHostPath)}
	switch b.Recursive {
	case "disabled":
		o.NonRecursive = true
	case "writable":
		o.ReadOnlyNonRecursive = true
	case "readonly":
		o.ReadOnlyForceRecursive = true
	}
	return o
}

// fileVolumes gives the folders of copied-in files an anonymous volume where a plain copy would be refused (a
// read-only root) or hidden at the start (below a tmpfs).
func (c *creation) fileVolumes(readOnly bool) error {
	for i := range c.Files {
		f := &c.Files[i]
		at, kind := c.coveredBy(f.Target)
		if kind == "tmpfs" || kind == "" && readOnly {
			if at = path.Dir(f.Target); at == "/" {
				return fmt.Errorf("%s: a read-only container takes no files in /; give it a target in a folder of its own", f.Target)
			}
			c.Host.Mounts = append(c.Host.Mounts, mount.Mount{Type: mount.TypeVolume, Target: at})
		}
		if readOnly {
			f.Root = at // the engine refuses a copy that starts outside of a volume
		}
	}
	return nil
}

// coveredBy says where the deepest mount above a path is, and of which kind: "tmpfs", "volume" (or bind), or "" for the
// root.
func (c *creation) coveredBy(target string) (where, kind string) {
	where = "/"
	consider := func(at, what string) {
		at = path.Clean(at)
		if strings.HasPrefix(target, strings.TrimSuffix(at, "/")+"/") && len(at) > len(where) {
			where, kind = at, what
		}
	}
	for at := range c.Host.Tmpfs {
		consider(at, "tmpfs")
	}
	for _, m := range c.Host.Mounts {
		if m.Type == mount.TypeTmpfs {
			consider(m.Target, "tmpfs")
		} else {
			consider(m.Target, "volume")
		}
	}
	for _, b := range c.Host.Binds {
		_, target, _ := splitBind(b)
		consider(target, "volume")
	}
	return where, kind
}

// splitBind cuts a bind string; Linux sources and targets in it hold no colon (plainMount sees to it).
func splitBind(b string) (source, target, options string) {
	parts := strings.SplitN(b, ":", 3)
	switch len(parts) {
	case 1:
		return "", parts[0], ""
	case 2:
		return parts[0], parts[1], ""
	}
	return parts[0], parts[1], parts[2]
}
