package scheduler

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"berth/placement"
)

// orphans are containers of services that the file does not have (nor a profile switched off), and one-off containers
// that have ended, as docker compose counts them.
func (u *upper) orphans() []*placement.Container {
	var all []*placement.Container
	for i := range u.w.containers {
		c := &u.w.containers[i]
		if c.OneOff {
			if c.State == "exited" || c.State == "dead" {
				all = append(all, c)
			}
			continue
		}
		if orphaned(u.p, c) {
			all = append(all, c)
		}
	}
	return all
}

// reportHosts writes the sentences about tasks on hosts that do not answer or are gone.
func (u *upper) reportHosts() {
	for _, st := range u.sets {
		for _, t := range st.tasks {
			if t.away && st.inScope {
				u.away[t.host()] = append(u.away[t.host()], t.Task)
			}
		}
	}
	u.plan.Failures = append(u.plan.Failures, leftAlone(u.w, u.away)...)
	var hosts []string
	for h := range u.lost {
		hosts = append(hosts, h)
	}
	sort.Strings(hosts)
	for _, h := range hosts {
		tasks := u.lost[h]
		slices.SortFunc(tasks, compareTasks)
		u.warn("host %s is not in the inventory any more: %s", h, plural(tasks, "is lost there", "are lost there"))
	}
}

// leftAlone writes the sentences about hosts that do not answer, in inventory order.
func leftAlone(w *view, away map[string][]placement.Task) []string {
	var all []string
	for i := range w.o.Hosts {
		h := &w.o.Hosts[i]
		tasks := away[h.Name]
		if len(tasks) == 0 {
			continue
		}
		slices.SortFunc(tasks, compareTasks)
		all = append(all, fmt.Sprintf("host %s is unreachable%s: %s", h.Name, parenthesis(h.Problem), plural(tasks, "was left alone", "were left alone")))
	}
	return all
}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// plural lists tasks and picks the verb.
func plural(tasks []placement.Task, one, many string) string {
	var names []string
	for _, t := range slices.Compact(tasks) {
		names = append(names, t.String())
	}
	if len(names) == 1 {
		return names[0] + " " + one
	}
	return strings.Join(names, ", ") + " " + many
}
