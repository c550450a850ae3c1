package scheduler

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

// golden compares a plan's text, and what it says beside its steps, with the expected lines (indentation aside).
func golden(t *testing.T, p *Plan, want string) {
	t.Helper()
	got := p.String()
	for _, w := range p.Warnings {
		got += "warning: " + w + "\n"
	}
	for _, f := range p.Failures {
		got += "failure: " + f + "\n"
	}
	for _, u := range p.Unplaced {
		got += "unplaced: " + u.Task.String() + Reasons(u.Reasons) + "\n"
	}
	trim := func(s string) string {
		lines := strings.Split(strings.TrimSpace(s), "\n")
		for i := range lines {
			lines[i] = strings.Join(strings.Fields(lines[i]), " ")
		}
		return strings.Join(lines, "\n")
	}
	if trim(got) != trim(want) {
		t.Errorf("got\n%s\ndiff\n%s", got, cmp.Diff(trim(want), trim(got)))
	}
}

func TestPlanOfAFreshClusterUp(t *testing.T) {
	s := world(host("a"), host("b", label("zone", "x")),
		service("db", on("back"), mounts("data"), healthcheck(), constraint("node.labels.zone == x")),
		service("web", replicas(3), on("front", "back"), dependsOn("db", placement.Healthy)))
	golden(t, s.plan(t), `
		 0  record
		 1  create network app_back on a after 0
		 2  create network app_front on a after 0
		 3  create network app_back on b after 0
		 4  create network app_front on b after 0
		 5  create volume app_data on b after 0
		 6  create db.1 on b at 10.128.0.1 (new replica) after 5
		 7  create web.1 on a at 10.128.16.1,10.128.0.2 (new replica) after 0
		 8  create web.2 on b at 10.128.16.2,10.128.0.3 (new replica) after 0
		 9  create web.3 on a at 10.128.16.3,10.128.0.4 (new replica) after 0
		10  start db.1 on b after 3,6
		11  wait db.1 until healthy on b after 10
		12  start web.1 on a after 1,2,7,11
		13  start web.2 on b after 4,8,11
		14  start web.3 on a after 1,2,9,11`)
}

func TestPlanOfAFreshUpOnOneHost(t *testing.T) {
	s := world(service("db", on("default"), mounts("data")), service("web", replicas(2), on("default"), dependsOn("db", placement.Started)))
	golden(t, s.plan(t), `
		0  create network app_default
		1  create volume app_data
		2  create db.1 (new replica) after 0,1
		3  create web.1 (new replica) after 0
		4  create web.2 (new replica) after 0
		5  start db.1 after 2
		6  start web.1 after 3,5
		7  start web.2 after 4,5`)
	golden(t, s.up(t).plan(t), "")
}

func TestPlanOfARecreate(t *testing.T) {
	s := world(service("web", mounts("data", ""), on("default"))).up(t)
	anonymous := s.container("app-web-1").Mounts[1].Source
	s.change("web", hash("2"))
	p := s.plan(t)
	golden(t, p, `
		0  create web.1 as 000000000001_app-web-1 (configuration changed)
		1  stop web.1 (configuration changed) after 0
		2  remove web.1 (configuration changed) after 1
		3  rename web.1 to app-web-1 after 2
		4  start web.1 after 3`)
	if in := p.Steps[0].Inherit; len(in) != 1 || in[0].Source != anonymous || p.Steps[0].Replaces != "app-web-1" {
		t.Errorf("the successor does not take over: %+v", p.Steps[0])
	}
	if in := s.plan(t, UpOptions{RenewAnonVolumes: true}).Steps[0].Inherit; len(in) != 0 {
		t.Errorf("--renew-anon-volumes inherits %v", in)
	}
}

func TestPlanOfAMove(t *testing.T) {
	s := world(host("a"), host("b", label("type", "worker")), service("web", on("back"), mounts(""))).up(t)
	s.change("web", constraint("node.labels.type == worker"))
	golden(t, s.plan(t), `
		0  record
		1  create network app_back on b after 0
		2  create web.1 on b at 10.128.0.1 (moves from a) after 0
		3  stop web.1 on a (moves from a) after 1,2
		4  remove web.1 on a (moves from a) after 3
		5  start web.1 on b after 4
		warning: web.1 moves from host a to b; its anonymous volumes stay behind`)
	before := s.o.Endpoints[0].IP
	if s.up(t); s.hosts() != "web.1@b" || s.o.Endpoints[0].IP != before || s.o.Endpoints[0].Host != "b" {
		t.Errorf("got %s, %+v", s.hosts(), s.o.Endpoints)
	}
}

func TestPlanOfAChangedNetwork(t *testing.T) {
	s := world(network(placement.NetworkSpec{Key: "back", Name: "app_back", ConfigHash: "1"}),
		service("db", on("back")), service("web", on("back"), dependsOn("db", placement.Started))).up(t)
	s.p.Networks[0].ConfigHash = "2"
	golden(t, s.plan(t), `
		0  stop db.1 (network app_back changed)
		1  disconnect db.1 from app_back after 0
		2  stop web.1 (network app_back changed)
		3  disconnect web.1 from app_back after 2
		4  remove network app_back (configuration changed) after 1,3
		5  create network app_back (configuration changed) after 4
		6  connect db.1 to app_back after 5
		7  connect web.1 to app_back after 5
		8  start db.1 (network app_back changed) after 6
		9  start web.1 (network app_back changed) after 7,8`)
	golden(t, s.up(t).plan(t), "")
	s.p.Networks[0].ConfigHash = "3"
	golden(t, s.plan(t, UpOptions{Services: []string{"db"}}), `
		warning: network app_back differs from the file and is left as it is, because app-web-1 uses it and is not part of this command`)
}

func TestPlanOfAChangedNetworkUnderWhatIsRecreatedStoppedOrShared(t *testing.T) {
	s := world(network(placement.NetworkSpec{Key: "back", Name: "app_back", ConfigHash: "1"}),
		service("db", on("back")), service("job", on("back")), service("web", on("back")),
		service("side", sharesWith("web"), dependsOn("web", placement.Started, "restart"))).up(t).state("exited", "app-job-1")
	s.p.Networks[0].ConfigHash = "2"
	s.change("db", hash("2"))
	golden(t, s.plan(t), `
		 0 stop side.1 (a dependency is recreated)
		 1 stop db.1 (network app_back changed)
		 2 disconnect job.1 from app_back
		 3 stop web.1 (network app_back changed) after 0
		 4 disconnect web.1 from app_back after 3
		 5 remove network app_back (configuration changed) after 1,2,4
		 6 create network app_back (configuration changed) after 5
		 7 connect job.1 to app_back after 6
		 8 connect web.1 to app_back after 6
		 9 create db.1 as 000000000001_app-db-1 (configuration changed) after 6
		10 remove db.1 (configuration changed) after 9
		11 rename db.1 to app-db-1 after 10
		12 start db.1 after 11
		13 start job.1 (is exited) after 7
		14 start web.1 (network app_back changed) after 8
		15 start side.1 (a dependency is recreated) after 14`)
	golden(t, s.up(t).plan(t), "")
	delete(s.state("exited", "app-web-1").container("app-web-1").Networks, "app_back") // as an interrupted command leaves it
	if x := s.plan(t).Steps[0]; x.Kind != Create || x.Why != "not on network app_back" {
		t.Errorf("got %s", s.plan(t))
	}
}

func TestPlanOfDependentsThatRestart(t *testing.T) {
	s := world(service("db", healthcheck()), service("web", dependsOn("db", placement.Healthy, "restart")),
		service("job", dependsOn("db", placement.Healthy))).up(t)
	s.change("db", hash("2"))
	golden(t, s.plan(t), `
		0  stop web.1 (a dependency is recreated)
		1  create db.1 as 000000000001_app-db-1 (configuration changed)
		2  stop db.1 (configuration changed) after 0,1
		3  remove db.1 (configuration changed) after 2
		4  rename db.1 to app-db-1 after 3
		5  start db.1 after 4
		6  wait db.1 until healthy after 5
		7  start web.1 (a dependency is recreated) after 6`)
}

func TestPlanOfSharedNamespaces(t *testing.T) {
	s := world(host("a"), host("b"), service("web", replicas(2)), service("sidecar", replicas(2), sharesWith("web")))
	golden(t, s.plan(t), `
		0  record
		1  create web.1 on a (new replica) after 0
		2  create web.2 on b (new replica) after 0
		3  create sidecar.1 on a (new replica) after 1
		4  create sidecar.2 on b (new replica) after 2
		5  start web.1 on a after 1
		6  start web.2 on b after 2
		7  start sidecar.1 on a after 3,5
		8  start sidecar.2 on b after 4,6`)
	s.up(t).change("web", hash("2"))
	golden(t, s.plan(t), `
		 0  record
		 1  create web.1 as 000000000001_app-web-1 on a (configuration changed) after 0
		 2  stop web.1 on a (configuration changed) after 1
		 3  remove web.1 on a (configuration changed) after 2
		 4  rename web.1 to app-web-1 on a after 3
		 5  create web.2 as 000000000002_app-web-2 on b (configuration changed) after 0
		 6  stop web.2 on b (configuration changed) after 5
		 7  remove web.2 on b (configuration changed) after 6
		 8  rename web.2 to app-web-2 on b after 7
		 9  create sidecar.1 as 000000000003_app-sidecar-1 on a (shares with web.1, which is made anew) after 4
		10  stop sidecar.1 on a (shares with web.1, which is made anew) after 9
		11  remove sidecar.1 on a (shares with web.1, which is made anew) after 10
		12  rename sidecar.1 to app-sidecar-1 on a after 11
		13  create sidecar.2 as 000000000004_app-sidecar-2 on b (shares with web.2, which is made anew) after 8
		14  stop sidecar.2 on b (shares with web.2, which is made anew) after 13
		15  remove sidecar.2 on b (shares with web.2, which is made anew) after 14
		16  rename sidecar.2 to app-sidecar-2 on b after 15
		17  start web.1 on a after 4
		18  start web.2 on b after 8
		19  start sidecar.1 on a after 12,17
		20  start sidecar.2 on b after 16,18`)
}

func TestPlanOfDown(t *testing.T) {
	s := world(host("a"), host("b"), service("db", on("back"), mounts("data")),
		service("web", replicas(2), on("back"), dependsOn("db", placement.Started))).up(t)
	golden(t, Down("app", s.p, s.o, DownOptions{Volumes: true}), `
		 0  stop web.1 on b
		 1  remove web.1 on b after 0
		 2  stop web.2 on a
		 3  remove web.2 on a after 2
		 4  stop db.1 on a after 1,3
		 5  remove db.1 on a after 4
		 6  record after 5
		 7  remove network app_back on a after 6
		 8  remove network app_back on b after 6
		 9  remove volume app_data on a after 5
		10  forget after 7,8,9`)
}

func TestPlanOfDownWithoutAFileFollowsTheLabels(t *testing.T) {
	s := world(service("a", on("default")), service("b", on("default"))).up(t)
	s.container("app-a-1").Labels = map[string]string{"com.docker.compose.depends_on": "b:service_started:false"}
	golden(t, Down("app", nil, s.o, DownOptions{}), `
		0  stop a.1
		1  remove a.1 after 0
		2  stop b.1 after 1
		3  remove b.1 after 2
		4  remove network app_default after 3`)
}

func TestPlanWithWait(t *testing.T) {
	s := world(service("db", healthcheck()), service("init", dependsOn("db", placement.Healthy)),
		service("web", dependsOn("init", placement.Completed)))
	golden(t, s.plan(t, UpOptions{Wait: true}), `
		0  create db.1 (new replica)
		1  create init.1 (new replica)
		2  create web.1 (new replica)
		3  start db.1 after 0
		4  wait db.1 until healthy after 3
		5  start init.1 after 1,4
		6  wait init.1 until completed after 5
		7  start web.1 after 2,6
		8  wait db.1 until running or healthy after 3
		9  wait web.1 until running or healthy after 7`)
	s.up(t).container("app-db-1").Health = "starting"
	s.container("app-init-1").State, s.container("app-init-1").ExitCode = "exited", 0
	golden(t, s.plan(t, UpOptions{Wait: true}), `
		0  wait db.1 until healthy
		1  start init.1 (is exited) after 0
		2  wait db.1 until running or healthy
		3  wait init.1 until completed after 1`)
}

func TestPlanWhenPortsChangeHands(t *testing.T) {
	s := world(service("a", port(80)), service("b", port(81))).up(t)
	s.p.Service("a").Ports, s.p.Service("b").Ports = s.p.Service("b").Ports, s.p.Service("a").Ports
	s.change("a", hash("2")).change("b", hash("2"))
	golden(t, s.plan(t), `
		0  create a.1 as 000000000001_app-a-1 (configuration changed)
		1  stop a.1 (configuration changed) after 0
		2  remove a.1 (configuration changed) after 1
		3  rename a.1 to app-a-1 after 2
		4  create b.1 as 000000000002_app-b-1 (configuration changed)
		5  stop b.1 (configuration changed) after 4
		6  remove b.1 (configuration changed) after 5
		7  rename b.1 to app-b-1 after 6
		8  start a.1 after 3,6
		9  start b.1 after 2,7`)
	golden(t, s.up(t).plan(t), "")
}

func TestPlanWithAHostThatDoesNotAnswer(t *testing.T) {
	s := world(host("a"), host("b"), host("c"), service("web", replicas(3), on("back"))).up(t).lost("b")
	s.o.Containers = dropHost(s.o.Containers, "b")
	s.change("web", replicas(4))
	golden(t, s.plan(t), `
		0  record
		1  create web.4 on a at 10.128.0.4 (new replica) after 0
		2  start web.4 on a after 1
		failure: host b is unreachable (no route to host): web.2 was left alone`)
	golden(t, Down("app", s.p, s.o, DownOptions{}), `
		0  stop web.1 on a
		1  remove web.1 on a after 0
		2  stop web.3 on c
		3  remove web.3 on c after 2
		4  record after 1,3
		5  remove network app_back on a after 4
		6  remove network app_back on c after 4
		7  forget after 5,6
		failure: host b is unreachable (no route to host): web.2 was left alone`)
}

func TestPlanWithAHostThatLeftTheInventory(t *testing.T) {
	s := world(host("a"), host("b"), host("c"), service("web", replicas(3), on("back"))).up(t)
	s.o.Containers = dropHost(s.o.Containers, "c")
	s.o.Hosts = s.o.Hosts[:2]
	golden(t, s.plan(t), `
		0  record
		1  create web.3 on a at 10.128.0.3 (new replica) after 0
		2  start web.3 on a after 1
		warning: host c is not in the inventory any more: web.3 is lost there`)
	golden(t, s.up(t).plan(t), "")
	if _, ok := s.o.Overlays[0].Blocks["c"]; ok {
		t.Error("the lost host keeps its block")
	}
}

func dropHost(all []placement.Container, host string) []placement.Container {
	var rest []placement.Container
	for _, c := range all {
		if c.Host != host {
			rest = append(rest, c)
		}
	}
	return rest
}

func TestPlanOfAGlobalService(t *testing.T) {
	s := world(host("a"), host("b", label("type", "db")), host("c"), service("agent", global(), constraint("node.labels.type != db"), mounts("cache")))
	golden(t, s.plan(t), `
		0  record
		1  create volume app_cache on a after 0
		2  create volume app_cache on c after 0
		3  create agent.1 on a (new task of a global service) after 1
		4  create agent.2 on c (new task of a global service) after 2
		5  start agent.1 on a after 3
		6  start agent.2 on c after 4`)
	s.up(t).change("agent", constraint("node.hostname != a"))
	golden(t, s.plan(t), `
		0  record
		1  stop agent.1 on a (host not admitted: hostname is "a", constraint wants anything but a)
		2  remove agent.1 on a (host not admitted: hostname is "a", constraint wants anything but a) after 1
		3  create volume app_cache on b after 0
		4  create agent.3 on b (new task of a global service) after 3
		5  start agent.3 on b after 4
		6  forget after 0,2`)
}

func TestPlanWithOrphans(t *testing.T) {
	s := world(service("old"), service("web")).up(t)
	s.p.Services = s.p.Services[1:]
	golden(t, s.plan(t), `
		warning: Found orphan containers (app-old-1) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.`)
	golden(t, s.plan(t, UpOptions{IgnoreOrphans: true}), "")
	golden(t, s.plan(t, UpOptions{RemoveOrphans: true}), `
		0  stop old.1 (orphan)
		1  remove old.1 (orphan) after 0`)
	s.p.Disabled = []string{"old"}
	golden(t, s.plan(t), "")
}

func TestPlanOfPartialUp(t *testing.T) {
	s := world(host("a", cpus(2)), host("b", cpus(1)), service("db", reserve(3, 0)), service("web", replicas(4), reserve(1, 0)),
		service("site", dependsOn("db", placement.Started)))
	p, err := Up(s.p, s.o, UpOptions{})
	want := "up: db.1, web.4 cannot be placed"
	if err == nil || !p.Empty() || p.Change != nil || len(p.Unplaced) != 2 {
		t.Fatalf("want %s, got %v and %s", want, err, p)
	}
	if diff := cmp.Diff(strings.TrimPrefix(`
up: db.1 cannot be placed:
  a: 2 of 2 CPUs free, 3 wanted
  b: 1 of 1 CPUs free, 3 wanted
  nearest: 1 CPU short on a
up: web.4 cannot be placed:
  a: 0 of 2 CPUs free, 1 wanted
  b: 0 of 1 CPUs free, 1 wanted
  nearest: 1 CPU short on a
nothing was changed; make room, or start the rest with --partial`, "\n"), err.Error()); diff != "" {
		t.Error(diff)
	}
	golden(t, s.plan(t, UpOptions{Partial: true}), `
		0  record
		1  create site.1 on b (new replica) after 0
		2  create web.1 on a (new replica) after 0
		3  create web.2 on b (new replica) after 0
		4  create web.3 on a (new replica) after 0
		5  start web.1 on a after 2
		6  start web.2 on b after 3
		7  start web.3 on a after 4
		failure: site.1 is not started: nothing of service db runs, which it depends on
		unplaced: db.1
		  a: 2 of 2 CPUs free, 3 wanted
		  b: 1 of 1 CPUs free, 3 wanted
		unplaced: web.4
		  a: 0 of 2 CPUs free, 1 wanted
		  b: 0 of 1 CPUs free, 1 wanted`)
}

// oneLine turns "a|b" into lines.
func oneLine(s string) string { return strings.ReplaceAll(s, "|", "\n") }

func TestAJobRunsOnceUnlessItFailedOrChanged(t *testing.T) {
	s := world(service("migrate", job()), service("web", dependsOn("migrate", placement.Completed))).up(t, UpOptions{Wait: true})
	if got := s.hosts(); got != "migrate.1@local(exited) web.1@local" {
		t.Fatal(got)
	}
	golden(t, s.plan(t, UpOptions{Wait: true}), "")
	s.container("app-migrate-1").ExitCode = 3
	golden(t, s.plan(t), "0 start migrate.1 (is exited)")
	s.container("app-migrate-1").ExitCode = 0
	s.change("migrate", hash("2"))
	golden(t, s.plan(t), `
		0  create migrate.1 as 000000000001_app-migrate-1 (configuration changed)
		1  remove migrate.1 (configuration changed) after 0
		2  rename migrate.1 to app-migrate-1 after 1
		3  start migrate.1 after 2`)
}

func TestAJobThatHasEndedHoldsNothing(t *testing.T) {
	s := world(host("a", cpus(1)), host("b", cpus(1)), service("migrate", job(), reserve(1, 0)), service("web", reserve(1, 0))).up(t, UpOptions{Wait: true})
	s.change("web", replicas(2)).up(t)
	if got := s.hosts(); got != "migrate.1@a(exited) web.1@b web.2@a" {
		t.Error(got)
	}
}
