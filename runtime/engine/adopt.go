package engine

import (
	"context"
	"os"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"berth/placement"
)

// adopt compares the containers that another tool made with what berth would make: their config hash says nothing,
// because it depends on that tool's version. Those that equal stay as they are.
func (o *observation) adopt(ctx context.Context) error {
	o.same = map[string]bool{}
	p := o.query.Compose
	if p == nil || o.query.Cluster {
		return nil
	}
	names := map[string]string{} // ID → name
	for i := range o.containers {
		names[o.containers[i].ID] = containerName(o.containers[i].Names)
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookups)
	for i := range o.containers {
		c := listed(o.engine.host.Name, &o.containers[i])
		s := p.Service(c.Task.Service)
		_, berths := c.Labels[labelBerth]
		if berths || s == nil || c.OneOff || c.Labels[labelProject] != p.Name || c.ConfigHash == s.ConfigHash {
			continue
		}
		g.Go(func() error {
			same, err := o.engine.runsAs(ctx, p, s, c, names)
			mu.Lock()
			defer mu.Unlock()
			o.same[c.ID] = same
			return err
		})
	}
	return g.Wait()
}

// runsAs reports whether a container is what berth would make for its task.
func (e *Engine) runsAs(ctx context.Context, p *placement.Project, s *placement.Service, c placement.Container, names map[string]string) (bool, error) {
	have, err := e.api.ContainerInspect(ctx, c.ID)
	if IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, e.fail("look at container", c.Name, err)
	}
	var defaults *dockerspec.DockerOCIImageConfig
	img, err := e.api.ImageInspect(ctx, have.Image)
	switch {
	case err == nil:
		defaults = img.Config
	case !IsNotFound(err):
		return false, e.fail("look up image", have.Image, err)
	}
	api, err := e.version(ctx)
	if err != nil {
		return false, err
	}
	nameShared(&have, names)
	want, err := convert(&CreateSpec{Project: p, Service: s, Task: c.Task, Name: c.Name, ShareWith: sharedBy(s, p)},
		surroundings{API: api, ImageID: c.ImageID, Proxy: e.proxy(), Read: os.ReadFile, Socket: e.host.Socket})
	if err != nil {
		return false, nil // the creation that follows will say what is wrong
	}
	return difference(want, have, defaults) == "", nil
}

// nameShared replaces container IDs in an inspected container's shared namespaces by names.
func nameShared(have *container.InspectResponse, names map[string]string) {
	h := have.HostConfig
	name := func(mode string) string {
		if id, ok := strings.CutPrefix(mode, "container:"); ok && names[id] != "" {
			return "container:" + names[id]
		}
		return mode
	}
	h.NetworkMode = container.NetworkMode(name(string(h.NetworkMode)))
	h.IpcMode, h.PidMode = container.IpcMode(name(string(h.IpcMode))), container.PidMode(name(string(h.PidMode)))
	for i, from := range h.VolumesFrom {
		id, mode, ok := strings.Cut(from, ":")
		if names[id] == "" {
			continue
		}
		h.VolumesFrom[i] = names[id]
		if ok {
			h.VolumesFrom[i] += ":" + mode
		}
	}
}

// sharedBy names the containers that a service shares with: the first of each service.
func sharedBy(s *placement.Service, p *placement.Project) map[string]string {
	shared := map[string]string{}
	for _, other := range s.SharesWith {
		if o := p.Service(other); o != nil {
			shared[other] = p.ContainerName(o, 1)
		}
	}
	return shared
}
