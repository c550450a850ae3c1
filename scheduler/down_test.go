package scheduler

import (
	"strings"
	"testing"

	"berth/placement"
)

// shop is a running project of three services in a chain, an orphan, and one-offs.
func shop(t *testing.T) *scene {
	s := world(service("db", on("default"), mounts("data")), service("web", on("default"), dependsOn("db", placement.Started)),
		service("site", dependsOn("web", placement.Started)), service("old", on("default"))).up(t)
	for i, v := range s.p.Services {
		if v.Name == "old" {
			s.p.Services = append(s.p.Services[:i:i], s.p.Services[i+1:]...)
			break
		}
	}
	for name, state := range map[string]string{"app-web-run-1": "running", "app-web-run-2": "exited"} {
		c := *s.container("app-web-1")
		c.ID, c.Name, c.State, c.OneOff, c.Task.Number = "e"+name, name, state, true, 0
		s.o.Containers = append(s.o.Containers, c)
	}
	return s
}

func TestWhatDownTakesAway(t *testing.T) {
	for name, c := range map[string]struct {
		opts DownOptions
		file bool
		want string
	}{
		"the file's services": {file: true, want: `
			0 stop site.1
			1 remove site.1 after 0
			2 stop web.1 after 1
			3 remove web.1 after 2
			4 stop db.1 after 3
			5 remove db.1 after 4
			warning: network app_default is still in use by app-old-1, app-web-run-1 and stays`},
		"orphans and one-offs too": {file: true, opts: DownOptions{RemoveOrphans: true, Volumes: true}, want: `
			0 stop site.1
			1 remove site.1 after 0
			2 stop app-web-run-1 after 1
			3 remove app-web-run-1 after 2
			4 remove app-web-run-2 after 1
			5 stop web.1 after 1
			6 remove web.1 after 5
			7 stop db.1 after 3,4,6
			8 remove db.1 after 7
			9 stop old.1
			10 remove old.1 after 9
			11 remove network app_default after 8,10
			12 remove volume app_data after 8,10`},
		"one service": {file: true, opts: DownOptions{Services: []string{"web"}, Volumes: true}, want: `
			0 stop web.1
			1 remove web.1 after 0
			warning: network app_default is still in use by app-db-1, app-old-1, app-web-run-1 and stays
			warning: volume app_data is still in use by app-db-1 and stays`},
		"all with the label without a file": {want: `
			0 stop db.1
			1 remove db.1 after 0
			2 stop old.1
			3 remove old.1 after 2
			4 stop site.1
			5 remove site.1 after 4
			6 stop web.1
			7 remove web.1 after 6
			warning: network app_default is still in use by app-web-run-1 and stays`},
	} {
		t.Run(name, func(t *testing.T) {
			s := shop(t)
			p := s.p
			if !c.file {
				p = nil
			}
			golden(t, Down("app", p, s.o, c.opts), c.want)
		})
	}
}

func TestDownSparesWhatIsExternal(t *testing.T) {
	s := world(network(placement.NetworkSpec{Key: "x", Name: "shared", External: true}),
		volume(placement.VolumeSpec{Key: "d", Name: "data", External: true}), service("web", on("x"), mounts("d")))
	s.o.Networks = []placement.EngineNetwork{{Host: "local", Name: "shared", Project: "app"}}
	s.o.Volumes = []placement.EngineVolume{{Host: "local", Name: "data", Project: "app"}}
	golden(t, Down("app", s.up(t).p, s.o, DownOptions{Volumes: true}), `
		0 stop web.1
		1 remove web.1 after 0`)
}

func TestDownTakesAnonymousVolumesOnlyWhenAsked(t *testing.T) {
	s := world(service("web", mounts(""))).up(t)
	for _, volumes := range []bool{false, true} {
		if x := Down("app", s.p, s.o, DownOptions{Volumes: volumes}).Steps[1]; x.Kind != Remove || x.Anonymous != volumes {
			t.Errorf("volumes %v: %+v", volumes, x)
		}
	}
	s.change("web", replicas(0))
	if x := s.plan(t).Steps[1]; x.Kind != Remove || x.Anonymous {
		t.Errorf("scaling down takes anonymous volumes: %+v", x)
	}
}

func TestDownKeepsTheRecordsOfAHostThatDoesNotAnswer(t *testing.T) {
	s := world(host("a"), host("b"), service("web", replicas(2), on("back"), mounts("data")), service("db", replicas(2), on("back"))).up(t).lost("b")
	s.o.Containers = dropHost(s.o.Containers, "b")
	p := Down("app", s.p, s.o, DownOptions{Volumes: true})
	if n := p.Change.Networks; len(p.Change.DropNetworks) != 0 || len(n) != 1 || len(n[0].Blocks) != 1 || !n[0].Blocks["b"].Range.IsValid() {
		t.Errorf("got %+v", p.Change)
	}
	for _, e := range p.Forget.DropEndpoint {
		if e.Host == "b" {
			t.Errorf("forgets %+v", e)
		}
	}
	for _, task := range p.Forget.DropTasks {
		if s.o.Recorded[task].Host == "b" {
			t.Errorf("forgets %s", task)
		}
	}
	if len(p.Failures) != 1 {
		t.Errorf("got %v", p.Failures)
	}
}

func TestDownTakesImagesWhenAsked(t *testing.T) {
	s := world(host("a"), host("b"), service("db"), service("web", dependsOn("db", placement.Started)))
	s.p.Service("web").Image = ""
	s.o.Images["a"]["app-web"], s.o.Images["b"]["app-web"] = "sha256:web", "sha256:web"
	s.up(t)
	for _, c := range []struct {
		opts DownOptions
		file bool
		want string
	}{
		{DownOptions{Images: LocalImages}, true, "a app-web, b app-web"},
		{DownOptions{Images: AllImages}, true, "a app-web, a img, b app-web, b img"},
		{DownOptions{Images: AllImages, Services: []string{"web"}}, true, "a app-web, b app-web"},
		{DownOptions{Images: AllImages}, false, "a img, b app-web"},
		{DownOptions{Images: LocalImages}, false, "b app-web"},
		{DownOptions{}, true, ""},
	} {
		p := s.p
		if !c.file {
			p = nil
			s.container("app-web-1").Image, s.container("app-db-1").Image = "app-web", "img"
		}
		var got []string
		for _, x := range Down("app", p, s.o, c.opts).Steps {
			if x.Kind == RemoveImage {
				got = append(got, x.Host+" "+x.Name)
			}
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%+v: got %v, want %s", c.opts, got, c.want)
		}
	}
}

func TestDownOfNothingIsEmpty(t *testing.T) {
	s := world(host("a"), host("b"), service("web"))
	if p := Down("app", s.p, s.o, DownOptions{Volumes: true, RemoveOrphans: true}); !p.Empty() || p.Change != nil || p.Forget != nil {
		t.Errorf("got %s", p)
	}
}
