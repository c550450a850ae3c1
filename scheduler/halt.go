package scheduler

import (
	"slices"
	"time"

	"berth/placement"
)

// Halt plans the graceful end of the containers that an attached up shows, dependents first. timeout nil leaves each
// container its own.
func Halt(p *placement.Project, containers []placement.Container, timeout *time.Duration) (*Plan, error) {
	o := &placement.Observation{Containers: containers}
	for _, c := range containers {
		if !slices.ContainsFunc(o.Hosts, func(h placement.Host) bool { return h.Name == c.Host }) {
			o.Hosts = append(o.Hosts, placement.Host{Name: c.Host, State: placement.Ready})
		}
	}
	return NewPresent(p.Name, p, o, nil).Stop(timeout, "interrupted"), nil
}
