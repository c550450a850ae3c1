package scheduler

import (
	"strings"
	"testing"

	"berth/placement"
)

// What --no-recreate leaves alone is what its container is, not what the file says by now.

func TestNoRecreateCountsThePortsThatContainersHave(t *testing.T) {
	s := world(host("a"), host("b", otherPort(80), otherPort(81)), service("web", port(80))).up(t)
	s.change("web", hash("2"), func(_ *scene, v *placement.Service) { v.Ports = nil }, port(81))
	service("api", port(80))(s)
	p, err := Up(s.p, s.o, UpOptions{NoRecreate: true})
	if err == nil || len(p.Unplaced) != 1 || p.Unplaced[0].Reasons[0].Text != "port 80/tcp is taken by web.1" {
		t.Errorf("got %v\n%s", err, p)
	}
	s.change("api", func(_ *scene, v *placement.Service) { v.Ports = nil }, port(81))
	if s.up(t, UpOptions{NoRecreate: true}).hosts() != "api.1@a web.1@a" {
		t.Error(s.hosts())
	}
}

func TestNoRecreateCountsWhatContainersReserve(t *testing.T) {
	s := world(host("a", cpus(2)), host("b", cpus(1)), service("web", reserve(2, 0))).up(t)
	s.change("web", hash("2"), reserve(0.5, 0))
	service("api", reserve(1.5, 0))(s)
	if p, err := Up(s.p, s.o, UpOptions{NoRecreate: true}); err == nil {
		t.Errorf("a host with 2 CPUs is to hold 2 and 1.5 of them\n%s", p)
	}
}

func TestNoRecreateKeepsAddressesAndNames(t *testing.T) {
	s := world(host("a"), host("b"), service("web", on("front", "back"), containerNamed("own"))).up(t)
	ip := s.container("own").Networks["app_front"]
	s.change("web", hash("2"), containerNamed(""), func(_ *scene, v *placement.Service) { v.Networks = v.Networks[1:] }, on("side"))
	golden(t, s.plan(t, UpOptions{NoRecreate: true}), "")
	s.change("web", func(_ *scene, v *placement.Service) { v.Networks = nil }, on("back=10.128.9.9"))
	golden(t, s.plan(t, UpOptions{NoRecreate: true}), "")
	service("api", on("front"))(s)
	if s.up(t, UpOptions{NoRecreate: true}).container("app-api-1").Networks["app_front"] == ip {
		t.Errorf("two containers have %s", ip)
	}
	s.change("web", hash("3"), func(_ *scene, v *placement.Service) { v.Networks = nil }, on("side"))
	if s.up(t); len(s.container("app-web-1").Networks) != 1 || len(s.o.Endpoints) != 2 {
		t.Errorf("%+v\n%+v", s.o.Containers, s.o.Endpoints)
	}
}

func TestNoRecreatePutsNothingBesideWhatStaysWhereItMayNotBe(t *testing.T) {
	s := world(host("a"), host("b"), service("db", mounts("data"), constraint("node.name == b")), service("web")).up(t)
	if s.hosts() != "db.1@b web.1@a" {
		t.Fatal(s.hosts())
	}
	service("backup", mounts("data"), sharesWith("web"))(s)
	p, err := Up(s.p, s.o, UpOptions{NoRecreate: true, Partial: true})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, p, `
		unplaced: backup.1
		  a: volume app_data has its data on b
		  b: shares with web.1, which is left alone on a
		unplaced: web.1
		  a: volume app_data has its data on b
		  b: shares with web.1, which is left alone on a`)
	if s.up(t); s.hosts() != "backup.1@b db.1@b web.1@b" {
		t.Error(s.hosts())
	}
}

func TestASharerIsMadeOfTheNameThatAContainerHas(t *testing.T) {
	s := world(host("a"), host("b"), service("web", containerNamed("own"))).up(t)
	s.change("web", hash("2"), containerNamed(""))
	service("log", sharesWith("web"))(s)
	s.up(t, UpOptions{Services: []string{"log"}, NoDeps: true}) // it fails where the container is not found
}

func TestAJobThatIsMadeAnewNeedsRoom(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(s *scene)
		opts UpOptions
	}{
		"another image": {edit: func(s *scene) { s.o.Images["a"]["img"], s.o.Images["b"]["img"] = "sha256:new", "sha256:new" }},
		"forced":        {opts: UpOptions{ForceRecreate: true}},
		"its volume": {opts: UpOptions{RenewVolumes: map[string]bool{"app_work": true}}, edit: func(s *scene) {
			s.p.Volumes[0].ConfigHash = "2"
		}},
		"its volume, with --no-recreate": {opts: UpOptions{NoRecreate: true, RenewVolumes: map[string]bool{"app_work": true}}, edit: func(s *scene) {
			s.p.Volumes[0].ConfigHash = "2"
		}},
		"fresh anonymous volumes": {opts: UpOptions{RenewAnonVolumes: true}},
	} {
		t.Run(name, func(t *testing.T) {
			s := world(host("a", cpus(1)), host("b", cpus(1), otherLoad(1)), service("migrate", job(), reserve(1, 0), mounts("work", "")))
			s.p.Volumes[0].ConfigHash = "1"
			s.up(t, UpOptions{Wait: true})
			if c.edit != nil {
				c.edit(s)
			}
			service("web", reserve(1, 0))(s)
			if p, err := Up(s.p, s.o, c.opts); err == nil {
				t.Errorf("1 CPU is to hold two tasks of 1\n%s", p)
			}
			if p, err := Up(s.p, s.o, UpOptions{NoRecreate: true}); err != nil {
				t.Errorf("%v\n%s", err, p)
			}
		})
	}
}

func TestAJobThatHasEndedIsNotWaitedForToBeHealthy(t *testing.T) {
	s := world(service("migrate", job(), healthcheck()), service("web", dependsOn("migrate", placement.Healthy))).up(t, UpOptions{Wait: true})
	s.change("web", hash("2"))
	if p := s.plan(t); strings.Contains(p.String(), "wait migrate") {
		t.Errorf("it never will be\n%s", p)
	}
}

func TestAPartialUpLeavesRunningWhatItCannotStartAgain(t *testing.T) {
	s := world(host("a", cpus(2)), host("b", cpus(2)), service("web"), service("jobs", job())).up(t)
	service("db", reserve(3, 0))(s)
	s.change("web", hash("2"), dependsOn("db", placement.Started)).change("jobs", hash("2"), dependsOn("web", placement.Started), dependsOn("db", placement.Started))
	p := s.plan(t, UpOptions{Partial: true, Wait: true})
	golden(t, p, `
		0 wait jobs.1 until completed on a
		failure: web.1 stays as it is (configuration changed): nothing of service db runs, which it depends on
		failure: jobs.1 stays as it is (configuration changed): nothing of service db runs, which it depends on
		unplaced: db.1
		a: 2 of 2 CPUs free, 3 wanted
		b: 2 of 2 CPUs free, 3 wanted`)
}

func TestAPartialUpDoesNotWaitForWhatItDoesNotStart(t *testing.T) {
	s := world(host("a", cpus(2)), host("b", cpus(2)), service("db", reserve(3, 0)), service("web", dependsOn("db", placement.Started)),
		service("jobs", job(), dependsOn("db", placement.Started)))
	if p := s.plan(t, UpOptions{Partial: true, Wait: true}); strings.Contains(p.String(), "wait") {
		t.Errorf("nothing starts, and it waits\n%s", p)
	}
}

func TestNoRecreateRecordsNoGuessOfWhereDataIs(t *testing.T) {
	s := world(host("a"), host("b"), service("web", replicas(2), mounts("data")), service("ship", global(), mounts("data"))).up(t)
	if len(s.o.Pins) > 0 || s.hosts() != "ship.1@a ship.2@b web.1@a web.2@b" {
		t.Fatal(s.o.Pins, s.hosts())
	}
	s.p.Services = s.p.Services[1:] // web alone: each of its tasks has data on its host
	s.up(t, UpOptions{NoRecreate: true})
	if len(s.o.Pins) > 0 {
		t.Errorf("got %v", s.o.Pins)
	}
}
