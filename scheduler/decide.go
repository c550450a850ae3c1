package scheduler

import (
	"fmt"
	"slices"

	"berth/placement"
)

// Assignment is a task and the host that it is to run on.
type Assignment struct {
	Task placement.Task
	Host string
}

// Decide is the part of Up that finds a host for every task of the project: those that are there and stay, and new ones.
// It returns the assignments by service, dependencies first, and number, and the tasks that no host takes. It is pure
// like Up, and what Up itself does before it plans steps.
func Decide(p *placement.Project, o *placement.Observation) ([]Assignment, []Unplaced, error) {
	u := newUpper(p, o, UpOptions{})
	if err := u.scope(); err != nil {
		return nil, nil, fmt.Errorf("decide: %w", err)
	}
	for _, st := range u.order {
		u.desire(st)
	}
	u.place()
	n := 0
	for _, st := range u.order {
		n += len(st.tasks)
	}
	all := make([]Assignment, 0, n)
	for _, st := range u.order {
		for _, t := range st.tasks {
			if t.host() != "" {
				all = append(all, Assignment{t.Task, t.host()})
			}
		}
	}
	slices.SortFunc(u.plan.Unplaced, func(a, b Unplaced) int { return compareTasks(a.Task, b.Task) })
	return all, u.plan.Unplaced, nil
}
