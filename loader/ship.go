package loader

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// shipper turns the relative bind mounts of a project into what reaches the hosts of a cluster. A folder that is only
// read becomes a volume that is named after its content, so that an edit is another volume; one that a service writes
// becomes a volume that begins with the folder's content and is data from then on; a file is copied into the container.
type shipper struct {
	p        *placement.Project
	relative relativeBinds
	contents bool            // read them; else only volumes with data get their names
	written  map[string]bool // folders by absolute path: some service mounts them writable
	volumes  map[string]*placement.VolumeSpec
	warnings []string
}

// ship rewrites p's services, but for p.Compose, which stays what the files say.
func (s *sources) ship(p *placement.Project, relative relativeBinds) error {
	sh := &shipper{p: p, relative: relative, contents: !s.opts.NoContents, written: map[string]bool{}, volumes: map[string]*placement.VolumeSpec{}}
	for _, service := range p.Services {
		for _, v := range service.Spec.Volumes {
			if sh.bind(service, v) != "" && !v.ReadOnly {
				sh.written[filepath.Clean(v.Source)] = true
			}
		}
	}
	for _, service := range p.Services {
		for i, v := range service.Spec.Volumes {
			if asWritten := sh.bind(service, v); asWritten == "" {
				continue
			} else if err := sh.check(v); err != nil {
				return s.locateBind(&Error{Key: fmt.Sprintf("services.%s.volumes.%d", service.Name, i),
					Err: fmt.Errorf("bind mount %s: %w", asWritten, err)}, service.Name, asWritten)
			}
		}
		if err := sh.service(service); err != nil {
			return &Error{Key: "services." + service.Name, Err: err}
		}
	}
	p.Warnings = append(p.Warnings, sh.warnings...)
	slices.SortFunc(p.Volumes, func(a, b *placement.VolumeSpec) int { return strings.Compare(a.Key, b.Key) })
	return nil
}

// bind is the path of a relative bind mount as the file has it, "" for any other mount.
func (sh *shipper) bind(service *placement.Service, v types.ServiceVolumeConfig) string {
	if v.Type != types.VolumeTypeBind {
		return ""
	}
	return sh.relative.mounts[[2]string{service.Name, v.Target}]
}

// check refuses what docker compose would: a path that is not there and must not be made.
func (sh *shipper) check(v types.ServiceVolumeConfig) error {
	if v.Bind == nil || bool(v.Bind.CreateHostPath) {
		return nil
	}
	if _, err := os.Stat(v.Source); errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is nothing at this path, and create_host_path is false")
	}
	return nil
}

// service rewrites the mounts of one service, and lets what is sent count in its config hash. The hash is taken of the
// paths as the project has them: two users with the project in two folders have the same containers.
func (sh *shipper) service(service *placement.Service) error {
	spec := *service.Spec
	hashed := *service.Spec
	hashed.Volumes = slices.Clone(spec.Volumes)
	var kept []types.ServiceVolumeConfig
	var mounts []placement.Mount
	sent := ingressLines(service)
	for i, v := range spec.Volumes {
		mount := service.Mounts[i] // volumes come first there, in the same order
		asWritten := sh.bind(service, v)
		if asWritten == "" {
			kept, mounts = append(kept, v), append(mounts, mount)
			continue
		}
		id := sh.identity(v.Source, asWritten)
		hashed.Volumes[i].Source = id
		file, sum, err := sh.content(service, v, asWritten)
		if err != nil {
			return fmt.Errorf("bind mount %s cannot be sent: %w", asWritten, err)
		}
		if sum != "" {
			sent = append(sent, v.Target+" "+sum)
		}
		if file {
			service.Files = append(service.Files, placement.File{Path: v.Source, Target: path.Clean(v.Target)})
			continue
		}
		volume, err := sh.volume(v, id, sum)
		if err != nil {
			return err
		}
		kept = append(kept, types.ServiceVolumeConfig{Type: types.VolumeTypeVolume, Source: volume.Key, Target: v.Target, ReadOnly: v.ReadOnly,
			Volume: &types.ServiceVolumeVolume{NoCopy: true}})
		mounts = append(mounts, placement.Mount{Type: types.VolumeTypeVolume, Source: volume.Key, Target: v.Target, ReadOnly: v.ReadOnly})
	}
	if len(kept) == len(spec.Volumes) && len(service.Files) == 0 && slices.EqualFunc(kept, spec.Volumes, sameMount) {
		return nil
	}
	service.Mounts = append(mounts, service.Mounts[len(spec.Volumes):]...)
	spec.Volumes = kept
	service.Spec = &spec
	base, err := ServiceHash(hashed)
	if err != nil {
		return err
	}
	service.ConfigHash = withContents(base, sent)
	return nil
}

func sameMount(a, b types.ServiceVolumeConfig) bool { return a.Type == b.Type && a.Source == b.Source }

// withContents is a config hash that what is sent along counts in.
func withContents(base string, sent []string) string {
	if len(sent) == 0 {
		return base
	}
	sum := sha256.Sum256([]byte(base + "\n" + strings.Join(sent, "\n")))
	return hex.EncodeToString(sum[:])
}

// identity names a path the same on every user's machine: relative to the project where it lies inside, else as the file
// has it.
func (sh *shipper) identity(source, asWritten string) string {
	if rel, err := filepath.Rel(sh.p.Dir, source); err == nil && filepath.IsLocal(rel) {
		return "./" + filepath.ToSlash(rel)
	}
	return filepath.ToSlash(asWritten)
}

// content looks at what is mounted: whether it is a file, and its digest where the content counts, "" for a folder that
// is data.
func (sh *shipper) content(service *placement.Service, v types.ServiceVolumeConfig, asWritten string) (file bool, sum string, err error) {
	info, err := os.Stat(v.Source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if !sh.contents {
			return false, "", nil
		}
		sh.warn("service %s: %s does not exist on this machine; its container gets an empty volume at %s", service.Name, asWritten, v.Target)
		return false, empty, nil
	case err != nil:
		return false, "", err
	case info.IsDir() && sh.written[filepath.Clean(v.Source)], !sh.contents:
		return !info.IsDir(), "", nil
	case !info.IsDir() && !info.Mode().IsRegular():
		return false, "", fmt.Errorf("it is no file or folder; give the path of one that the hosts have, starting with /")
	case !info.IsDir() && !v.ReadOnly:
		sh.warn("service %s: %s is copied into the container; what is written to %s there stays there", service.Name, asWritten, v.Target)
	}
	sum, err = digest(v.Source)
	return !info.IsDir(), sum, err
}

// empty stands for the content of a folder that does not exist.
const empty = "empty"

func (sh *shipper) warn(format string, args ...any) {
	sh.warnings = append(sh.warnings, fmt.Sprintf(format, args...))
}

// volume makes the volume of a folder, or finds the one that another service has of it.
func (sh *shipper) volume(v types.ServiceVolumeConfig, id, sum string) (*placement.VolumeSpec, error) {
	seed := &placement.Seed{Path: v.Source, Fixed: !sh.written[filepath.Clean(v.Source)]}
	if _, err := os.Stat(v.Source); err != nil {
		seed.Path = ""
	}
	if !seed.Fixed || sum == "" {
		h := sha256.Sum256([]byte(id))
		sum = hex.EncodeToString(h[:])
	} else if sum == empty {
		h := sha256.Sum256(nil)
		sum = hex.EncodeToString(h[:])
	}
	key := readable(id) + "_" + sum[:12]
	if found := sh.volumes[key]; found != nil {
		return found, nil
	}
	made, err := convertVolume(key, types.VolumeConfig{Name: sh.p.Name + "_" + key})
	if err != nil {
		return nil, err
	}
	made.Seed = seed
	sh.volumes[key] = made
	sh.p.Volumes = append(sh.p.Volumes, made)
	return made, nil
}

// readable is a path with the letters that names of volumes may have, short enough for a name.
func readable(id string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '-'
	}, strings.Trim(id, "./~"))
	if name = strings.Trim(name, "-."); name == "" {
		name = "folder"
	}
	return name[max(0, len(name)-40):]
}
