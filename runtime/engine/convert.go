package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/placement"
)

// CreateSpec is all that decides what a task's container looks like.
type CreateSpec struct {
	Project  *placement.Project
	Service  *placement.Service
	Task     placement.Task
	Name     string // container name; a temporary one when it replaces another
	ImageID  string // of the service's image on this host, where the caller has seen it; "" looks it up
	Replaces string // name of the container it is to replace; ""
	Cluster  bool
	// Endpoints are the task's addresses on overlay networks (by engine network name). A network with an endpoint gets
	// no service aliases: the agents answer names there.
	Endpoints []placement.Endpoint
	Resolvers []netip.Addr              // name servers that come before the service's own dns:
	Record    placement.ContainerRecord // for its label; Endpoints are those above
	Inherit   []placement.Mount         // anonymous volumes to take over; Source is the engine volume name
	ShareWith map[string]string         // service → container name or ID whose namespaces or volumes it uses

	OneOff     bool
	Slug       string // of a one-off: 64 hex digits, its label
	AutoRemove bool   // of a one-off: the engine removes it when it ends
}

// creation is a container as the engine's API wants it.
type creation struct {
	Config   *container.Config
	Host     *container.HostConfig
	Networks []endpoint // in priority order; the first is the primary
	Platform *ocispec.Platform
	Files    []injected // secrets and configs, copied in before the start
	Warnings []string
}

// endpoint is the membership in one engine network.
type endpoint struct {
	Network  string // engine name
	Settings *network.EndpointSettings
}

// surroundings is what a conversion depends on beside the spec.
type surroundings struct {
	API       string                            // engine's API version
	ImageID   string                            // of the service's image on the host; ""
	Unchecked bool                              // see Engine.unchecked
	Socket    string                            // path of the engine's socket on its host; "" is apiSocket
	Logins    func() ([]byte, error)            // docker's configuration with the user's logins; nil has none
	Proxy     map[string]*string                // proxy variables that docker's configuration gives every container
	Read      func(path string) ([]byte, error) // reads seccomp profiles
}

// convert turns a task into the engine's terms. It is pure but for Read.
func convert(s *CreateSpec, by surroundings) (*creation, error) {
	svc := s.Service.Spec
	c := &creation{}
	test, err := c.healthcheck(svc.HealthCheck, by.API)
	if err != nil {
		return nil, err
	}
	exposed, bindings, err := ports(svc)
	if err != nil {
		return nil, err
	}
	for _, p := range s.Service.Ingress {
		exposed[portKey(uint32(p.Target), p.Protocol)] = struct{}{}
	}
	c.Config = &container.Config{
		Hostname: svc.Hostname, Domainname: svc.DomainName, User: svc.User, WorkingDir: svc.WorkingDir,
		AttachStdout: true, AttachStderr: true, AttachStdin: s.OneOff && svc.StdinOpen,
		Tty: svc.Tty, OpenStdin: svc.StdinOpen, StdinOnce: s.OneOff && svc.StdinOpen,
		Cmd: []string(svc.Command), Entrypoint: []string(svc.Entrypoint),
		Env: environment(svc.Environment, by.Proxy), Image: s.Project.ImageName(s.Service),
		Labels: containerLabels(s, by), ExposedPorts: exposed, Healthcheck: test,
		StopSignal: svc.StopSignal, StopTimeout: seconds(svc.StopGracePeriod),
		NetworkDisabled: svc.NetworkMode == "disabled",
	}
	c.Host = &container.HostConfig{
		PortBindings: bindings, RestartPolicy: restartPolicy(svc), Init: svc.Init,
		Annotations: svc.Annotations, CapAdd: svc.CapAdd, CapDrop: svc.CapDrop, Privileged: svc.Privileged,
		CgroupnsMode: container.CgroupnsMode(svc.Cgroup), ReadonlyRootfs: svc.ReadOnly, ShmSize: int64(svc.ShmSize),
		Sysctls: svc.Sysctls, VolumeDriver: svc.VolumeDriver, DNSSearch: svc.DNSSearch, DNSOptions: svc.DNSOpts,
		ExtraHosts: extraHosts(svc.ExtraHosts), StorageOpt: svc.StorageOpt, UsernsMode: container.UsernsMode(svc.UserNSMode),
		UTSMode: container.UTSMode(svc.Uts), Isolation: container.Isolation(svc.Isolation), Runtime: svc.Runtime,
		GroupAdd: svc.GroupAdd, OomScoreAdj: int(svc.OomScoreAdj), Tmpfs: tmpfs(svc.Tmpfs),
		Resources: resources(s.Service),
	}
	if s.OneOff {
		c.Host.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyDisabled}
		c.Host.AutoRemove = s.AutoRemove
	}
	for _, r := range s.Resolvers {
		c.Host.DNS = append(c.Host.DNS, r.String())
	}
	c.Host.DNS = append(c.Host.DNS, svc.DNS...)
	// With ndots written out an engine answers names without a dot by itself, with nothing (libnetwork: "don't forward it
	// out … let the client retry with the search domain attached"). So there is one that the agents know.
	if len(s.Resolvers) > 0 && slices.ContainsFunc(svc.DNSOpts, func(o string) bool { return strings.HasPrefix(o, "ndots") }) {
		c.Host.DNSSearch = append(slices.Clone(c.Host.DNSSearch), s.Project.Name)
	}
	if svc.Logging != nil {
		c.Host.LogConfig = container.LogConfig{Type: svc.Logging.Driver, Config: svc.Logging.Options}
	} else if svc.LogDriver != "" || len(svc.LogOpt) > 0 {
		c.Host.LogConfig = container.LogConfig{Type: svc.LogDriver, Config: svc.LogOpt}
	}
	if len(svc.Annotations) > 0 && !atLeast(by.API, "1.43") {
		c.warn("annotations need Docker 24 or later; they are left out")
		c.Host.Annotations = nil
	}
	for _, step := range []func(*CreateSpec, surroundings) error{
		c.securityOptions, c.namespaces, c.networks, c.files, c.apiAccess, c.mounts, c.platform,
	} {
		if err := step(s, by); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *creation) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}

// environment is the container's environment over the proxy settings, sorted. A variable without a value is passed as
// its bare name, which takes it away from what the image sets.
func environment(env types.MappingWithEquals, proxy map[string]*string) []string {
	merged := map[string]*string{}
	for k, v := range proxy {
		merged[k] = v
	}
	for k, v := range env {
		merged[k] = v
	}
	list := make([]string, 0, len(merged))
	for k, v := range merged {
		if v == nil {
			list = append(list, k)
		} else {
			list = append(list, k+"="+*v)
		}
	}
	slices.Sort(list)
	return list
}

// extraHosts are sorted so that one service always makes the same container.
func extraHosts(hosts types.HostsList) []string {
	list := hosts.AsList(":")
	slices.Sort(list)
	if len(list) == 0 {
		return nil
	}
	return list
}

func tmpfs(list types.StringList) map[string]string {
	if len(list) == 0 {
		return nil
	}
	m := map[string]string{}
	for _, t := range list {
		target, options, _ := strings.Cut(t, ":")
		m[target] = options
	}
	return m
}

// platform asks the engine to make the container from the image's variant for it, and fails there when the image on
// the host is of another.
func (c *creation) platform(s *CreateSpec, _ surroundings) error {
	if s.Service.Platform == "" {
		return nil
	}
	p, err := parsePlatform(s.Service.Platform)
	if err != nil {
		return fmt.Errorf("platform: %w", err)
	}
	c.Platform = p
	return nil
}

// parsePlatform reads os/arch[/variant], or an architecture alone, as in GOARCH names; uname's names are accepted.
func parsePlatform(text string) (*ocispec.Platform, error) {
	parts := strings.Split(strings.ToLower(text), "/")
	if len(parts) == 1 {
		parts = []string{"linux", parts[0]}
	}
	if len(parts) > 3 || slices.Contains(parts, "") {
		return nil, fmt.Errorf("%q is not os/arch[/variant], for example linux/arm64", text)
	}
	p := &ocispec.Platform{OS: parts[0], Architecture: goArch(parts[1])}
	if len(parts) == 3 {
		p.Variant = parts[2]
	} else if parts[1] == "armhf" || parts[1] == "armv7l" {
		p.Variant = "v7"
	}
	return p, nil
}

// goArch translates a machine name as `uname -m` has it into Go's; others stay.
func goArch(machine string) string {
	switch machine {
	case "x86_64", "x86-64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv7l", "armv6l", "armhf", "armel":
		return "arm"
	case "i386", "i486", "i586", "i686":
		return "386"
	case "riscv64", "ppc64le", "s390x", "loong64", "mips64le":
		return machine
	case "loongarch64":
		return "loong64"
	}
	return machine
}
