package engine

import (
	"context"
	"sync"

	"github.com/docker/docker/api/types/image"
)

// checkedImages is which images bring a health check, by ID: an image never changes, so what was seen once stays true.
type checkedImages struct {
	mu   sync.Mutex
	seen map[string]bool
}

// note takes in what an engine says of an image.
func (c *checkedImages) note(info image.InspectResponse) (checked bool) {
	if info.Config != nil && info.Config.Healthcheck != nil {
		test := info.Config.Healthcheck.Test
		checked = len(test) > 0 && test[0] != "NONE"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[info.ID] = checked
	return checked
}

func (c *checkedImages) get(id string) (checked, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	checked, known = c.seen[id]
	return checked, known
}

// unchecked reports whether it is sure that the engine will run no health check on the spec's container: its service has
// none and its image brings none, or the service switches it off.
func (e *Engine) unchecked(ctx context.Context, s *CreateSpec, imageID string) bool {
	if h := s.Service.Spec.HealthCheck; h != nil {
		return h.Disable || len(h.Test) > 0 && h.Test[0] == "NONE"
	}
	checked, known := e.checked.get(imageID)
	if !known {
		info, err := e.api.ImageInspect(ctx, imageID)
		if err != nil {
			return false // nobody relies on a record that does not say so
		}
		checked = e.checked.note(info)
	}
	return !checked
}
