package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"berth/placement"
)

// upper is one run of Up: what it reads, and what it has decided so far. Its methods run in the order of Up.
type upper struct {
	p      *placement.Project
	o      *placement.Observation
	opts   UpOptions
	oneOff *RunOptions // of a run; nil for up

	w        *view
	networks map[string]*placement.NetworkSpec // by key
	volumes  map[string]*placement.VolumeSpec  // by key
	needs    *placement.Needs
	scores   map[string][]placement.Score // of services that are to be explained
	moving   bool                         // it is a rebalance
	packing  bool                         // all that is free is packed at once, because spreading left some without a host
	pins     int                          // counts what makes requests stale: a new board, another volume that is tied to a host
	said     int                          // warnings there were before anything was placed
	board    *placement.Board

	sets     []*set // enabled services by name
	order    []*set // the same, dependencies first
	byName   map[string]*set
	orphaned []*drop                     // containers that RemoveOrphans takes away
	calls    []*call                     // of the providers in scope, by name
	away     map[string][]placement.Task // by host that does not answer
	lost     map[string][]placement.Task // by host that is not in the inventory

	renewed  map[key]bool    // volumes that are made anew: host, name
	supplies map[key]*supply // image reference, os/arch

	change *Change
	forget *Change
	g      graph
	plan   *Plan
}

// Up plans what makes the hosts run the project. It is pure: the same input gives the same plan, in whatever order
// the observation's lists are (the inventory's order counts).
//
// When tasks cannot be placed, the error is *UnplacedError and the plan, which comes with it, has Unplaced set and no
// steps; with opts.Partial there is no error, and the plan does the rest. With any other error the plan is nil: the
// file asks for what cannot be, and the error is the sentence that says so.
func Up(p *placement.Project, o *placement.Observation, opts UpOptions) (*Plan, error) {
	return newUpper(p, o, opts).run()
}

// run makes the plan.
func (u *upper) run() (*Plan, error) {
	command := u.plan.Command
	if err := u.scope(); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	u.findOrphans()
	for _, st := range u.order {
		if st.inScope && !st.oneOff {
			u.desire(st)
		}
	}
	for _, check := range []func() error{u.external, u.taken, u.ingress} {
		if err := check(); err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
	}
	u.place()
	for u.opts.Partial && len(u.plan.Unplaced) > 0 && u.strand() {
		u.plan.Warnings = u.plan.Warnings[:u.said]
		u.place()
	}
	slices.SortFunc(u.plan.Unplaced, func(a, b Unplaced) int { return compareTasks(a.Task, b.Task) })
	u.explanations()
	u.reportHosts()
	u.hintPaths()
	if len(u.plan.Unplaced) > 0 && !u.opts.Partial {
		return u.plan, &UnplacedError{Project: u.p.Name, Command: command, Unplaced: u.plan.Unplaced}
	}
	u.furnish()
	for _, step := range []func() error{u.allocate, u.decideRecreate, u.record, u.build} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
	}
	return u.plan, nil
}

func newUpper(p *placement.Project, o *placement.Observation, opts UpOptions) *upper {
	u := &upper{
		p: p, o: o, opts: opts, w: newView(p.Name, o),
		networks: map[string]*placement.NetworkSpec{}, volumes: map[string]*placement.VolumeSpec{},
		byName: map[string]*set{}, supplies: map[key]*supply{}, away: map[string][]placement.Task{}, lost: map[string][]placement.Task{},
		scores: map[string][]placement.Score{}, renewed: map[key]bool{}, change: newChange(o), forget: newChange(o),
		plan: &Plan{Project: p.Name, Command: cmp.Or(opts.Command, "up"), Cluster: o.Cluster},
	}
	for _, n := range p.Networks {
		u.networks[n.Key] = n
	}
	for _, v := range p.Volumes {
		u.volumes[v.Key] = v
	}
	u.needs, u.board = placement.NewNeeds(p, o), u.newBoard()
	return u
}

func newChange(o *placement.Observation) *Change {
	return &Change{Revision: o.Revision, Tasks: map[placement.Task]placement.TaskRecord{}, Pins: map[string]string{}}
}

func (u *upper) newBoard() *placement.Board {
	b := placement.NewBoard(u.o.Hosts)
	if !u.o.Cluster {
		b.Alone()
	}
	for _, s := range u.p.Services {
		b.Know(s)
	}
	u.holdIngress(b)
	for i := range u.w.containers {
		c := &u.w.containers[i]
		if h, ok := u.w.hosts[c.Host]; ok && failed(c) {
			b.Fails(h, c.Task.Service)
		}
	}
	return b
}

// failed reports whether a task's container keeps failing, or has failed and was not started again.
func failed(c *placement.Container) bool {
	return !c.OneOff && (c.State == "restarting" || c.State == "dead" || c.State == "exited" && c.ExitCode != 0 && !interrupted(c))
}

// interrupted reports whether a container was ended by a signal that stop and kill send.
func interrupted(c *placement.Container) bool {
	return c.ExitCode == 137 || c.ExitCode == 143 || c.ExitCode == 130
}

// scope finds the services that the command is about: the selected ones and, without NoDeps, what they depend on.
func (u *upper) scope() error {
	memory := u.w.memory()
	services := slices.Clone(u.p.Services)
	slices.SortFunc(services, func(a, b *placement.Service) int { return strings.Compare(a.Name, b.Name) })
	containers := map[string][]*placement.Container{}
	for i := range u.w.containers {
		if c := &u.w.containers[i]; !c.OneOff {
			containers[c.Task.Service] = append(containers[c.Task.Service], c)
		}
	}
	for _, s := range services {
		st := u.survey(s, containers[s.Name], memory[s.Name])
		u.sets = append(u.sets, st)
		u.byName[s.Name] = st
	}
	selected := u.opts.Services
	if len(selected) == 0 && u.oneOff == nil {
		for _, st := range u.sets {
			selected = append(selected, st.service.Name)
		}
		for _, p := range u.p.Providers {
			selected = append(selected, p.Name)
		}
	}
	for _, name := range selected {
		if p := u.p.Provider(name); p != nil {
			if err := u.includeProvider(p); err != nil {
				return err
			}
			continue
		}
		st := u.byName[name]
		if st == nil {
			return fmt.Errorf("no such service: %s", name)
		}
		st.selected = true
		if err := u.include(st); err != nil {
			return err
		}
	}
	if u.oneOff != nil {
		st := u.oneOffSet()
		u.sets = append(u.sets, st)
		if err := u.include(st); err != nil {
			return err
		}
	}
	for _, st := range u.sets {
		for _, name := range st.service.SharesWith {
			shared := st.service.SharesOf(name)
			if provider := u.byName[name]; st.inScope && shared != "" && (provider == nil || !provider.inScope && len(provider.tasks) == 0) {
				return fmt.Errorf("service %s cannot share %s with service %s: container missing; start that too", st.service.Name, shared, name)
			}
		}
	}
	return u.sortServices()
}

// include takes a service into scope, and what it depends on.
func (u *upper) include(st *set) error {
	if st.inScope {
		return nil
	}
	st.inScope = true
	if err := u.includeDependencies(st.service.Name, st.service.DependsOn); err != nil || u.opts.NoDeps {
		return err
	}
	for _, name := range st.service.SharesWith {
		if dep := u.byName[name]; dep != nil {
			if err := u.include(dep); err != nil {
				return err
			}
		}
	}
	return nil
}

// includeDependencies takes into scope what a service or a provider depends on, unless NoDeps.
func (u *upper) includeDependencies(name string, dependsOn []placement.Dependency) error {
	if u.opts.NoDeps {
		return nil
	}
	for _, d := range dependsOn {
		if p := u.p.Provider(d.Service); p != nil {
			if err := u.includeProvider(p); err != nil {
				return err
			}
			continue
		}
		dep := u.byName[d.Service]
		if dep == nil {
			if !d.Required {
				continue
			}
			if slices.Contains(u.p.Disabled, d.Service) {
				return fmt.Errorf("service %s is required by %s but is disabled; enable its profile", d.Service, name)
			}
			return fmt.Errorf("service %s depends on service %s, which the file does not have", name, d.Service)
		}
		if err := u.include(dep); err != nil {
			return err
		}
	}
	return nil
}

// sortServices puts services after those that they depend on or share with.
func (u *upper) sortServices() error {
	const working, done = 1, 2
	state := map[*set]int{}
	var visit func(st *set) error
	visit = func(st *set) error {
		switch state[st] {
		case working:
			return fmt.Errorf("service %s: %w", st.service.Name, errCycle)
		case done:
			return nil
		}
		state[st] = working
		var names []string
		for _, d := range st.service.DependsOn {
			names = append(names, d.Service)
		}
		names = append(names, st.service.SharesWith...)
		sort.Strings(names)
		for _, name := range names {
			if dep := u.byName[name]; dep != nil {
				if err := visit(dep); err != nil {
					return err
				}
			}
		}
		state[st] = done
		u.order = append(u.order, st)
		return nil
	}
	for _, st := range u.sets {
		if err := visit(st); err != nil {
			return err
		}
	}
	return nil
}

// findOrphans warns of containers that no service has, or takes them away.
func (u *upper) findOrphans() {
	orphans := u.orphans()
	if len(orphans) == 0 || u.opts.IgnoreOrphans && !u.opts.RemoveOrphans {
		return
	}
	if u.opts.RemoveOrphans {
		for _, c := range orphans {
			u.orphaned = append(u.orphaned, &drop{c: c, why: "orphan", removed: none})
		}
		return
	}
	var names []string
	for _, c := range orphans {
		names = append(names, c.Name)
	}
	u.warn("Found orphan containers (%s) for this project. If you removed or renamed this service in your compose file, "+
		"you can run this command with the --remove-orphans flag to clean it up.", strings.Join(names, ", "))
}

// external refuses on one host what on a cluster is a filter: external networks and volumes that do not exist.
func (u *upper) external() error {
	if u.o.Cluster {
		return nil
	}
	for _, st := range u.order {
		if !st.inScope {
			continue
		}
		for _, a := range st.service.Networks {
			n := u.networks[a.Network]
			if n == nil || !n.External || n.Name == "bridge" || n.Name == "host" || n.Name == "none" {
				continue
			}
			if !slices.ContainsFunc(u.o.Networks, func(e placement.EngineNetwork) bool { return e.Name == n.Name }) {
				return fmt.Errorf("network %s declared as external, but could not be found; create it with docker network create", n.Name)
			}
		}
		for _, m := range st.service.Mounts {
			v := u.volumes[m.Source]
			if m.Type != "volume" || v == nil || !v.External {
				continue
			}
			if !slices.ContainsFunc(u.o.Volumes, func(e placement.EngineVolume) bool { return e.Name == v.Name }) {
				return fmt.Errorf("external volume %q not found; create it with docker volume create", v.Name)
			}
		}
	}
	return nil
}
