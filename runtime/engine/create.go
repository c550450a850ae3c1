package engine

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

// cleanupTime bounds the removal of a container that could not be completed.
const cleanupTime = 10 * time.Second

// Create makes the task's container, joined to all its networks and with its secrets and configs in it, but does not
// start it. The image must be on the host: nothing is pulled. On failure no container stays behind. Warnings are
// sentences of the engine, or about keys that its version does not know.
func (e *Engine) Create(ctx context.Context, spec CreateSpec) (id string, warnings []string, err error) {
	op, subject := "create container", spec.Name
	by, err := e.surroundings(ctx, &spec)
	if err != nil {
		return "", nil, e.fail(op, subject, err)
	}
	if spec.ShareWith, err = e.sharedIDs(ctx, spec.ShareWith); err != nil {
		return "", nil, e.fail(op, subject, err)
	}
	c, err := convert(&spec, by)
	if err != nil {
		return "", nil, e.fail(op, subject, err)
	}
	archives, err := pack(c.Files)
	if err != nil {
		return "", nil, e.fail(op, subject, err)
	}
	id, warnings, err = e.create(ctx, c, spec.Name, by.API)
	for wait := lateTime; err != nil && spec.Cluster && wait > 0 && IsConflict(err) && e.discardUnstarted(ctx, spec.Project.Name, spec.Name); wait -= lateAgain {
		if err := sleep(ctx, lateAgain); err != nil {
			return "", nil, e.fail(op, subject, err)
		}
		id, warnings, err = e.create(ctx, c, spec.Name, by.API)
	}
	if err != nil {
		return "", nil, e.fail(op, subject, err)
	}
	for dir, archive := range archives {
		// Owners are those of the archive; the engine's own uid option would replace them by the container's user.
		if err := e.api.CopyToContainer(ctx, id, dir, archive, container.CopyToContainerOptions{}); err != nil {
			return "", nil, errors.Join(e.fail("copy secrets and configs into container", subject, err), e.discard(ctx, id))
		}
	}
	return id, append(c.Warnings, warnings...), nil
}

// surroundings asks the engine what a conversion needs.
func (e *Engine) surroundings(ctx context.Context, spec *CreateSpec) (surroundings, error) {
	api, err := e.version(ctx)
	if err != nil {
		return surroundings{}, err
	}
	by := surroundings{API: api, Read: os.ReadFile, Proxy: e.proxy(), Socket: e.host.Socket, Logins: e.logins}
	if by.ImageID = spec.ImageID; by.ImageID == "" {
		by.ImageID, err = e.ImageID(ctx, spec.Project.ImageName(spec.Service))
	}
	by.Unchecked = err == nil && spec.Cluster && e.unchecked(ctx, spec, by.ImageID)
	return by, err
}

// sharedIDs gives the containers to share with by their IDs: a name may be a temporary one, and the engine looks some of
// them up again at every start.
func (e *Engine) sharedIDs(ctx context.Context, names map[string]string) (map[string]string, error) {
	ids := map[string]string{}
	for service, name := range names {
		s, err := e.State(ctx, name)
		if err != nil {
			return nil, err
		}
		ids[service] = s.ID
	}
	return ids, nil
}

// proxy is the proxy environment that docker's configuration wants in every container.
func (e *Engine) proxy() map[string]*string {
	file, err := e.config()
	if err != nil {
		return nil // a broken configuration is reported where it is needed, by a pull
	}
	return file.ParseProxyConfig(e.api.DaemonHost(), nil)
}

// create makes the container and its memberships. Engines below API 1.44 take one network at creation; the others
// are joined before the start.
func (e *Engine) create(ctx context.Context, c *creation, name, api string) (string, []string, error) {
	atOnce, later := c.Networks, []endpoint(nil)
	if len(c.Networks) > 1 && !atLeast(api, "1.44") {
		atOnce, later = c.Networks[:1], c.Networks[1:]
	}
	var joined *network.NetworkingConfig
	if len(atOnce) > 0 {
		joined = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{}}
		for _, n := range atOnce {
			joined.EndpointsConfig[n.Network] = n.Settings
		}
	}
	made, err := e.api.ContainerCreate(ctx, c.Config, c.Host, joined, c.Platform, name)
	if err != nil {
		return "", nil, err
	}
	for _, n := range later {
		if err := e.api.NetworkConnect(ctx, n.Network, made.ID, n.Settings); err != nil {
			return "", nil, errors.Join(e.fail("join container "+name+" to network", n.Network, err), e.discard(ctx, made.ID))
		}
	}
	return made.ID, made.Warnings, nil
}

// An engine may be this long at a container that a killed command has asked for, and the name is tried again so often.
const (
	lateTime  = 15 * time.Second
	lateAgain = 200 * time.Millisecond
)

// discardUnstarted removes the project's container of that name if it was never started, and reports whether the name may
// be had now or soon. In a cluster only the command that holds the project's lock makes containers, so it is one that a
// killed command has asked for, and that the engine makes after this command listed what there is. While it is being made
// its name is taken and nothing is to be seen of it.
func (e *Engine) discardUnstarted(ctx context.Context, project, name string) bool {
	c, err := e.api.ContainerInspect(ctx, name)
	if IsNotFound(err) {
		return true
	}
	if err != nil || c.State == nil || c.State.Status != container.StateCreated || c.Config.Labels[labelProject] != project {
		return false
	}
	return e.Remove(ctx, c.ID, true) == nil
}

// discard removes a half-made container, also when the command has been interrupted.
func (e *Engine) discard(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	return e.Remove(ctx, id, true)
}
