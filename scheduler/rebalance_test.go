package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"berth/placement"
)

// rebalance plans a rebalance that has to succeed.
func (s *scene) rebalance(t checker, services ...string) *Plan {
	t.Helper()
	p, err := Rebalance(s.p, s.o, RebalanceOptions{Services: services})
	if err != nil {
		t.Fatalf("rebalance: %v", err)
	}
	return p
}

// join adds hosts to the inventory.
func (s *scene) join(hosts ...option) *scene {
	for _, h := range hosts {
		h(s)
	}
	s.o.Cluster = len(s.o.Hosts) > 1
	return s
}

// make says that the inventory has another availability for a host.
func (s *scene) make(host string, a placement.Availability) *scene {
	s.o.Host(host).Availability = a
	return s
}

func available(a placement.Availability) hostOption {
	return func(_ *scene, h *placement.Host) { h.Availability = a }
}

func strategy(x placement.Strategy) serviceOption {
	return func(_ *scene, v *placement.Service) { v.Strategy = x }
}

// spreadBy has a whole preference, with shares.
func spreadBy(text string) serviceOption {
	return func(_ *scene, v *placement.Service) {
		all, err := placement.ParsePreferences(text)
		if err != nil {
			panic(err)
		}
		v.Preferences = all
	}
}

// load tells how many tasks of each service hosts run: "a: 2 web, b: 1 db 1 web".
func (s *scene) load() string {
	var all []string
	for i := range s.o.Hosts {
		counts := map[string]int{}
		for j := range s.o.Containers {
			if c := &s.o.Containers[j]; c.Host == s.o.Hosts[i].Name {
				counts[c.Task.Service]++
			}
		}
		line := s.o.Hosts[i].Name + ":"
		for _, v := range s.p.Services {
			if n := counts[v.Name]; n > 0 {
				line += fmt.Sprintf(" %d %s", n, v.Name)
			}
		}
		all = append(all, line)
	}
	return strings.Join(all, ", ")
}

func movesOf(p *Plan) int {
	n := 0
	for i := range p.Steps {
		if p.Steps[i].Kind == Create {
			n++
		}
	}
	return n
}

func TestPlanOfARebalance(t *testing.T) {
	s := world(host("a"), host("b"), service("web", replicas(4), on("back"), mounts(""))).up(t).join(host("c"))
	golden(t, s.rebalance(t), `
		0  record
		1  create network app_back on c after 0
		2  create web.5 on c at 10.128.0.5 (in place of web.4 on b) after 0
		3  start web.5 on c after 1,2
		4  wait web.5 until running or healthy on c after 3
		5  stop web.4 on b (web.5 on c takes its place) after 4
		6  remove web.4 on b (web.5 on c takes its place) after 5
		7  forget after 6
		warning: web.4 gives way to web.5 on host c; its anonymous volumes stay behind on b`)
	s.apply(t, s.rebalance(t))
	golden(t, s.rebalance(t), "")
	if p := s.plan(t); !p.Empty() {
		t.Errorf("an up undoes it:\n%s", p)
	}
	if _, ok := s.o.Recorded[placement.Task{Service: "web", Number: 4}]; ok || s.o.Recorded[placement.Task{Service: "web", Number: 5}].Instead != 0 || len(s.o.Endpoints) != 4 {
		t.Errorf("the store still knows of the move: %v, %v", s.o.Recorded, s.o.Endpoints)
	}
}

func TestPlanOfADrain(t *testing.T) {
	s := world(host("a"), host("b"), service("web", replicas(2), on("back"), healthcheck()), service("db", containerNamed("db"), dependsOn("web", placement.Healthy))).up(t)
	golden(t, s.make("a", placement.Drain).rebalance(t), `
		 0  record
		 1  create web.3 on b at 10.128.0.3 (in place of web.2 on a) after 0
		 2  create db.1 on b (moves from a) after 0
		 3  stop db.1 on a (moves from a) after 2
		 4  remove db.1 on a (moves from a) after 3
		 5  start web.3 on b after 1
		 6  wait web.3 until running or healthy on b after 5
		 7  stop web.2 on a (web.3 on b takes its place) after 6
		 8  remove web.2 on a (web.3 on b takes its place) after 7
		 9  start db.1 on b after 4,6
		10  wait db.1 until running or healthy on b after 9
		11  forget after 4,8
		warning: db.1: stopped on host a before it starts on b, because its container_name cannot be there twice`)
}

func TestWhatARebalanceMoves(t *testing.T) {
	three := func(name string, more ...serviceOption) option { return service(name, append(more, replicas(3))...) }
	zone := func(z string) hostOption { return label("zone", z) }
	for name, c := range map[string]struct {
		s     *scene
		want  string
		moves int
	}{
		"nothing where all is even": {world(host("a"), host("b"), host("c"), service("web", replicas(4))).up(t), "a: 2 web, b: 1 web, c: 1 web", 0},
		"as much as a host that joined is to have": {world(host("a"), host("b"), service("web", replicas(9))).up(t).join(host("c")),
			"a: 3 web, b: 3 web, c: 3 web", 3},
		"no task for one more host than there are tasks": {world(host("a"), host("b"), service("web", replicas(2))).up(t).join(host("c")), "a: 1 web, b: 1 web, c:", 0},
		"each service by itself": {world(host("a"), host("b"), service("db"), service("web", replicas(5))).up(t).join(host("c")),
			"a: 1 db 2 web, b: 2 web, c: 1 web", 1},
		"from the fullest to the emptiest zone": {world(host("a1", zone("a")), host("a2", zone("a")), service("web", replicas(6), spreadOver("node.labels.zone"))).up(t).
			join(host("b1", zone("b")), host("b2", zone("b"))), "a1: 2 web, a2: 1 web, b1: 2 web, b2: 1 web", 3},
		"by the shares of zones": {world(host("a1", zone("a")), service("web", replicas(6), spreadBy("node.labels.zone (a: 2, b: 1)"))).join(host("a2", zone("a"))).up(t).
			join(host("b1", zone("b"))), "a1: 2 web, a2: 2 web, b1: 2 web", 2},
		"within a zone what the zone keeps": {world(host("a1", zone("a")), host("b1", zone("b")), service("web", replicas(4), spreadOver("node.labels.zone"))).up(t).
			join(host("a2", zone("a"))), "a1: 1 web, b1: 2 web, a2: 1 web", 1},
		"only what has room": {world(host("a"), host("b"), service("web", replicas(6), reserve(1, 0))).up(t).join(host("c", cpus(1))),
			"a: 3 web, b: 2 web, c: 1 web", 1},
		"only to hosts that constraints admit": {world(host("a", zone("a")), host("b", zone("b")), service("web", replicas(4), constraint("node.labels.zone == a"))).up(t).
			join(host("c", zone("c")), host("d", zone("a"))), "a: 2 web, b:, c:, d: 2 web", 2},
		"no more than the most of a host": {world(host("a"), service("web", replicas(4))).join(host("x", available(placement.Pause))).up(t).join(host("c")).change("web", maxPerHost(3)),
			"a: 2 web, x:, c: 2 web", 2},
		"what fixed ports have room for": {world(host("a"), host("b"), service("lb", replicas(2), port(80))).up(t).join(host("c")), "a: 1 lb, b: 1 lb, c:", 0},
		"no task to a host where a rule keeps it away": {world(host("a"), host("b"), service("db", constraint("node.name == c")), service("web", replicas(4), constraint("service != db"))).
			join(host("c")).up(t).join(host("d")), "a: 2 web, b: 1 web, c: 1 db, d: 1 web", 1},
		"no last task that another wants beside it": {world(host("a"), service("cache", replicas(2)), service("web", constraint("service == cache"))).
			join(host("x", available(placement.Pause))).up(t).join(host("c")), "a: 1 cache 1 web, x:, c: 1 cache", 1},
		"two services that wait for each other's room": {world(host("a", cpus(6)), host("b", cpus(6)),
			service("ants", replicas(6), reserve(1, 0), constraint("node.name == a")), service("bees", replicas(6), reserve(1, 0), constraint("node.name == b"))).up(t).
			change("ants", constraint("node.name != x")).change("bees", constraint("node.name != x")).join(host("c", cpus(6))),
			"a: 2 ants 2 bees, b: 2 ants 2 bees, c: 2 ants 2 bees", 8},
		"no task whose volume's data is on its host": {world(host("a"), host("b"), service("db", replicas(3), mounts("data"))).up(t), "a: 3 db, b:", 0},
		"nothing of random":                          {world(host("a"), three("web", strategy(placement.Random))).join(host("x", available(placement.Pause))).up(t).join(host("c")), "a: 3 web, x:, c:", 0},
		"nothing of binpack to a host that joined":   {world(host("a"), three("web", binpack())).join(host("x", available(placement.Pause))).up(t).join(host("c")), "a: 3 web, x:, c:", 0},
		"what is packed on one host, step by step": {world(host("a"), host("b"), host("c"), host("d"), service("one", reserve(1, 0), binpack(), constraint("node.name == a")),
			service("two", replicas(2), reserve(1, 0), binpack(), constraint("node.name == b")), service("six", reserve(1, 0), binpack(), constraint("node.name == c"))).up(t).
			change("one", constraint("node.name != x")).change("two", constraint("node.name != x")).change("six", constraint("node.name != x")), "a:, b: 1 one 1 six 2 two, c:, d:", 2},
		"what is packed together with others": {world(host("a"), host("b"), service("one", reserve(2, 0), binpack(), constraint("node.name == a")),
			service("two", reserve(1, 0), binpack(), constraint("node.name == b"))).up(t).change("one", constraint("node.name != x")).change("two", constraint("node.name != x")),
			"a: 1 one 1 two, b:", 1},
		"nothing of a host that has something else": {world(host("a"), host("b"), service("one", reserve(1, 0), binpack(), constraint("node.name == a")),
			service("stays", constraint("node.name == a")), service("two", reserve(2, 0), binpack(), constraint("node.name == b")), service("too", constraint("node.name == b"))).up(t).
			change("one", constraint("node.name != x")).change("two", constraint("node.name != x")), "a: 1 one 1 stays, b: 1 too 1 two", 0},
		"all off a drained host": {world(host("a"), host("b"), host("c"), three("even"), three("full", binpack()), three("any", strategy(placement.Random))).up(t).make("a", placement.Drain),
			"a:, b: 1 any 2 even 3 full, c: 2 any 1 even", 6},
		"nothing to a paused host":      {world(host("a"), host("b"), service("web", replicas(4))).up(t).join(host("c", available(placement.Pause))), "a: 2 web, b: 2 web, c:", 0},
		"nothing off a paused host":     {world(host("a"), host("b"), service("web", replicas(6))).up(t).make("a", placement.Pause).join(host("c")), "a: 3 web, b: 2 web, c: 1 web", 1},
		"what shares namespaces as one": {world(host("a"), host("b"), service("web"), service("log", sharesWith("web"))).up(t).make("a", placement.Drain), "a:, b: 1 log 1 web", 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.s.rebalance(t)
			if c.s.apply(t, p); c.s.load() != c.want || movesOf(p) != c.moves {
				t.Errorf("%d moves to\n%s, want %d to\n%s\n%s%v", movesOf(p), c.s.load(), c.moves, c.want, p, p.Warnings)
			}
			if again := c.s.rebalance(t); !again.Empty() {
				t.Errorf("a second one does\n%s", again)
			}
			if up := c.s.plan(t); !up.Empty() {
				t.Errorf("an up does\n%s", up)
			}
		})
	}
}

func TestARebalanceSaysWhatStaysAndWhy(t *testing.T) {
	drained := func(s *scene) *scene { return s.make("a", placement.Drain) }
	for name, c := range map[string]struct {
		s    *scene
		want string
	}{
		"a volume's data": {drained(world(host("a"), host("b"), service("db", mounts("data"))).up(t)),
			"db.1 cannot leave host a, which is drained: volume app_data has its data on a"},
		"a path of the host": {drained(world(host("a"), host("b"), service("db", binds("/srv"))).up(t)),
			"db.1 cannot leave host a, which is drained: /srv of a is what db.1 mounts; name another host in a constraint to have it start over there"},
		"a global service": {drained(world(host("a"), host("b"), service("agent", global())).up(t)),
			"agent.1 cannot leave host a, which is drained: it is a global service's, and another host has its own; berth up takes it away"},
		"a job": {drained(world(host("a"), host("b"), service("dump", job())).up(t)),
			"dump.1 cannot leave host a, which is drained: a job ends where it has begun"},
		"no room": {drained(world(host("a"), host("b", cpus(1)), service("web", replicas(2), reserve(2, 0))).up(t)),
			"web.1, web.2 cannot leave host a, which is drained: 1 of 1 CPUs free, 2 wanted"},
		"several by volumes": {world(host("a"), host("b"), service("db", replicas(3), mounts("data"))).up(t),
			"the tasks of db stay uneven: volume app_data has its data on a"},
		"several units": {world(host("a"), service("web", replicas(2)), service("log", replicas(2), sharesWith("web"))).join(host("x", available(placement.Pause))).up(t).join(host("c")),
			"the tasks of web, log stay uneven: they share namespaces or volumes and cannot be there twice"},
	} {
		t.Run(name, func(t *testing.T) {
			if p := c.s.rebalance(t); strings.Join(p.Warnings, "\n") != c.want || !p.Empty() {
				t.Errorf("got %s\n%s", strings.Join(p.Warnings, "\n"), p)
			}
		})
	}
}

func TestARebalanceTouchesTheServicesNamed(t *testing.T) {
	s := world(host("a"), host("b"), service("cron", replicas(4)), service("web", replicas(4))).up(t).join(host("c"), host("d"))
	s.apply(t, s.rebalance(t, "web"))
	if want := "a: 2 cron 1 web, b: 2 cron 1 web, c: 1 web, d: 1 web"; s.load() != want {
		t.Errorf("got %s", s.load())
	}
	if _, err := Rebalance(s.p, s.o, RebalanceOptions{Services: []string{"nope"}}); err == nil || err.Error() != "rebalance: no such service: nope" {
		t.Errorf("got %v", err)
	}
	one := world(service("web", replicas(4)))
	if p := one.up(t).rebalance(t); !p.Empty() || p.Cluster {
		t.Errorf("on one host:\n%s", p)
	}
}

func TestWhatIsStoppedIsNotStartedByARebalance(t *testing.T) {
	s := world(host("a"), host("b"), service("web", replicas(4))).up(t).join(host("c"))
	for i := range s.o.Containers {
		s.o.Containers[i].State = "exited"
	}
	golden(t, s.rebalance(t), "")
}

func TestSuccessorsOfAMoveThatWasCutShort(t *testing.T) {
	for name, c := range map[string]struct {
		steps int
		want  string
	}{
		"recorded":      {1, "a: 2 web, b: 2 web, c:"},
		"made":          {3, "a: 2 web, b: 2 web, c:"},
		"running":       {4, "a: 2 web, b: 1 web, c: 1 web"},
		"all but known": {7, "a: 2 web, b: 1 web, c: 1 web"},
	} {
		for _, next := range []string{"up", "rebalance"} {
			t.Run(name+", then "+next, func(t *testing.T) {
				s := world(host("a"), host("b"), service("web", replicas(4), on("back"), healthcheck())).up(t).join(host("c"))
				p := s.rebalance(t)
				for i := range p.Steps[:c.steps] {
					s.step(t, p, &p.Steps[i])
				}
				want := c.want
				if next == "up" {
					s.up(t)
				} else {
					s.apply(t, s.rebalance(t))
					if golden(t, s.rebalance(t), ""); strings.HasSuffix(want, "c:") {
						s.apply(t, s.rebalance(t))
						want = "a: 2 web, b: 1 web, c: 1 web"
					}
				}
				if s.load() != want {
					t.Errorf("got %s, want %s", s.load(), want)
				}
				if p := s.plan(t); !p.Empty() {
					t.Errorf("and an up does\n%s", p)
				}
				numbers := map[int]bool{}
				for i := range s.o.Containers {
					numbers[s.o.Containers[i].Task.Number] = true
				}
				if len(numbers) != 4 || len(s.o.Recorded) != 4 || len(s.o.Endpoints) != 4 || slices.ContainsFunc(s.o.Endpoints, func(e placement.Endpoint) bool { return !numbers[e.Number] }) {
					t.Errorf("containers %s, records %v, endpoints %v", s.hosts(), s.o.Recorded, s.o.Endpoints)
				}
			})
		}
	}
}
