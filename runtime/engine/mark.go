package engine

import (
	"context"

	"github.com/docker/docker/api/types/container"
)

// Mark is a container that is never started. Engines give a name to one container only, so that of two commands that
// make a mark of one name one succeeds: the name is a lock where there is no store to lock in yet.
type Mark struct {
	ID, Name string
	Holder   string // what the command that made it says of itself
}

// Mark makes a mark from an image that is on the host. A name that is taken is IsConflict.
func (e *Engine) Mark(ctx context.Context, name, image, holder string) (id string, err error) {
	made, err := e.api.ContainerCreate(ctx, &container.Config{Image: image, Cmd: []string{"mark"}, Labels: map[string]string{labelMark: holder}},
		&container.HostConfig{NetworkMode: "none"}, nil, nil, name)
	return made.ID, e.fail("make mark", name, err)
}

// MarkOf reads the mark of a name. None is IsNotFound.
func (e *Engine) MarkOf(ctx context.Context, name string) (Mark, error) {
	info, err := e.api.ContainerInspect(ctx, name)
	if err != nil {
		return Mark{}, e.fail("read mark", name, err)
	}
	return Mark{ID: info.ID, Name: name, Holder: info.Config.Labels[labelMark]}, nil
}
