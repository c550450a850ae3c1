package engine

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/mount"
)

// secretsDir is where secrets without an absolute target go.
const secretsDir = "/run/secrets/"

// injectedMode is the permission of secrets and configs without a mode of their own.
const injectedMode = 0o444

// injected is a secret or config that is copied into the container before it starts: the user's files need not exist on
// the host that runs the task.
type injected struct {
	Target   string // absolute, clean
	Root     string // folder that the copy starts from, a mount of the container; "" is its root
	Path     string // file or folder on this side; "" when Content holds it
	Content  string
	UID, GID int
	Mode     int64
	Own      bool // mode and owner are those that Path has
}

// files resolves the service's secrets and configs, and files of the user's that are sent along. It does not read them.
func (c *creation) files(s *CreateSpec, _ surroundings) error {
	for _, f := range s.Service.Files {
		c.Files = append(c.Files, injected{Target: f.Target, Path: f.Path, Own: true})
	}
	if s.Project.Compose == nil {
		return nil
	}
	for _, ref := range s.Service.Spec.Secrets {
		def, ok := s.Project.Compose.Secrets[ref.Source]
		if err := c.inject(s, "secret", secretsDir, types.FileReferenceConfig(ref), types.FileObjectConfig(def), ok); err != nil {
			return err
		}
	}
	for _, ref := range s.Service.Spec.Configs {
		def, ok := s.Project.Compose.Configs[ref.Source]
		if err := c.inject(s, "config", "/", types.FileReferenceConfig(ref), types.FileObjectConfig(def), ok); err != nil {
			return err
		}
	}
	return nil
}

func (c *creation) inject(s *CreateSpec, kind, dir string, ref types.FileReferenceConfig, def types.FileObjectConfig, known bool) error {
	switch {
	case !known:
		return fmt.Errorf("%s %s is not defined in the project", kind, ref.Source)
	case bool(def.External) && s.Project.Contents[kind+"/"+ref.Source] == nil:
		return fmt.Errorf("%s %s: external %ss are kept in a cluster's store, and one engine has none; use file:, environment: or content:", kind, ref.Source, kind)
	case def.Driver != "" || def.TemplateDriver != "":
		return fmt.Errorf("%s %s: drivers are not supported; use file:, environment: or content:", kind, ref.Source)
	}
	f := injected{Target: ref.Target, Mode: injectedMode}
	if f.Target == "" {
		f.Target = ref.Source
	}
	if !path.IsAbs(f.Target) {
		f.Target = dir + f.Target
	}
	f.Target = path.Clean(f.Target)
	if ref.Mode != nil {
		f.Mode = int64(*ref.Mode)
	}
	var err error
	if f.UID, err = number(ref.UID); err == nil {
		f.GID, err = number(ref.GID)
	}
	if err != nil {
		return fmt.Errorf("%s %s: uid and gid must be numbers: %w", kind, ref.Source, err)
	}
	switch {
	case bool(def.External):
		f.Content = string(s.Project.Contents[kind+"/"+ref.Source])
	case def.Content != "":
		f.Content = def.Content
	case def.Environment != "":
		value, ok := s.Project.Compose.Environment[def.Environment]
		if !ok {
			return fmt.Errorf("%s %s: the environment variable %s is not set", kind, ref.Source, def.Environment)
		}
		f.Content = value
	case def.File != "":
		f.Path = def.File
		if !filepath.IsAbs(f.Path) {
			f.Path = filepath.Join(s.Project.Dir, f.Path)
		}
		if !s.Cluster && ref.UID == "" && ref.GID == "" && ref.Mode == nil {
			c.bind(s, f)
			return nil
		}
	}
	c.Files = append(c.Files, f)
	return nil
}

// bind lets the container see the user's own file, as docker compose does on one host: an edit shows at once. A mount of
// the user's on the same place wins.
func (c *creation) bind(s *CreateSpec, f injected) {
	if s.mountsAt(f.Target) {
		return
	}
	c.Host.Mounts = append(c.Host.Mounts, mount.Mount{
		Type: mount.TypeBind, Source: f.Path, Target: f.Target, ReadOnly: true, BindOptions: &mount.BindOptions{},
	})
}

// mountsAt reports whether the service mounts something of its own on a place.
func (s *CreateSpec) mountsAt(target string) bool {
	return slices.ContainsFunc(s.Service.Spec.Volumes, func(v types.ServiceVolumeConfig) bool { return path.Clean(v.Target) == target })
}

func number(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	return strconv.Atoi(s)
}

// pack makes the archives that put all files in place, one for each folder that copies start from.
func pack(files []injected) (map[string]*bytes.Buffer, error) {
	archives := map[string]*bytes.Buffer{}
	writers := map[string]*tar.Writer{}
	for _, f := range files {
		root := cmp.Or(f.Root, "/")
		if writers[root] == nil {
			archives[root] = &bytes.Buffer{}
			writers[root] = tar.NewWriter(archives[root])
		}
		if err := f.pack(writers[root]); err != nil {
			return nil, err
		}
	}
	for _, w := range writers {
		if err := w.Close(); err != nil {
			return nil, err
		}
	}
	return archives, nil
}

func (f injected) pack(w *tar.Writer) error {
	if f.Path == "" {
		return f.write(w, f.Target, []byte(f.Content))
	}
	info, err := os.Stat(f.Path)
	if err != nil {
		return fmt.Errorf("source of %s: %w", f.Target, err)
	}
	if !info.IsDir() {
		content, err := os.ReadFile(f.Path)
		if err != nil {
			return fmt.Errorf("source of %s: %w", f.Target, err)
		}
		if f.Own {
			f.Mode = permissions(info)
			f.UID, f.GID = owner(info)
		}
		return f.write(w, f.Target, content)
	}
	return filepath.WalkDir(f.Path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(f.Path, name)
		if err != nil {
			return err
		}
		target := path.Join(f.Target, filepath.ToSlash(rel))
		if d.IsDir() {
			// Whoever may read the files may enter the folder.
			return w.WriteHeader(&tar.Header{Name: f.relative(target) + "/", Typeflag: tar.TypeDir,
				Mode: f.Mode | (f.Mode&0o444)>>2, Uid: f.UID, Gid: f.GID})
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return f.write(w, target, content)
	})
}

func (f injected) write(w *tar.Writer, target string, content []byte) error {
	err := w.WriteHeader(&tar.Header{Name: f.relative(target), Typeflag: tar.TypeReg, Mode: f.Mode, Uid: f.UID, Gid: f.GID,
		Size: int64(len(content))})
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// relative is a target's path in the archive.
func (f injected) relative(target string) string {
	return strings.TrimPrefix(strings.TrimPrefix(target, strings.TrimSuffix(f.Root, "/")), "/")
}
