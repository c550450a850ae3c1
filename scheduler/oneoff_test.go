package scheduler

import (
	"strings"
	"testing"

	"berth/placement"
)

// oneOff is the options of a run of a service, with changes that the command line makes.
func (s *scene) oneOff(service string, changes ...serviceOption) RunOptions {
	v := *s.p.Service(service)
	for _, f := range changes {
		f(s, &v)
	}
	return RunOptions{Service: &v, Name: "app-" + service + "-run-0123456789ab", Slug: strings.Repeat("0123456789abcdef", 4)}
}

func (s *scene) run(t *testing.T, o RunOptions) *Plan {
	t.Helper()
	p, err := Run(s.p, s.o, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanOfARunBringsUpWhatItDependsOnAndMakesTheContainerLast(t *testing.T) {
	s := world(service("db", on("default"), healthcheck()), service("web", replicas(2), on("default"), dependsOn("db", placement.Healthy)),
		service("other", on("default")))
	golden(t, s.run(t, s.oneOff("web")), `
		0  create network app_default
		1  create db.1 (new replica) after 0
		2  start db.1 after 1
		3  wait db.1 until healthy after 2
		4  create app-web-run-0123456789ab (one-off) after 3`)
	o := s.oneOff("web")
	o.NoDeps, o.Start = true, true
	golden(t, s.run(t, o), `
		0  create network app_default
		1  create app-web-run-0123456789ab (one-off) after 0
		2  start app-web-run-0123456789ab after 1`)
	// What runs already is left as it is.
	golden(t, s.up(t).run(t, s.oneOff("web")), `
		0  create app-web-run-0123456789ab (one-off)`)
}

func TestARunIsPlacedLikeATaskAndIsNone(t *testing.T) {
	s := world(host("a"), host("b", label("type", "db")),
		service("db", on("back"), mounts("data"), constraint("node.labels.type == db")), service("web", on("back"), replicas(2))).up(t)
	p := s.run(t, s.oneOff("db"))
	golden(t, p, `
		0  record
		1  create app-db-run-0123456789ab on b at 10.128.0.4 (one-off) after 0`)
	if len(p.Change.Tasks) != 0 || len(p.Change.Endpoints) != 1 || p.Change.Endpoints[0].Number != 0 {
		t.Errorf("the store learns %+v", p.Change)
	}
	if o := p.Steps[1].OneOff; o == nil || len(o.Slug) != 64 {
		t.Errorf("the step does not say that it is a one-off: %+v", p.Steps[1])
	}
	// A volume's data pins it too, and a volume that it is the first to mount is pinned by it.
	s.change("web", mounts("fresh"))
	if p = s.run(t, s.oneOff("web")); p.Change.Pins["app_fresh"] != p.Steps[len(p.Steps)-1].Host {
		t.Errorf("pins %v, placed on %s", p.Change.Pins, p.Steps[len(p.Steps)-1].Host)
	}
	_, err := Run(s.p, s.o, s.oneOff("web", constraint("node.labels.type == gpu")))
	if err == nil || !strings.HasPrefix(err.Error(), "run: web cannot be placed:\n  a: ") || strings.Contains(err.Error(), "--partial") {
		t.Errorf("no host admits it: %v", err)
	}
}

func TestARunsAddressesAreDroppedWhenItEndsAndByTheNextCommandWhenItCouldNot(t *testing.T) {
	s := world(host("a"), host("b"), service("web", on("back"))).up(t)
	p := s.run(t, s.oneOff("web"))
	golden(t, EndRun(p, "c0ffee"), `
		0  remove app-web-run-0123456789ab on `+p.Steps[len(p.Steps)-1].Host+` (one-off has ended)
		1  forget after 0`)
	golden(t, EndRun(p, ""), `0  forget`)
	e := p.Change.Endpoints[0]
	s.o.Endpoints = append(s.o.Endpoints, e)
	if p := s.plan(t); p.Forget == nil || len(p.Forget.DropEndpoint) != 1 {
		t.Errorf("the address of a one-off that is gone stays: %v", p)
	}
	s.o.Containers = append(s.o.Containers, placement.Container{
		ID: "c0ffee", Name: e.Container, Host: e.Host, OneOff: true, State: "running", Task: placement.Task{Service: "web"},
	})
	golden(t, s.plan(t), "")
	if _, err := Run(s.p, s.o, s.oneOff("web")); err == nil || !strings.Contains(err.Error(), "is already taken by a container on host "+e.Host) {
		t.Errorf("the name is given twice: %v", err)
	}
	// On a host that does not answer nobody knows.
	s.o.Containers = s.o.Containers[:len(s.o.Containers)-1]
	if p := s.lost(e.Host).plan(t); p.Forget != nil {
		t.Errorf("forgets %+v", p.Forget)
	}
}

func TestARunSharesTheHostOfThoseItSharesWith(t *testing.T) {
	s := world(host("a"), host("b"), service("web", replicas(2), on("back")), service("side", sharesWith("web"))).up(t)
	p := s.run(t, s.oneOff("side"))
	create := p.Steps[len(p.Steps)-1]
	if create.Host != s.container("app-web-1").Host || create.ShareWith["web"] != "app-web-1" {
		t.Errorf("got %s on %s, sharing with %v", create.String(), create.Host, create.ShareWith)
	}
}

func TestARunDoesNotCountAgainstItsServicesReplicasOnAHost(t *testing.T) {
	s := world(host("a"), host("b"), service("web", replicas(2), maxPerHost(1)))
	s.o.Containers = append(s.o.Containers, placement.Container{
		ID: "c0ffee", Name: "app-web-run-0123456789ab", Host: "a", OneOff: true, State: "running", Task: placement.Task{Service: "web"},
	})
	if s.up(t); s.hosts() != "web.1@b web.2@a web@a" {
		t.Errorf("got %s", s.hosts())
	}
}

func TestAOneOffTakesTheStaticAddressOfItsServiceOnlyWhileThatIsFree(t *testing.T) {
	s := world(host("a"), host("b"), network(placement.NetworkSpec{Key: "back", Name: "app_back"}), service("web", on("back=10.128.0.9")))
	if e := s.run(t, s.oneOff("web")).Change.Endpoints; len(e) != 1 || e[0].IP.String() != "10.128.0.9" {
		t.Errorf("got %+v", e)
	}
	if _, err := Run(s.p, s.up(t).o, s.oneOff("web")); err == nil || !strings.Contains(err.Error(), "10.128.0.9 is taken by app-web-1") {
		t.Errorf("got %v", err)
	}
}
