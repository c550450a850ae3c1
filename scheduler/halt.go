package scheduler

import (
	"time"

	"berth/placement"
)

// Halt plans the graceful end of running containers: a service's only after those of the services that depend on it.
// timeout nil leaves each container its own.
func Halt(p *placement.Project, containers []placement.Container, timeout *time.Duration) (*Plan, error) {
	g := &graph{}
	steps := map[string][]int{} // by service
	for i := range containers {
		c := &containers[i]
		if !c.Running() && c.State != "restarting" {
			continue
		}
		id := g.add(Step{
			Kind: Stop, Host: c.Host, Task: c.Task, Name: c.Name, ContainerID: c.ID, Why: "interrupted",
			Service: p.Service(c.Task.Service), Timeout: timeout,
		})
		steps[c.Task.Service] = append(steps[c.Task.Service], id)
	}
	for _, s := range p.Services {
		for _, d := range s.DependsOn {
			for _, id := range steps[d.Service] {
				g.need(id, steps[s.Name]...)
			}
		}
	}
	sorted, err := g.sorted()
	if err != nil {
		return nil, err
	}
	return &Plan{Project: p.Name, Steps: sorted}, nil
}
