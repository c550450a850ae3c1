package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/docker/docker/api/types/container"
	"github.com/moby/go-archive"
)

// CopyOptions say how paths are copied.
type CopyOptions struct {
	FollowLink bool // of the source: copy what a symbolic link leads to
	Owners     bool // ask the engine to keep user and group IDs (docker cp -a); some engines do anyway
}

// linkDepth bounds how many symbolic links lead from one to the next.
const linkDepth = 10

// CopyIn copies a file or folder of this machine to a path of a container, running or not, by docker cp's rules: into a
// folder that is there, else under the new name; local "/." is a folder's content.
func (e *Engine) CopyIn(ctx context.Context, id, local, target string, o CopyOptions) error {
	const op = "copy files into container"
	to, err := e.destination(ctx, id, target)
	if err != nil {
		return e.fail(op, id, err)
	}
	from, err := archive.CopyInfoSourcePath(local, o.FollowLink)
	if err != nil {
		return err
	}
	packed, err := archive.TarResource(from)
	if err != nil {
		return err
	}
	defer packed.Close()
	dir, content, err := archive.PrepareArchiveCopy(packed, from, to)
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	defer content.Close()
	return e.fail(op, id, e.api.CopyToContainer(ctx, id, dir, content, container.CopyToContainerOptions{CopyUIDGID: o.Owners}))
}

// Unpack is CopyIn of a tar stream, which goes into a folder that must be there.
func (e *Engine) Unpack(ctx context.Context, id string, tar io.Reader, target string, o CopyOptions) error {
	to, err := e.destination(ctx, id, target)
	if err == nil && !to.IsDir {
		err = fmt.Errorf("%s is no folder; a tar stream goes into one that is there", target)
	}
	if err == nil {
		err = e.api.CopyToContainer(ctx, id, to.Path, tar, container.CopyToContainerOptions{CopyUIDGID: o.Owners})
	}
	return e.fail("copy files into container", id, err)
}

// destination looks at a path of a container, through symbolic links. That nothing is there is no error.
func (e *Engine) destination(ctx context.Context, id, target string) (archive.CopyInfo, error) {
	info := archive.CopyInfo{Path: target}
	for range linkDepth {
		stat, err := e.api.ContainerStatPath(ctx, id, info.Path)
		if IsNotFound(err) {
			if _, gone := e.api.ContainerInspect(ctx, id); gone != nil {
				return info, gone // not the path, the container
			}
			return info, nil
		}
		if err != nil {
			return info, err
		}
		if stat.Mode&os.ModeSymlink == 0 {
			info.Exists, info.IsDir = true, stat.Mode.IsDir()
			return info, nil
		}
		link := stat.LinkTarget
		if !path.IsAbs(link) {
			link = path.Join(path.Dir(path.Clean(info.Path)), link)
		}
		info.Path = link
	}
	return info, fmt.Errorf("%s: too many symbolic links", target)
}

// CopyOut copies a file or folder of a container, running or not, to a path of this machine, by docker cp's rules.
func (e *Engine) CopyOut(ctx context.Context, id, source, local string, o CopyOptions) error {
	content, from, err := e.source(ctx, id, source, o)
	if err != nil {
		return e.fail("copy "+source+" from container", id, err)
	}
	defer content.Close()
	if from.RebaseName != "" {
		_, base := archive.SplitPathDirEntry(from.Path)
		renamed := archive.RebaseArchiveEntries(content, base, from.RebaseName)
		defer renamed.Close()
		return archive.CopyTo(renamed, from, local)
	}
	return archive.CopyTo(content, from, local)
}

// Pack writes a file or folder of a container as a tar stream.
func (e *Engine) Pack(ctx context.Context, id, source string, to io.Writer, o CopyOptions) error {
	content, _, err := e.source(ctx, id, source, o)
	if err == nil {
		defer content.Close()
		_, err = io.Copy(to, content)
	}
	return e.fail("copy "+source+" from container", id, err)
}

// source opens a path of a container for reading.
func (e *Engine) source(ctx context.Context, id, source string, o CopyOptions) (io.ReadCloser, archive.CopyInfo, error) {
	from := archive.CopyInfo{Path: source, Exists: true}
	if o.FollowLink {
		stat, err := e.api.ContainerStatPath(ctx, id, source)
		if err == nil && stat.Mode&os.ModeSymlink != 0 {
			link := stat.LinkTarget
			if !path.IsAbs(link) {
				link = path.Join(path.Dir(path.Clean(source)), link)
			}
			from.Path, from.RebaseName = archive.GetRebaseName(source, link)
		}
	}
	content, stat, err := e.api.CopyFromContainer(ctx, id, from.Path)
	if err != nil {
		return nil, from, err
	}
	from.IsDir = stat.Mode.IsDir()
	return content, from, nil
}

// Export writes a container's whole file system, but for its volumes, as a tar stream.
func (e *Engine) Export(ctx context.Context, id string, to io.Writer) error {
	body, err := e.api.ContainerExport(ctx, id)
	if err != nil {
		return e.fail("export container", id, err)
	}
	_, err = io.Copy(to, body)
	return e.fail("export container", id, errors.Join(err, body.Close()))
}
