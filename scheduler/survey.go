package scheduler

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"berth/placement"
)

// task is one wanted replica on its way into the plan.
type task struct {
	placement.Task
	set  *set
	rank int                  // position among the service's tasks by number
	old  *placement.Container // container that is there; nil for none
	host string               // where it goes; "" while undecided and for unplaced tasks
	away bool                 // on a host that does not answer: counted, left alone
	only string               // host it must be on: a global service's task

	unplaced bool
	why      string // of a new container
	recreate string // why the old container is replaced; "" keeps it
	restart  bool   // stop and start, because a dependency is recreated

	name      string // final container name
	endpoints []placement.Endpoint
	resolvers []netip.Addr

	// Steps; none where there is none.
	created, stopped, removed, started int
	named                              int // the step after which the final name is there
}

// moves reports whether the container that is there stands on the wrong host.
func (t *task) moves() bool { return t.old != nil && t.host != "" && t.old.Host != t.host }

// fresh reports whether the plan makes a container for the task.
func (t *task) fresh() bool { return t.host != "" && (t.old == nil || t.moves() || t.recreate != "") }

// drop is a container that goes.
type drop struct {
	c       *placement.Container
	service *placement.Service // nil for orphans
	why     string
	removed int
}

// set is one service with its tasks.
type set struct {
	service  *placement.Service
	inScope  bool
	selected bool
	tasks    []*task // by number
	drops    []*drop
	memory   []int // numbers that only the store or leftovers remember, ascending
	highest  int
}

// survey sorts the containers of a service: which to keep as its tasks, which are leftovers.
func (u *upper) survey(s *placement.Service, containers []*placement.Container, memory map[int]string) *set {
	st := &set{service: s}
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
			t := u.newTask(st, n)
			t.old = kept
			if !temporary(kept) && (kept.ConfigHash == s.ConfigHash || kept.Same) {
				t.name = kept.Name // another tool or a --compatibility run may have named it otherwise
			}
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
	return st
}

func (u *upper) newTask(st *set, number int) *task {
	return &task{
		Task: placement.Task{Service: st.service.Name, Number: number}, set: st,
		name:    containerName(u.p, st.service, number),
		created: none, stopped: none, removed: none, started: none, named: none,
	}
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
			a := u.newTask(st, t.Number)
			a.away, a.host = true, host
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

// wants reports whether the service has a task of that number; the tasks are sorted.
func (st *set) wants(number int) bool {
	_, ok := slices.BinarySearchFunc(st.tasks, number, func(t *task, n int) int { return cmp.Compare(t.Number, n) })
	return ok
}

// next returns the number of a new task: the lowest that only the store remembers, else one more than the highest.
func (st *set) next() int {
	if len(st.memory) > 0 {
		n := st.memory[0]
		st.memory = st.memory[1:]
		return n
	}
	st.highest++
	return st.highest
}

// nextOn is next for a global service: of the numbers that the store remembers only the one it put on that host.
func (st *set) nextOn(host string, recorded map[placement.Task]placement.TaskRecord) int {
	for i, n := range st.memory {
		if recorded[placement.Task{Service: st.service.Name, Number: n}].Host == host {
			st.memory = slices.Delete(st.memory, i, i+1)
			return n
		}
	}
	st.highest++
	return st.highest
}

// desire brings the number of tasks to what the service wants.
func (u *upper) desire(st *set) {
	if st.service.Mode == placement.Global {
		u.desireGlobal(st)
	} else {
		u.desireReplicas(st)
	}
	for i, t := range st.tasks {
		t.rank = i
	}
}

// desireReplicas scales: down by dropping what is obsolete first and then the highest numbers, as docker compose
// does, up by new numbers.
func (u *upper) desireReplicas(st *set) {
	want := st.service.Replicas
	if excess := len(st.tasks) - want; excess > 0 {
		order := slices.Clone(st.tasks)
		obsolete := map[*task]bool{}
		for _, t := range order {
			obsolete[t] = t.old != nil && u.diverged(st.service, t.old) != ""
		}
		slices.SortFunc(order, func(a, b *task) int {
			if obsolete[a] != obsolete[b] {
				if obsolete[a] {
					return -1
				}
				return 1
			}
			return -cmp.Compare(a.Number, b.Number)
		})
		for _, t := range order[:excess] {
			if t.away {
				u.away[t.host] = append(u.away[t.host], t.Task)
			} else {
				st.drops = append(st.drops, &drop{c: t.old, service: st.service, why: "scaled down", removed: none})
			}
		}
		out := map[*task]bool{}
		for _, t := range order[:excess] {
			out[t] = true
		}
		st.tasks = slices.DeleteFunc(st.tasks, func(t *task) bool { return out[t] })
	}
	for len(st.tasks) < want {
		t := u.newTask(st, st.next())
		t.why = "new replica"
		st.tasks = append(st.tasks, t)
	}
	slices.SortFunc(st.tasks, func(a, b *task) int { return cmp.Compare(a.Number, b.Number) })
}

// desireGlobal wants one task on each host that the lasting filters admit.
func (u *upper) desireGlobal(st *set) {
	r := u.board.NewRequest(st.service, placement.Task{Service: st.service.Name}, u.needs.Of(st.service)...)
	on := map[string]*task{}
	var kept []*task
	for _, t := range st.tasks {
		switch {
		case t.away:
			on[t.host] = t
			kept = append(kept, t)
		case !u.board.Admits(r, u.w.order(t.old.Host)):
			st.drops = append(st.drops, &drop{c: t.old, service: st.service, removed: none,
				why: "host not admitted: " + u.board.Explain(r, u.w.order(t.old.Host))})
		case on[t.old.Host] != nil:
			st.drops = append(st.drops, &drop{c: t.old, service: st.service, removed: none,
				why: "second task of a global service on its host"})
		default:
			t.only = t.old.Host
			on[t.old.Host] = t
			kept = append(kept, t)
		}
	}
	st.tasks = kept
	for i := range u.o.Hosts {
		h := &u.o.Hosts[i]
		if on[h.Name] == nil && u.board.Admits(r, i) {
			t := u.newTask(st, st.nextOn(h.Name, u.o.Recorded))
			t.only, t.why = h.Name, "new task of a global service"
			st.tasks = append(st.tasks, t)
		}
	}
	slices.SortFunc(st.tasks, func(a, b *task) int { return cmp.Compare(a.Number, b.Number) })
}

// diverged says why a container is not what its service wants any more, as far as one sees from the container and
// its host alone; "" when it is.
func (u *upper) diverged(s *placement.Service, c *placement.Container) string {
	if c.ConfigHash != s.ConfigHash && !c.Same {
		return "configuration changed"
	}
	if id := u.o.Images[c.Host][image(u.p, s)]; id != "" && c.ImageID != "" && id != c.ImageID {
		return "image changed"
	}
	if c.State == "running" {
		for _, a := range s.Networks {
			if n := u.networks[a.Network]; n != nil {
				if _, ok := c.Networks[n.Name]; !ok {
					return "not on network " + n.Name
				}
			}
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
		if u.p.Service(c.Task.Service) == nil && !slices.Contains(u.p.Disabled, c.Task.Service) {
			all = append(all, c)
		}
	}
	return all
}

func (u *upper) warn(format string, args ...any) {
	u.plan.Warnings = append(u.plan.Warnings, fmt.Sprintf(format, args...))
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
