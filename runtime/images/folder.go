package images

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"

	"berth/runtime/engine"
)

// folder is an additional context that is a folder: it becomes an image, of which the Dockerfile's stage of that name is
// made. Engines' builders take additional contexts from other clients than the engine's API only.
type folder struct {
	name, image, key string
	files            fsutil.FS
}

// remote reports whether a context is one that the engine fetches.
func remote(context string) bool {
	for _, prefix := range []string{"http://", "https://", "git://", "ssh://", "git@", "github.com/"} {
		if strings.HasPrefix(context, prefix) {
			return true
		}
	}
	return false
}

// files gives the builder its context and Dockerfile.
func (b *builder) files(spec *engine.BuildSpec) error {
	c := b.build
	spec.File = cmp.Or(c.Dockerfile, "Dockerfile")
	if remote(c.Context) {
		if c.DockerfileInline != "" || len(c.AdditionalContexts) > 0 {
			return fmt.Errorf("context %s is fetched by the engine, which takes no dockerfile_inline or additional_contexts with it", c.Context)
		}
		spec.Remote = c.Context
		return nil
	}
	files, err := openFolder(c.Context)
	if err != nil {
		return fmt.Errorf("context: %w", err)
	}
	spec.Context, spec.SharedKey = files, sharedKey(c.Context)
	path := spec.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Context, path)
	}
	text := []byte(c.DockerfileInline)
	if len(text) == 0 {
		if text, err = os.ReadFile(path); errors.Is(err, fs.ErrNotExist) {
			return errors.New("there is no such Dockerfile; correct dockerfile: or context:")
		} else if err != nil {
			return err
		}
	}
	stages, err := b.stages()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	spec.File = filepath.Base(path)
	switch {
	case c.DockerfileInline != "" || len(stages) > 0:
		spec.File = "Dockerfile"
		mem := memory{spec.File: addStages(text, stages)}
		if c.DockerfileInline == "" {
			if ignored, err := os.ReadFile(path + ".dockerignore"); err == nil {
				mem[spec.File+".dockerignore"] = ignored
			}
		}
		spec.Dockerfile = mem
	default:
		if spec.Dockerfile, err = openFolder(dir); err != nil {
			return err
		}
	}
	if spec.Classic {
		return b.classicFiles(spec, path, text)
	}
	return nil
}

// classicFiles gives the classic builder one folder that has the Dockerfile in it and not what .dockerignore names.
func (b *builder) classicFiles(spec *engine.BuildSpec, path string, text []byte) error {
	rel, err := filepath.Rel(b.build.Context, path)
	if err != nil || strings.HasPrefix(rel, "..") || b.build.DockerfileInline != "" || len(b.build.AdditionalContexts) > 0 {
		return errors.New("the classic builder wants the Dockerfile in its context, as a file, and no additional_contexts; unset DOCKER_BUILDKIT to use BuildKit")
	}
	patterns, err := ignored(path+".dockerignore", filepath.Join(b.build.Context, ".dockerignore"))
	if err != nil {
		return err
	}
	if len(patterns) > 0 { // the engine wants both, and takes them out again
		patterns = append(patterns, "!"+filepath.ToSlash(rel), "!.dockerignore")
	}
	if spec.Context, err = fsutil.NewFilterFS(spec.Context, &fsutil.FilterOpt{ExcludePatterns: patterns}); err != nil {
		return fmt.Errorf(".dockerignore: %w", err)
	}
	spec.File, spec.Dockerfile = filepath.ToSlash(rel), nil
	return nil
}

// ignored reads the first of several ignore files that is there.
func ignored(paths ...string) ([]string, error) {
	for _, p := range paths {
		f, err := os.Open(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return ignorefile.ReadAll(f)
	}
	return nil, nil
}

// openFolder opens a context: with everything in it owned by root, as docker's own client sends it.
func openFolder(dir string) (fsutil.FS, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the folder %s does not exist", dir)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s is not a folder", dir)
	}
	files, err := fsutil.NewFS(dir)
	if err != nil {
		return nil, err
	}
	return fsutil.NewFilterFS(files, &fsutil.FilterOpt{Map: func(_ string, st *fstypes.Stat) fsutil.MapResult {
		st.Uid, st.Gid = 0, 0
		return fsutil.MapResultKeep
	}})
}

// stages turns additional_contexts into stages of the Dockerfile, sorted by name.
func (b *builder) stages() ([]stage, error) {
	var all []stage
	for _, name := range slices.Sorted(maps.Keys(b.build.AdditionalContexts)) {
		from := b.build.AdditionalContexts[name]
		if !stageName.MatchString(name) {
			return nil, fmt.Errorf("additional context %q: a name is lowercase letters, digits, \"-\", \"_\" and \".\", and begins with a letter", name)
		}
		image, isImage := strings.CutPrefix(from, "docker-image://")
		service, isService := strings.CutPrefix(from, types.ServicePrefix)
		switch {
		case isImage:
			all = append(all, stage{name, image})
		case isService:
			s := b.project.Source(service)
			if s == nil {
				return nil, fmt.Errorf("additional context %s: the project has no service %s", name, service)
			}
			all = append(all, stage{name, b.project.ImageName(s)})
		case remote(from), strings.Contains(from, "://"):
			return nil, fmt.Errorf("additional context %s: %s is neither a folder nor an image nor a service, and the engine's builder takes no other", name, from)
		default:
			f := folder{name: name, key: sharedKey(from)}
			f.image = "berth-context/" + f.key[:24] + ":" + strings.ToLower(b.project.Name+"-"+b.service.Name)
			var err error
			if f.files, err = openFolder(from); err != nil {
				return nil, fmt.Errorf("additional context %s: %w", name, err)
			}
			b.folders = append(b.folders, f)
			all = append(all, stage{name, f.image})
		}
	}
	return all, nil
}

// memory is a folder of a few files that are on no disk.
type memory map[string][]byte

// Walk visits the files in their order.
func (m memory) Walk(_ context.Context, target string, visit fs.WalkDirFunc) error {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if target != "" && target != "/" && target != name {
			continue
		}
		// Builders take a file of the same size and time for the one they got last: so the time says what is in it.
		sum := sha256.Sum256(m[name])
		st := &fstypes.Stat{Path: name, Mode: 0o644, Size: int64(len(m[name])), ModTime: int64(binary.BigEndian.Uint64(sum[:]) >> 4)}
		if err := visit(name, &fsutil.DirEntryInfo{Stat: st}, nil); err != nil {
			return err
		}
	}
	return nil
}

// Open reads one.
func (m memory) Open(name string) (io.ReadCloser, error) {
	text, ok := m[filepath.Clean(name)]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return io.NopCloser(bytes.NewReader(text)), nil
}
