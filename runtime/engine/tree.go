package engine

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// tree is a folder as a tar stream, made while it is read. Close it; then its other fields may be read.
type tree struct {
	*io.PipeReader
	done    chan struct{}
	err     error    // why the folder could not be read
	skipped []string // a sentence for each thing that has no content
}

// errClosed is what the packing goroutine sees when nobody reads any more.
var errClosed = errors.New("the reader has gone")

// packTree begins to pack a folder, as a folder of that name.
func packTree(root, name string) *tree {
	r, w := io.Pipe()
	t := &tree{PipeReader: r, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		tw := tar.NewWriter(w)
		t.err = t.pack(tw, root, name)
		w.CloseWithError(errors.Join(t.err, tw.Close()))
	}()
	return t
}

// Close ends the packing and waits for that. The error is why the folder could not be read to its end.
func (t *tree) Close() error {
	t.CloseWithError(errClosed)
	<-t.done
	if errors.Is(t.err, errClosed) {
		return nil
	}
	return t.err
}

func (t *tree) pack(w *tar.Writer, root, as string) error {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return t.add(w, path, filepath.ToSlash(filepath.Join(as, name)), info)
	})
}

func (t *tree) add(w *tar.Writer, path, name string, info fs.FileInfo) error {
	h := &tar.Header{Name: name, Mode: permissions(info), ModTime: info.ModTime(), Format: tar.FormatPAX}
	h.Uid, h.Gid = owner(info)
	switch {
	case info.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		return w.WriteHeader(h)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
		return w.WriteHeader(h)
	case info.Mode().IsRegular():
		h.Typeflag, h.Size = tar.TypeReg, info.Size()
		return t.addFile(w, path, h)
	}
	t.skipped = append(t.skipped, fmt.Sprintf("%s is a socket, device or pipe and was left out", path))
	return nil
}

func (t *tree) addFile(w *tar.Writer, path string, h *tar.Header) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(f, h.Size)) // no more than announced, where it has grown since
	if err == nil && n < h.Size {
		return fmt.Errorf("%s became shorter while it was sent; run the same command again", path)
	}
	return err
}

// permissions are a file's mode bits as a tar has them.
func permissions(info fs.FileInfo) int64 {
	mode := int64(info.Mode().Perm())
	for bit, flag := range map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if info.Mode()&flag != 0 {
			mode |= bit
		}
	}
	return mode
}

// owner is who a file belongs to on this machine.
func owner(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return 0, 0
}
