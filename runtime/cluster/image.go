package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"berth/runtime/engine"
)

// agentRef is the agent's image on a host; its tag is the binary's version.
func agentRef(version string) string { return "berth/agent:" + version }

// BinaryVersion is the Go build ID's content part of a berth binary, 12 hex-like characters: it changes exactly when
// the program does, and reading it costs no hashing of the file.
func BinaryVersion(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("agent image: read %s: %w", path, err)
	}
	defer f.Close()
	s := f.Section(".note.go.buildid")
	if s == nil {
		return "", fmt.Errorf("agent image: %s has no Go build ID; build it with go build", path)
	}
	b, err := s.Data()
	if err != nil || len(b) < 16 {
		return "", fmt.Errorf("agent image: %s has a broken Go build ID: %w", path, err)
	}
	id := strings.TrimRight(string(b[16:]), "\x00")
	content := id[strings.LastIndexByte(id, '/')+1:]
	return hex.EncodeToString([]byte(content))[:12], nil
}

// ensureImage puts the agent's image on a host that lacks it, made there from the berth binary by one import.
func ensureImage(ctx context.Context, e *engine.Engine, binary, version string) error {
	id, err := e.ImageID(ctx, agentRef(version))
	if err != nil || id != "" {
		return err
	}
	root, err := rootfs(binary)
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = e.ImportImage(ctx, root, agentRef(version), []string{`CMD ["/berth","agent"]`, `LABEL berth.agent=` + version})
	return err
}

// rootfs streams the tar of an image with the binary in it and, when the binary is not static, with the loader and
// libraries that it names.
func rootfs(binary string) (io.ReadCloser, error) {
	files := map[string]string{"berth": binary}
	libs, err := libraries(binary)
	if err != nil {
		return nil, err
	}
	for _, l := range libs {
		files[strings.TrimPrefix(l, "/")] = l
	}
	r, w := io.Pipe()
	go func() {
		tw := tar.NewWriter(w)
		err := errors.Join(tw.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}))
		for name, src := range files {
			err = errors.Join(err, addFile(tw, name, src))
		}
		w.CloseWithError(errors.Join(err, tw.Close()))
	}()
	return r, nil
}

func addFile(tw *tar.Writer, name, src string) error {
	f, err := os.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: st.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(tw, f)
	return err
}

// libraries lists the loader and shared libraries of a dynamic binary, transitively; none for a static one. A plain
// `go build` with a C compiler at hand links the resolver of libc.
func libraries(binary string) ([]string, error) {
	interp, needed, err := dynamic(binary)
	if err != nil || interp == "" {
		return nil, err
	}
	dirs := []string{filepath.Dir(interp), "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}
	found := map[string]string{}
	list := []string{interp}
	for len(needed) > 0 {
		name := needed[0]
		needed = needed[1:]
		if found[name] != "" {
			continue
		}
		for _, d := range dirs {
			p := filepath.Join(d, name)
			if _, err := os.Stat(p); err == nil {
				found[name] = p
				break
			}
		}
		if found[name] == "" {
			return nil, fmt.Errorf("agent image: %s needs the library %s, which is not on this machine; build berth with CGO_ENABLED=0", binary, name)
		}
		if found[name] != interp {
			list = append(list, found[name])
		}
		_, more, err := dynamic(found[name])
		if err != nil {
			return nil, err
		}
		needed = append(needed, more...)
	}
	return list, nil
}

func dynamic(path string) (interp string, needed []string, err error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", nil, fmt.Errorf("agent image: %s is not a Linux program: %w", path, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b, err := io.ReadAll(p.Open())
			if err != nil {
				return "", nil, err
			}
			interp = string(bytes.TrimRight(b, "\x00"))
		}
	}
	needed, err = f.ImportedLibraries()
	if err != nil {
		return "", nil, fmt.Errorf("agent image: read %s: %w", path, err)
	}
	return interp, needed, nil
}
