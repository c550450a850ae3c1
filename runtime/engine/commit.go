package engine

import (
	"context"

	"github.com/docker/docker/api/types/container"
)

// CommitSpec says what image is made of a container.
type CommitSpec struct {
	Image   string   // its name; "" leaves it without one
	Author  string   // as in "Ann <ann@shop.example>"; may be ""
	Message string   // may be ""
	Changes []string // Dockerfile instructions, as in "ENV DEBUG=true"
	Pause   bool     // freeze the container meanwhile
}

// Commit makes an image of a container's file system, but for its volumes, and gives its ID.
func (e *Engine) Commit(ctx context.Context, id string, spec CommitSpec) (string, error) {
	made, err := e.api.ContainerCommit(ctx, id, container.CommitOptions{
		Reference: spec.Image, Comment: spec.Message, Author: spec.Author, Changes: spec.Changes, Pause: spec.Pause,
	})
	if err != nil {
		return "", e.fail("commit container", id, err)
	}
	return made.ID, nil
}
