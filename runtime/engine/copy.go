package engine

import (
	"context"
	"io"

	"github.com/docker/docker/api/types/container"
)

// CopyTo unpacks a tar stream (plain or compressed) in folder dir of a container, running or not. Owners and modes are
// the archive's. The folder must exist.
func (e *Engine) CopyTo(ctx context.Context, id, dir string, tar io.Reader) error {
	err := e.api.CopyToContainer(ctx, id, dir, tar, container.CopyToContainerOptions{AllowOverwriteDirWithFile: false})
	return e.fail("copy files into container", id, err)
}

// CopyFrom packs a file or folder of a container, running or not, as a tar stream whose first entry is named by the
// path's last element. The caller closes it.
func (e *Engine) CopyFrom(ctx context.Context, id, path string) (io.ReadCloser, error) {
	r, _, err := e.api.CopyFromContainer(ctx, id, path)
	if err != nil {
		return nil, e.fail("copy "+path+" from container", id, err)
	}
	return r, nil
}
