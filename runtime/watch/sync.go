package watch

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"berth/runtime/engine"
)

// File is one file, folder or link of the user's machine, and what it is in the container. What is not there (any more) is
// to be removed there.
type File struct{ Path, Target string }

// All are the files that a rule concerns, in the order of their paths: what initial_sync copies.
func (r *Rule) All() ([]File, error) {
	var all []File
	err := filepath.WalkDir(r.Path, func(path string, entry fs.DirEntry, err error) error {
		if path == r.Path && errors.Is(err, fs.ErrNotExist) {
			return nil // not yet
		}
		if err != nil {
			return err
		}
		if path == r.Path && entry.IsDir() {
			return nil // the folder itself is there
		}
		if target, ok := r.Concerns(path); ok {
			all = append(all, File{path, target})
		} else if entry.IsDir() && r.leavesOut(path) {
			return fs.SkipDir
		}
		return nil
	})
	return all, err
}

// Container is where files are synced to; *engine.Engine is one for each of its containers.
type Container interface {
	CopyTo(ctx context.Context, id, dir string, tar io.Reader) error
	Exec(ctx context.Context, id string, x engine.ExecSpec) (int, error)
}

// Sync makes the files in the container what they are here.
func Sync(ctx context.Context, c Container, id string, files []File) error {
	var gone []string
	var there []File
	for _, f := range files {
		if _, err := os.Lstat(f.Path); errors.Is(err, fs.ErrNotExist) {
			gone = append(gone, f.Target)
		} else {
			there = append(there, f)
		}
	}
	if len(gone) > 0 {
		if err := remove(ctx, c, id, gone); err != nil {
			return err
		}
	}
	if len(there) == 0 {
		return nil
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(w, there)
		w.CloseWithError(err)
		packed <- err
	}()
	err := c.CopyTo(ctx, id, "/", r)
	r.CloseWithError(err) // the packing ends even if nobody read to the end
	if packErr := <-packed; err == nil && packErr != nil && !errors.Is(packErr, io.ErrClosedPipe) {
		return packErr
	}
	return err
}

// removeAtOnce is how many paths one command line takes.
const removeAtOnce = 500

func remove(ctx context.Context, c Container, id string, targets []string) error {
	for batch := range slices.Chunk(targets, removeAtOnce) {
		var said strings.Builder
		code, err := c.Exec(ctx, id, engine.ExecSpec{Cmd: append([]string{"rm", "-rf", "--"}, batch...), User: "0", Stdout: &said, Stderr: &said})
		if err != nil {
			return err
		}
		if code != 0 {
			return fmt.Errorf("remove %s: rm exited with status %d: %s", strings.Join(batch, ", "), code, strings.TrimSpace(said.String()))
		}
	}
	return nil
}

// pack writes the files as a tar for the container's root folder. What vanishes meanwhile is left out: its removal is the
// next change.
func pack(w io.Writer, files []File) error {
	tw := tar.NewWriter(w)
	for _, f := range files {
		if err := packFile(tw, f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return tw.Close()
}

func packFile(tw *tar.Writer, f File) error {
	info, err := os.Lstat(f.Path)
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(f.Path); err != nil {
			return err
		}
	} else if !info.Mode().IsRegular() && !info.IsDir() {
		return nil // a socket or pipe is nothing to copy
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname = strings.TrimPrefix(f.Target, "/"), "", ""
	if info.IsDir() {
		h.Name += "/"
	}
	if !info.Mode().IsRegular() {
		return tw.WriteHeader(h)
	}
	// The whole content first: a file that is being written may change its size under a header that has been sent.
	content, err := os.ReadFile(f.Path)
	if err != nil {
		return err
	}
	h.Size = int64(len(content))
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = tw.Write(content)
	return err
}
