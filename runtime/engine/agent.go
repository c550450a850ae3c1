package engine

import (
	"context"
	"maps"
	"path"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// AgentSpec is berth's own container on a host.
type AgentSpec struct {
	Name, Image  string
	Cluster      string // cluster ID, becomes label berth.cluster
	Version      string // of the agent, becomes label berth.agent
	Cmd          []string
	Env          []string
	Labels       map[string]string // more labels
	Volume       string            // named volume that keeps the agent's data
	Dir          string            // where it is mounted
	Socket       string            // the engine's socket on the host; its folder is mounted
	SocketTarget string            // where it stands inside, under the same name
	Binds        []string          // more binds, source:target[:options]
}

// CreateAgent makes the agent's container, not started, so that files can be copied in first, and gives its ID.
//
// It lives in the host's network namespace and restarts for ever. It gets what making links, neighbour entries and name
// service takes and no more (the list is in runtime/README.md): of all capabilities NET_ADMIN, NET_RAW and
// NET_BIND_SERVICE (port 53), and of /proc/sys, which is mounted read-only otherwise, /proc/sys/net writable. SYS_ADMIN is
// for one call at its start, to load a program for the tunnels, after which the agent gives it up; BPF would do, which
// Engine 20.10 does not know. Not privileged: that asks for capabilities that some machines do not have to give. It holds the engine's socket all the same.
func (e *Engine) CreateAgent(ctx context.Context, a AgentSpec) (string, error) {
	api, err := e.version(ctx)
	if err != nil {
		return "", e.fail("create agent", a.Name, err)
	}
	id, _, err := e.create(ctx, agentCreation(a), a.Name, api)
	return id, e.fail("create agent", a.Name, err)
}

// agentReadonly are the engines' own read-only paths, but for /proc/sys/net.
var agentReadonly = []string{
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger", "/proc/sys/abi", "/proc/sys/debug", "/proc/sys/dev",
	"/proc/sys/fs", "/proc/sys/kernel", "/proc/sys/user", "/proc/sys/vm",
}

func agentCreation(a AgentSpec) *creation {
	labels := maps.Clone(a.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelAgent], labels[labelCluster] = a.Version, a.Cluster
	host := &container.HostConfig{
		NetworkMode: "host", Binds: a.Binds,
		CapDrop: []string{"ALL"}, CapAdd: []string{"NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE", "SYS_ADMIN"},
		ReadonlyPaths: agentReadonly,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
		// The first two would keep it from the socket and from /proc/sys.
		SecurityOpt: []string{"label=disable", "apparmor=unconfined", "no-new-privileges"},
		LogConfig:   container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "3"}},
	}
	if a.Volume != "" {
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeVolume, Source: a.Volume, Target: a.Dir})
	}
	if a.Socket != "" {
		// Without what is mounted below: an engine keeps the network namespaces of its containers there, and a mount of one
		// in here would keep it from ending.
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeBind, Source: path.Dir(a.Socket), Target: path.Dir(a.SocketTarget),
			ReadOnly: true, BindOptions: &mount.BindOptions{NonRecursive: true, Propagation: mount.PropagationPrivate}})
	}
	return &creation{
		Config: &container.Config{Image: a.Image, Cmd: a.Cmd, Env: a.Env, Labels: labels},
		Host:   host,
	}
}
