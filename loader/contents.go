package loader

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// digest is the SHA-256 of what is sent of a file or folder, in hex: names, kinds, permissions, owners, link targets and
// contents. Sockets, devices and pipes are not sent and do not count. root itself may be a symbolic link.
func digest(root string) (string, error) {
	resolved, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	err = filepath.WalkDir(resolved, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(resolved, path)
		if err != nil {
			return err
		}
		return digestOne(sum, path, filepath.ToSlash(name), info)
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

func digestOne(sum io.Writer, path, name string, info fs.FileInfo) error {
	uid, gid := 0, 0
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		uid, gid = int(st.Uid), int(st.Gid)
	}
	head := func(kind, more string) {
		fmt.Fprintf(sum, "%s %q %o %d:%d %s\n", kind, name, info.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky), uid, gid, more)
	}
	switch {
	case info.IsDir():
		head("folder", "")
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		head("link", fmt.Sprintf("%q", target))
	case info.Mode().IsRegular():
		head("file", fmt.Sprint(info.Size()))
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(sum, f)
		return err
	}
	return nil
}
