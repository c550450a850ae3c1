package engine

import (
	"context"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"

	"berth/placement"
)

// Filter says which containers to list. Its parts are anded.
type Filter struct {
	Labels  []string // each `key` or `key=value`
	Network string   // name or ID of a network that it is on
	All     bool     // stopped ones too
}

// ContainerInfo is a container as the engine lists it, for the agent.
type ContainerInfo struct {
	ID, Name string
	State    string // created, running, paused, restarting, removing, exited, dead
	Health   string // "", starting, healthy, unhealthy
	Labels   map[string]string
	Networks map[string]Address // by engine network name
}

// Address is a container's place on a network.
type Address struct {
	NetworkID string
	IP        netip.Addr // zero while not running
	IP6       netip.Addr // zero while not running, and without IPv6
	MAC       string     // "" while not running
	Aliases   []string   // more names there; the engine adds the container's short ID
}

// Containers lists containers.
func (e *Engine) Containers(ctx context.Context, f Filter) ([]ContainerInfo, error) {
	args := filters.NewArgs()
	for _, l := range f.Labels {
		args.Add("label", l)
	}
	if f.Network != "" {
		args.Add("network", f.Network)
	}
	list, err := e.api.ContainerList(ctx, container.ListOptions{All: f.All, Filters: args})
	if err != nil {
		return nil, e.fail("list containers", "", err)
	}
	infos := make([]ContainerInfo, 0, len(list))
	for _, c := range list {
		info := ContainerInfo{ID: c.ID, Name: containerName(c.Names), State: c.State, Labels: c.Labels, Networks: map[string]Address{}}
		info.Health, _ = parseStatus(c.Status)
		if c.NetworkSettings != nil {
			info.Networks = addresses(c.NetworkSettings.Networks)
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// addresses translates a container's memberships.
func addresses(networks map[string]*network.EndpointSettings) map[string]Address {
	out := make(map[string]Address, len(networks))
	for name, n := range networks {
		a := Address{NetworkID: n.NetworkID, MAC: n.MacAddress, Aliases: n.Aliases}
		a.IP, _ = netip.ParseAddr(n.IPAddress)
		a.IP6, _ = netip.ParseAddr(n.GlobalIPv6Address)
		out[name] = a
	}
	return out
}

// OneOff finds the one-off container with a slug; "" when there is none.
func (e *Engine) OneOff(ctx context.Context, slug string) (id string, err error) {
	list, err := e.Containers(ctx, Filter{Labels: []string{labelSlug + "=" + slug}, All: true})
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[0].ID, nil
}

// containerName picks the container's own name: the others, with a second slash, are links to it.
func containerName(names []string) string {
	for _, n := range names {
		if n = strings.TrimPrefix(n, "/"); !strings.Contains(n, "/") {
			return n
		}
	}
	return ""
}

var (
	statusHealth = regexp.MustCompile(`\((?:health: )?(starting|healthy|unhealthy)\)`)
	statusExit   = regexp.MustCompile(`^(?:Exited|Restarting) \((-?\d+)\)`)
)

// parseStatus reads health and exit code out of the engine's text: "Up 5 seconds (healthy)", "Up 2 seconds (health:
// starting)", "Exited (3) 5 minutes ago", "Restarting (1) 2 seconds ago".
func parseStatus(status string) (health string, exitCode int) {
	if m := statusHealth.FindStringSubmatch(status); m != nil {
		health = m[1]
	}
	if m := statusExit.FindStringSubmatch(status); m != nil {
		exitCode, _ = strconv.Atoi(m[1])
	}
	return health, exitCode
}

// listed translates one entry of the container list.
func listed(host string, c *container.Summary) placement.Container {
	out := placement.Container{
		ID: c.ID, Name: containerName(c.Names), Host: host, State: c.State, Status: c.Status,
		Image: c.Image, ImageID: c.ImageID, Command: c.Command, Created: time.Unix(c.Created, 0), Labels: c.Labels,
		ConfigHash: c.Labels[labelConfigHash], Replaces: c.Labels[labelReplace], OneOff: c.Labels[labelOneOff] == "True",
		Reservation: reservation(c.Labels), Resources: placement.ParseResources(c.Labels[labelCounted]), Networks: map[string]string{}, Ports: listedPorts(c.Ports), Ingress: ingressPorts(c.Labels[labelIngress]),
	}
	// The label is what images are looked up as; with the containerd store the list's ID is that of one platform.
	if id := c.Labels[labelImage]; id != "" {
		out.ImageID = id
	}
	out.Task.Service = c.Labels[labelService]
	if !out.OneOff {
		out.Task.Number, _ = strconv.Atoi(c.Labels[labelNumber])
	}
	out.Health, out.ExitCode = parseStatus(c.Status)
	if c.NetworkSettings != nil {
		for name, n := range c.NetworkSettings.Networks {
			out.Networks[name] = n.IPAddress
		}
	}
	for _, m := range c.Mounts {
		source := m.Source
		if m.Type == mount.TypeVolume {
			source = m.Name
		}
		out.Mounts = append(out.Mounts, placement.Mount{Type: string(m.Type), Source: source, Target: path.Clean(m.Destination), ReadOnly: !m.RW})
	}
	slices.SortFunc(out.Mounts, func(a, b placement.Mount) int { return strings.Compare(a.Target, b.Target) })
	return out
}

// listedPorts keeps exposed ports that are not published too, with Published 0, for display.
func listedPorts(list []container.Port) []placement.Port {
	var ports []placement.Port
	for _, p := range list {
		ports = append(ports, placement.Port{HostIP: p.IP, Published: p.PublicPort, Target: p.PrivatePort, Protocol: p.Type})
	}
	slices.SortFunc(ports, func(a, b placement.Port) int {
		if a.Target != b.Target {
			return int(a.Target) - int(b.Target)
		}
		return strings.Compare(a.Protocol+a.String(), b.Protocol+b.String())
	})
	return ports
}
