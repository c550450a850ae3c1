package placement

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// OutsideContainer is a container that is not the project's and whose name the project has: as a container_name, or to
// share with it.
type OutsideContainer struct {
	Host, Name string
	Project    string // "" when no compose project made it
}

// SharesWithContainers names the containers whose namespaces or volumes a service uses by name (network_mode, ipc, pid or
// volumes_from: container:x), sorted.
func (s *Service) SharesWithContainers() []string {
	if s.Spec == nil {
		return nil
	}
	var all []string
	for _, value := range append([]string{s.Spec.NetworkMode, s.Spec.Ipc, s.Spec.Pid}, s.Spec.VolumesFrom...) {
		if name, ok := strings.CutPrefix(value, types.ContainerPrefix); ok {
			name, _, _ = strings.Cut(name, ":")
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// SharesOf says in docker compose's words what a service uses of another one's container: "network namespace", "IPC
// namespace", "PID namespace" or "volume"; "" for nothing that it could not do without.
func (s *Service) SharesOf(other string) string {
	if s.Spec == nil {
		return ""
	}
	mode := types.ServicePrefix + other
	for _, shared := range []struct{ mode, what string }{
		{s.Spec.NetworkMode, "network"}, {s.Spec.Ipc, "IPC"}, {s.Spec.Pid, "PID"}, {s.Spec.Uts, "UTS"}, {s.Spec.Cgroup, "cgroup"},
	} {
		if shared.mode == mode {
			return shared.what + " namespace"
		}
	}
	for _, from := range s.Spec.VolumesFrom {
		if name, _, _ := strings.Cut(from, ":"); name == other {
			return "volume"
		}
	}
	return ""
}

// systemPaths are those of every host that services look at or talk to, and that hold no data of theirs.
var systemPaths = []string{
	"/boot", "/dev", "/etc/group", "/etc/hostname", "/etc/hosts", "/etc/localtime", "/etc/machine-id", "/etc/os-release",
	"/etc/passwd", "/etc/resolv.conf", "/etc/ssl", "/etc/timezone", "/lib/modules", "/proc", "/run", "/sys", "/usr/share/zoneinfo",
	"/usr/src", "/var/lib/docker", "/var/log", "/var/run",
}

// HostPath is the first absolute path of its host that a service mounts as its own (the engine's socket, /proc and the
// like are everywhere), "" when there is none.
func (s *Service) HostPath() string {
	for _, m := range s.Mounts {
		if m.Type != types.VolumeTypeBind || m.Source == "/" {
			continue
		}
		if !slices.ContainsFunc(systemPaths, func(p string) bool { return m.Source == p || strings.HasPrefix(m.Source, p+"/") }) {
			return m.Source
		}
	}
	return ""
}
