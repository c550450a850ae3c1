package scheduler

import (
	"cmp"
	"net/netip"
	"slices"

	"berth/placement"
)

// task is one wanted replica on its way into the plan.
type task struct {
	placement.Task
	set   *set
	old   *placement.Container // container that is there; nil for none
	*work                      // nil until furnish: most of a decision is about tasks of which only the rest counts
	rank  int32                // position among the service's tasks by number
	bound int32                // the host it must be on, as set.hosts has it: a global service's task; 0 for any

	away  bool // on a host that does not answer: counted, left alone
	stuck bool // has no other host: what runs of it holds its place
}

// host is where the task goes; "" while undecided and for unplaced tasks.
func (t *task) host() string { return t.set.name(t.set.hosts[t.rank]) }

// unplaced reports whether no host takes the task, once places are decided.
func (t *task) unplaced() bool { return t.set.inScope && !t.away && t.host() == "" }

// only is the host that the task must be on, "" for any.
func (t *task) only() string { return t.set.name(t.bound) }

// work is what the plan does about a task.
type work struct {
	name     string // final container name
	why      string // of a new container
	recreate string // why the old container is replaced; "" keeps it
	renews   bool   // the old container goes first, as a volume that it mounts is made anew
	rejoins  string // network that is made anew under the container, which stays; "" for none
	restart  bool   // stop and start, because a dependency is recreated

	endpoints []placement.Endpoint
	resolvers []netip.Addr

	// Steps; none where there is none.
	created, stopped, removed, started int
	named                              int   // the step after which the final name is there
	joins                              []int // the steps after which its overlays are there, which its start waits for
}

// furnish gives the tasks what a plan needs beyond a host.
func (u *upper) furnish() {
	n := 0
	for _, st := range u.sets {
		n += len(st.tasks)
	}
	all := make([]work, n)
	for _, st := range u.sets {
		for _, t := range st.tasks {
			t.work, all = &all[0], all[1:]
			*t.work = work{name: u.p.ContainerName(st.service, t.Number), created: none, stopped: none, removed: none, started: none, named: none}
			switch c := t.old; {
			case st.oneOff:
				t.name, t.why = u.oneOff.Name, "one-off"
			case c == nil && t.only() != "":
				t.why = "new task of a global service"
			case c == nil && !t.away:
				t.why = "new replica"
			case c != nil && !temporary(c) && (!st.inScope || u.configured(st.service, c) || u.untouched(t)):
				t.name = c.Name // another tool, a --compatibility run or an earlier container_name may have named it otherwise
			}
		}
	}
}

// moves reports whether the container that is there stands on the wrong host.
func (t *task) moves() bool { return t.old != nil && t.host() != "" && t.old.Host != t.host() }

// fresh reports whether the plan makes a container for the task.
func (t *task) fresh() bool { return t.host() != "" && (t.old == nil || t.moves() || t.recreate != "") }

// finished reports whether a job's task has run to its end, and is not to run again.
func (t *task) finished() bool {
	return t.set.service.Job && t.old != nil && t.old.State == "exited" && t.old.ExitCode == 0
}

// drop is a container that goes.
type drop struct {
	c       *placement.Container
	service *placement.Service // nil for orphans
	why     string
	removed int
	moved   bool // its move to another host, or the one away from it, was cut short
}

// set is one service with its tasks.
type set struct {
	service  *placement.Service
	inScope  bool
	selected bool
	known    bool    // some of its tasks were there before, or are said to be
	lacks    string  // a dependency that has no host, so that what runs of this one is left running; "" for none
	oneOff   bool    // the container of a run, not the service's tasks
	tasks    []*task // by number
	// hosts is where the tasks go, by rank: an index into the inventory plus 1, 0 for nowhere. They are not in the tasks
	// because a decision writes all of them, and these are a sixteenth of the memory.
	hosts     []int32
	inventory []placement.Host
	drops     []*drop
	memory    []int // numbers that only the store or leftovers remember, ascending
	highest   int
}

func (st *set) newTask(number int) *task {
	st.hosts = append(st.hosts, 0)
	return &task{Task: placement.Task{Service: st.service.Name, Number: number}, set: st, rank: int32(len(st.hosts) - 1)}
}

// arrange ranks the tasks as they stand in tasks, by number.
func (st *set) arrange() {
	hosts := make([]int32, len(st.tasks))
	for i, t := range st.tasks {
		hosts[i] = st.hosts[t.rank]
		t.rank = int32(i)
	}
	st.hosts = hosts
}

func (st *set) name(host int32) string {
	if host == 0 {
		return ""
	}
	return st.inventory[host-1].Name
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
