package scheduler

import (
	"fmt"

	"berth/placement"
)

// home is the host whose own paths a task mounts: the one that it first got, as long as the constraints admit it. It
// stays there, because what is at the path on another host is not what it left. "" for a task without such paths, and
// for a new one.
func (u *upper) home(t *task) string {
	if !u.o.Cluster || t.only() != "" || t.set.service.HostPath() == "" {
		return ""
	}
	host := u.o.Recorded[t.Task].Host
	if t.old != nil {
		host = t.old.Host
	}
	h := u.o.Host(host)
	if h == nil || t.set.service.Unmet(h) == nil {
		return host
	}
	return ""
}

// stays is what a task needs to stay where its paths are.
func (u *upper) stays(t *task) []placement.Need {
	host := u.home(t)
	if host == "" {
		return nil
	}
	return []placement.Need{u.needs.Only(host, fmt.Sprintf(
		"%s of %s is what %s mounts; name another host in a constraint to have it start over there", t.set.service.HostPath(), host, t.Task))}
}

// hintPaths tells of each service whose first tasks are made that it mounts a path of its host, and which host that is.
func (u *upper) hintPaths() {
	if !u.o.Cluster {
		return
	}
	for _, st := range u.sets {
		path := st.service.HostPath()
		if path == "" || !st.inScope || st.oneOff || st.service.Mode == placement.Global {
			continue
		}
		for _, t := range st.tasks {
			if t.host() == "" || t.away {
				continue
			}
			if _, known := u.o.Recorded[t.Task]; t.moves() {
				u.warn("%s moves from host %s to %s, which has a %s of its own", t.Task, t.old.Host, t.host(), path)
			} else if t.old == nil && !known {
				u.warn("%s mounts %s of host %s and stays there; a constraint on node.name says which host it shall be", t.Task, path, t.host())
			}
		}
	}
}

// taken refuses container names that a container outside of the project has on some host: they are unique in the
// cluster.
func (u *upper) taken() error {
	if !u.o.Cluster {
		return nil
	}
	for _, st := range u.sets {
		if !st.inScope || st.oneOff || st.service.ContainerName == "" {
			continue
		}
		for _, c := range u.o.Outside {
			if c.Name != st.service.ContainerName {
				continue
			}
			owner := "a container of nobody's project"
			if c.Project != "" {
				owner = "project " + c.Project
			}
			return fmt.Errorf("service %s: container name %s is already in use by %s on host %s; take another container_name, or remove that container",
				st.service.Name, c.Name, owner, c.Host)
		}
	}
	return nil
}
