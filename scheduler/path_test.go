package scheduler

import (
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

func TestATaskStaysWhereItsPathIs(t *testing.T) {
	s := world(host("a", cpus(2)), host("b", cpus(2)), service("db", binds("/srv/db"), reserve(0.5, 0)), service("web", replicas(2), binds("/var/run/docker.sock")))
	p := s.plan(t)
	if want := "db.1 mounts /srv/db of host a and stays there; a constraint on node.name says which host it shall be"; strings.Join(p.Warnings, "\n") != want {
		t.Errorf("warnings %q", p.Warnings)
	}
	s.up(t)
	if p := s.plan(t); len(p.Warnings) > 0 || !p.Empty() {
		t.Errorf("a second up: %s %q", p, p.Warnings)
	}
	// No room any more: it would move, were it not for the path.
	s.change("db", reserve(3, 0), hash("2"))
	_, err := Up(s.p, s.o, UpOptions{})
	if err == nil || !strings.Contains(err.Error(), "a: 1.5 of 2 CPUs free, 3 wanted") || !strings.Contains(err.Error(), "b: /srv/db of a is what db.1 mounts") {
		t.Errorf("error %v", err)
	}
	// A constraint says where else.
	s.change("db", reserve(0.5, 0), constraint("node.name == b"))
	p = s.plan(t)
	if want := "db.1 moves from host a to b, which has a /srv/db of its own"; strings.Join(p.Warnings, "\n") != want {
		t.Errorf("warnings %q", p.Warnings)
	}
	if s.up(t); !strings.Contains(s.hosts(), "db.1@b") {
		t.Error(s.hosts())
	}
}

func TestAPathIsRememberedWhileItsContainerIsGone(t *testing.T) {
	s := world(host("a"), host("b"), service("db", binds("/srv/db"))).up(t)
	s.o.Containers = nil
	s.o.Hosts[0], s.o.Hosts[1] = s.o.Hosts[1], s.o.Hosts[0] // b would be chosen now
	if s.up(t); s.hosts() != "db.1@a" {
		t.Error(s.hosts())
	}
}

func TestAContainerNameIsUniqueInTheCluster(t *testing.T) {
	s := world(host("a"), host("b"), service("db", containerNamed("postgres")), observed(func(o *placement.Observation) {
		o.Outside = []placement.OutsideContainer{{Host: "b", Name: "postgres", Project: "other"}}
	}))
	_, err := Up(s.p, s.o, UpOptions{})
	if want := "up: service db: container name postgres is already in use by project other on host b; take another container_name, or remove that container"; err == nil || err.Error() != want {
		t.Errorf("error %v", err)
	}
}

func TestATaskThatSharesWithAContainerIsOnItsHost(t *testing.T) {
	shares := func(_ *scene, v *placement.Service) {
		v.Spec = &types.ServiceConfig{ContainerSpec: types.ContainerSpec{NetworkMode: "container:vpn", VolumesFrom: []string{"container:vpn:ro"}}}
	}
	s := world(host("a"), host("b"), service("web", shares))
	_, err := Up(s.p, s.o, UpOptions{})
	if err == nil || strings.Count(err.Error(), `container "vpn", which it shares with, is not here`) != 2 {
		t.Errorf("error %v", err)
	}
	s.o.Outside = []placement.OutsideContainer{{Host: "b", Name: "vpn"}}
	if s.up(t); s.hosts() != "web.1@b" {
		t.Error(s.hosts())
	}
}

func TestATaskIsMadeAfterTheContainerThatItSharesWithByName(t *testing.T) {
	s := world(host("a"), host("b"), service("vpn", containerNamed("vpn"), constraint("node.hostname == b")), service("app", func(_ *scene, v *placement.Service) {
		v.Spec = &types.ServiceConfig{ContainerSpec: types.ContainerSpec{NetworkMode: "container:vpn"}}
		v.SharesWith = []string{"vpn"}
	}))
	p := s.plan(t)
	var vpn, app *Step
	for i := range p.Steps {
		if st := &p.Steps[i]; st.Kind == Create && st.Task.Service == "vpn" {
			vpn = st
		} else if st.Kind == Create {
			app = st
		}
	}
	if vpn == nil || app == nil || app.Host != "b" || !slices.Contains(app.After, vpn.ID) {
		t.Errorf("%+v is to come after %+v, on host b", app, vpn)
	}
}
