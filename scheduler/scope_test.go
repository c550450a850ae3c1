package scheduler

import (
	"testing"

	"berth/placement"
)

func TestOrphansOnAClusterAreForgottenWithTheirContainers(t *testing.T) {
	s := world(host("a"), host("b"), service("old", on("back")), service("web", on("back"))).up(t)
	s.p.Services = s.p.Services[1:]
	if p := s.plan(t); !p.Empty() || p.Forget != nil {
		t.Errorf("without --remove-orphans:\n%s", p)
	}
	golden(t, s.plan(t, UpOptions{RemoveOrphans: true}), `
		0 stop old.1 on a (orphan)
		1 remove old.1 on a (orphan) after 0
		2 forget after 1`)
	s.up(t, UpOptions{RemoveOrphans: true})
	if _, ok := s.o.Recorded[placement.Task{Service: "old", Number: 1}]; ok || len(s.o.Endpoints) != 1 {
		t.Errorf("got %v, %v", s.o.Recorded, s.o.Endpoints)
	}
}

func TestOneOffContainersAreOrphansOnlyWhenTheyHaveEnded(t *testing.T) {
	s := world(service("web")).up(t)
	for name, state := range map[string]string{"app-web-run-1": "running", "app-web-run-2": "exited"} {
		c := *s.container("app-web-1")
		c.ID, c.Name, c.State, c.OneOff, c.Task.Number = "e"+name, name, state, true, 0
		s.o.Containers = append(s.o.Containers, c)
	}
	golden(t, s.plan(t, UpOptions{RemoveOrphans: true}), `0 remove app-web-run-2 (orphan)`)
}

func TestServicesOutOfScopeAreLeftAloneAndCounted(t *testing.T) {
	s := world(host("a", cpus(2)), host("b", cpus(2)), service("db", reserve(2, 0), on("back")), service("web", reserve(1, 0), on("back"))).up(t)
	s.change("db", hash("2"), replicas(3)).change("web", replicas(2))
	golden(t, s.plan(t, UpOptions{Services: []string{"web"}, NoDeps: true}), `
		0 record
		1 create web.2 on b at 10.128.0.3 (new replica) after 0
		2 start web.2 on b after 1`)
	s.change("web", replicas(3))
	if _, err := Up(s.p, s.o, UpOptions{Services: []string{"web"}, NoDeps: true}); err == nil {
		t.Error("web.3 is put where db.1 has reserved everything")
	}
}

func TestASharerCanBeStartedBesideAProviderOutOfScope(t *testing.T) {
	s := world(host("a"), host("b"), service("web"), service("log", replicas(0), sharesWith("web"))).up(t)
	s.change("log", replicas(2))
	s.up(t, UpOptions{Services: []string{"log"}, NoDeps: true})
	if got, want := s.hosts(), "log.1@a log.2@a web.1@a"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestASharersHostThatDoesNotAnswerIsNotLeft(t *testing.T) {
	s := world(host("a"), host("b"), service("web"), service("log", replicas(0), sharesWith("web"))).up(t).lost("a")
	s.o.Containers = dropHost(s.o.Containers, "a")
	s.change("log", replicas(1))
	golden(t, s.plan(t, UpOptions{Partial: true}), `
		failure: host a is unreachable (no route to host): web.1 was left alone
		unplaced: log.1
		a: unreachable: no route to host
		b: shares with web.1 on a`)
}

func TestScalingDownPastAHostThatDoesNotAnswer(t *testing.T) {
	s := world(host("a"), host("b"), host("c"), service("web", replicas(3))).up(t).lost("c")
	s.o.Containers = dropHost(s.o.Containers, "c")
	s.change("web", replicas(1))
	golden(t, s.plan(t), `
		0 stop web.2 on b (scaled down)
		1 remove web.2 on b (scaled down) after 0
		2 forget after 1
		failure: host c is unreachable (no route to host): web.3 was left alone`)
}

func TestNoStartStopsNothingThatRunsUnchanged(t *testing.T) {
	s := world(service("web"), service("db")).up(t)
	p := s.change("web", hash("2")).plan(t, UpOptions{NoStart: true})
	golden(t, p, `
		0 create web.1 as 000000000002_app-web-1 (configuration changed)
		1 stop web.1 (configuration changed) after 0
		2 remove web.1 (configuration changed) after 1
		3 rename web.1 to app-web-1 after 2`)
	if len(p.Running) != 1 || p.Running[0].Name != "app-db-1" {
		t.Errorf("got %v", p.Running)
	}
}
