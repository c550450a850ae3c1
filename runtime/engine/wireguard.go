package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
)

// WireGuardName is the container of the userspace WireGuard device.
const WireGuardName = "berth-wireguard"

// labelWireGuard is on that container: the version of what runs in it.
const labelWireGuard = "berth.wireguard"

// WireGuardSpec is the container in which the userspace WireGuard device lives.
type WireGuardSpec struct {
	Version string   // another one that is there is replaced
	Cmd     []string // of the agent's image
	Dir     string   // of the agent's container: its volume
	Folder  string   // in there, given to the container as Target and nothing else of the volume
	Target  string
}

// RunWireGuard sees to it that the container runs. It is made from the image of the agent's own container, so that it
// is called on the agent's host only, and goes on when that container is stopped or replaced.
//
// It gets what a device takes and no more: the host's network namespace, NET_ADMIN there and no other capability,
// /dev/net/tun, and one folder of the agent's volume. It has not got the engine's socket.
func (e *Engine) RunWireGuard(ctx context.Context, s WireGuardSpec) error {
	return e.fail("run container", WireGuardName, e.runWireGuard(ctx, s))
}

func (e *Engine) runWireGuard(ctx context.Context, s WireGuardSpec) error {
	there, err := e.api.ContainerInspect(ctx, WireGuardName)
	switch {
	case IsNotFound(err):
	case err != nil:
		return err
	case there.Config.Labels[labelWireGuard] != s.Version:
		if err := e.Remove(ctx, there.ID, false); err != nil {
			return err
		}
	case there.State.Running:
		return nil
	default:
		return e.Start(ctx, there.ID)
	}
	agent, err := e.ownAgent(ctx)
	if err != nil {
		return err
	}
	api, err := e.version(ctx)
	if err != nil {
		return err
	}
	c, err := wireGuardCreation(s, agent)
	if err != nil {
		return err
	}
	id, _, err := e.create(ctx, c, WireGuardName, api)
	if err != nil {
		return err
	}
	return e.Start(ctx, id)
}

// ownAgent is the agent's container on this host.
func (e *Engine) ownAgent(ctx context.Context) (container.InspectResponse, error) {
	list, err := e.api.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelAgent))})
	if err != nil {
		return container.InspectResponse{}, err
	}
	if len(list) != 1 {
		return container.InspectResponse{}, fmt.Errorf("%d containers with the label %s run here, and one is wanted", len(list), labelAgent)
	}
	return e.api.ContainerInspect(ctx, list[0].ID)
}

func wireGuardCreation(s WireGuardSpec, agent container.InspectResponse) (*creation, error) {
	folder := ""
	for _, m := range agent.Mounts {
		if m.Destination == s.Dir {
			folder = m.Source // on the host
		}
	}
	if folder == "" {
		return nil, errors.New("the agent's container has no volume at " + s.Dir)
	}
	return &creation{
		Config: &container.Config{Image: agent.Image, Cmd: s.Cmd, Labels: map[string]string{
			labelWireGuard: s.Version, labelCluster: agent.Config.Labels[labelCluster],
		}},
		Host: &container.HostConfig{
			NetworkMode: "host", ReadonlyRootfs: true, CapDrop: []string{"ALL"}, CapAdd: []string{"NET_ADMIN"},
			Binds:         []string{folder + "/" + s.Folder + ":" + s.Target},
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
			SecurityOpt:   []string{"no-new-privileges", "label=disable"}, // the latter else keeps it from folder and device
			LogConfig:     container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "3"}},
			Resources: container.Resources{Devices: []container.DeviceMapping{{
				PathOnHost: "/dev/net/tun", PathInContainer: "/dev/net/tun", CgroupPermissions: "rw",
			}}},
		},
	}, nil
}

// RemoveWireGuard removes the container. None is no error.
func (e *Engine) RemoveWireGuard(ctx context.Context) error {
	there, err := e.api.ContainerInspect(ctx, WireGuardName)
	if IsNotFound(err) {
		return nil
	}
	if err != nil {
		return e.fail("remove container", WireGuardName, err)
	}
	return e.Remove(ctx, there.ID, false)
}
