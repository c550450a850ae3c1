package engine

import (
	"slices"
	"testing"

	"github.com/docker/docker/api/types/container"
)

func TestTheWireGuardContainerHasNoMoreThanADeviceTakes(t *testing.T) {
	spec := WireGuardSpec{Version: "1", Cmd: []string{"/berth", "agent", "wireguard"}, Dir: "/var/lib/berth", Folder: "wireguard", Target: "/run/berth"}
	agent := container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{Image: "sha256:1"}, Config: &container.Config{Labels: map[string]string{labelCluster: "c"}}}
	if _, err := wireGuardCreation(spec, agent); err == nil {
		t.Error("made without the agent's volume")
	}
	agent.Mounts = []container.MountPoint{{Source: "/run/docker.sock", Destination: "/run/docker.sock"}, {Source: "/vol/_data", Destination: "/var/lib/berth"}}
	c, err := wireGuardCreation(spec, agent)
	if err != nil {
		t.Fatal(err)
	}
	h := c.Host
	if !slices.Equal(h.CapDrop, []string{"ALL"}) || !slices.Equal(h.CapAdd, []string{"NET_ADMIN"}) || h.Privileged || !h.ReadonlyRootfs {
		t.Errorf("capabilities: +%v -%v privileged %v read-only %v", h.CapAdd, h.CapDrop, h.Privileged, h.ReadonlyRootfs)
	}
	if !slices.Equal(h.Binds, []string{"/vol/_data/wireguard:/run/berth"}) || len(h.Mounts) > 0 || len(h.Devices) != 1 || h.Devices[0].PathOnHost != "/dev/net/tun" {
		t.Errorf("sees %v %v %v", h.Binds, h.Mounts, h.Devices)
	}
	if c.Config.Image != "sha256:1" || c.Config.Labels[labelWireGuard] != "1" || c.Config.Labels[labelAgent] != "" {
		t.Errorf("%+v", c.Config)
	}
}
