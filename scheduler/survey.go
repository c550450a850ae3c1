package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"berth/placement"
)

// survey sorts the containers of a service: which to keep as its tasks, which are leftovers.
func (u *upper) survey(s *placement.Service, containers []*placement.Container, memory map[int]string) *set {
	st := &set{service: s, inventory: u.o.Hosts}
	numbers := map[int][]*placement.Container{}
	for _, c := range containers {
		if c.Task.Number <= 0 {
			u.warn("container %s of service %s has no container number and is left alone; remove it with docker rm",
				c.Name, s.Name)
			continue
		}
		numbers[c.Task.Number] = append(numbers[c.Task.Number], c)
		st.highest = max(st.highest, c.Task.Number)
	}
	for n, all := range numbers {
		if kept := u.elect(st, all); kept != nil {
			t := st.newTask(n)
			t.old = kept
			st.tasks = append(st.tasks, t)
		} else {
			st.memory = append(st.memory, n)
		}
	}
	slices.SortFunc(st.drops, func(a, b *drop) int {
		return cmp.Or(cmp.Compare(a.c.Task.Number, b.c.Task.Number),
			cmp.Compare(u.w.order(a.c.Host), u.w.order(b.c.Host)), cmp.Compare(a.c.Name, b.c.Name))
	})
	u.remember(st, memory)
	slices.Sort(st.memory)
	st.memory = slices.Compact(st.memory)
	slices.SortFunc(st.tasks, func(a, b *task) int { return cmp.Compare(a.Number, b.Number) })
	u.endMoves(st)
	st.known = len(st.tasks) > 0
	return st
}

// elect chooses the container that is the task among those with its number; the others are dropped. It is nil when
// none can be kept.
func (u *upper) elect(st *set, all []*placement.Container) *placement.Container {
	dropped := func(c *placement.Container, why string) {
		st.drops = append(st.drops, &drop{c: c, service: st.service, why: why, removed: none})
	}
	var candidates []*placement.Container
	final := slices.ContainsFunc(all, func(c *placement.Container) bool { return !gone(c) && !temporary(c) })
	for _, c := range all {
		switch {
		case gone(c):
			dropped(c, "is "+c.State)
		case final && temporary(c):
			dropped(c, "left by an interrupted recreate")
		default:
			candidates = append(candidates, c)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	record, known := u.o.Recorded[all[0].Task]
	slices.SortFunc(candidates, func(a, b *placement.Container) int {
		score := func(c *placement.Container) int {
			n := 0
			if known && c.Host == record.Host {
				n += 2
			}
			if c.Running() {
				n++
			}
			return n
		}
		return cmp.Or(-cmp.Compare(score(a), score(b)), -a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	for _, c := range candidates[1:] {
		dropped(c, "duplicate of "+c.Task.String())
	}
	return candidates[0]
}

// remember adds what the store knows and no container shows: tasks on hosts that do not answer, which count and are
// left alone, and numbers whose containers are lost, which new tasks take first.
func (u *upper) remember(st *set, memory map[int]string) {
	present := map[int]bool{}
	for _, t := range st.tasks {
		present[t.Number] = true
	}
	for number, host := range memory {
		if present[number] {
			continue
		}
		t := placement.Task{Service: st.service.Name, Number: number}
		st.highest = max(st.highest, t.Number)
		if u.w.unreachable(host) {
			a := st.newTask(t.Number)
			a.away = true
			u.send(a, host)
			st.tasks = append(st.tasks, a)
			st.memory = slices.DeleteFunc(st.memory, func(n int) bool { return n == t.Number })
			continue
		}
		st.memory = append(st.memory, t.Number)
		if _, ok := u.w.hosts[host]; !ok {
			u.lost[host] = append(u.lost[host], t)
		}
	}
}

// diverged says why a container is not what its service wants any more, as far as one sees from the container and
// its host alone; "" when it is.
func (u *upper) diverged(s *placement.Service, c *placement.Container) string {
	if !u.configured(s, c) {
		if from := unprovided(u.p, s); from != "" && c.Labels[placement.BareHashLabel] == "" {
			return "configuration changed, as far as is known before provider service " + from + " is called"
		}
		return "configuration changed"
	}
	if id := u.wanted(s, c.Host); id != "" && c.ImageID != "" && id != c.ImageID {
		return "image changed"
	}
	for _, a := range s.Networks {
		n := u.networks[a.Network]
		if n == nil || c.State == "created" && u.isOverlay(n) { // engines do not tell of one that comes later
			continue
		}
		if _, ok := c.Networks[n.Name]; !ok {
			return "not on network " + n.Name
		}
	}
	for _, m := range s.Mounts {
		v := u.volumes[m.Source]
		if m.Type != "volume" || v == nil {
			continue
		}
		if !slices.ContainsFunc(c.Mounts, func(x placement.Mount) bool { return x.Type == "volume" && x.Source == v.Name }) {
			return "volume " + v.Name + " not mounted"
		}
	}
	return ""
}

func (u *upper) warn(format string, args ...any) {
	u.plan.Warnings = append(u.plan.Warnings, fmt.Sprintf(format, args...))
}
