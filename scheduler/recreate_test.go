package scheduler

import (
	"testing"
	"time"

	"berth/placement"
)

// TestWhenUpRecreates lists the causes, and what --no-recreate makes of them.
func TestWhenUpRecreates(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(s *scene)
		opts UpOptions
		want string // cause of web.1's recreate; "" for none
	}{
		"nothing changed":              {edit: func(*scene) {}},
		"configuration":                {edit: func(s *scene) { s.change("web", hash("2")) }, want: "configuration changed"},
		"another tool's equal hash":    {edit: func(s *scene) { s.change("web", hash("2")); s.container("app-web-1").Same = true }},
		"newer image":                  {edit: func(s *scene) { s.o.Images["local"]["img"] = "sha256:new" }, want: "image changed"},
		"image gone":                   {edit: func(s *scene) { delete(s.o.Images["local"], "img") }},
		"network missing":              {edit: func(s *scene) { s.change("web", on("more")); s.engineNetwork("app_more") }, want: "not on network app_more"},
		"network made anew":            {edit: func(s *scene) { s.o.Networks = nil }, want: "network app_back is made anew"},
		"volume missing":               {edit: func(s *scene) { s.container("app-web-1").Mounts = nil }, want: "volume app_data not mounted"},
		"forced":                       {edit: func(*scene) {}, opts: UpOptions{ForceRecreate: true}, want: "forced"},
		"renewed volumes":              {edit: func(*scene) {}, opts: UpOptions{RenewAnonVolumes: true}, want: "anonymous volumes are renewed"},
		"forced dependency":            {edit: func(*scene) {}, opts: UpOptions{Services: []string{"site"}, AlwaysRecreateDeps: true}, want: "forced"},
		"force spares dependencies":    {edit: func(*scene) {}, opts: UpOptions{Services: []string{"site"}, ForceRecreate: true}},
		"all selected, deps flag idle": {edit: func(*scene) {}, opts: UpOptions{AlwaysRecreateDeps: true}},
		"never":                        {edit: func(s *scene) { s.change("web", hash("2")); s.o.Images["local"]["img"] = "sha256:new" }, opts: UpOptions{NoRecreate: true}},
	} {
		t.Run(name, func(t *testing.T) {
			s := world(service("web", on("back"), mounts("data")), service("site", dependsOn("web", placement.Started))).up(t)
			c.edit(s)
			got := ""
			for _, x := range s.plan(t, c.opts).Steps {
				if x.Kind == Create && x.Service.Name == "web" {
					got = x.Why
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// engineNetwork lets the network exist on the first host.
func (s *scene) engineNetwork(name string) {
	s.o.Networks = append(s.o.Networks, placement.EngineNetwork{Host: s.o.Hosts[0].Name, Name: name, Project: "app"})
}

func TestOnAClusterAContainerWithoutItsAddressIsRecreated(t *testing.T) {
	for want, edit := range map[string]func(s *scene){
		"no address on network app_back":      func(s *scene) { s.o.Endpoints = nil },
		"address on network app_back changed": func(s *scene) { s.container("app-web-1").Networks["app_back"] = "172.18.0.2" },
	} {
		s := world(host("a"), host("b"), service("web", on("back"))).up(t)
		edit(s)
		var got string
		for _, x := range s.plan(t).Steps {
			if x.Kind == Create {
				got = x.Why
			}
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestLeftoversOfAKilledCommandAreTakenUp starts from what a killed berth or compose leaves behind.
func TestLeftoversOfAKilledCommandAreTakenUp(t *testing.T) {
	temp := "000000000001_app-web-1"
	successor := func(s *scene, state string) {
		c := *s.container("app-web-1")
		c.ID, c.Name, c.Replaces, c.State, c.Created = "f"+c.ID[1:], temp, "web-1", state, c.Created.Add(time.Second)
		s.o.Containers = append(s.o.Containers, c)
	}
	remove := func(s *scene, name string) {
		for i := range s.o.Containers {
			if s.o.Containers[i].Name == name {
				s.o.Containers = append(s.o.Containers[:i:i], s.o.Containers[i+1:]...)
				return
			}
		}
	}
	for _, c := range []struct {
		name string
		edit func(s *scene)
		want string
	}{
		{"successor beside the old one", func(s *scene) { successor(s, "created") }, `
			0  remove web.1 (left by an interrupted recreate)`},
		{"successor beside the old one, still changed", func(s *scene) { successor(s, "created"); s.change("web", hash("2")) }, `
			0  remove web.1 (left by an interrupted recreate)
			1  create web.1 as 000000000001_app-web-1 (configuration changed) after 0
			2  stop web.1 (configuration changed) after 1
			3  remove web.1 (configuration changed) after 2
			4  rename web.1 to app-web-1 after 3
			5  start web.1 after 4`},
		{"successor alone", func(s *scene) { successor(s, "created"); remove(s, "app-web-1") }, `
			0  rename web.1 to app-web-1 (left by an interrupted recreate)
			1  start web.1 (is created) after 0`},
		{"successor alone, changed again", func(s *scene) { successor(s, "created"); remove(s, "app-web-1"); s.change("web", hash("2")) }, `
			0  create web.1 as f00000000001_app-web-1 (configuration changed)
			1  remove web.1 (configuration changed) after 0
			2  rename web.1 to app-web-1 after 1
			3  start web.1 after 2`},
		{"the replace label alone is no leftover", func(s *scene) { s.container("app-web-1").Replaces = "web-1" }, ``},
		{"created", func(s *scene) { s.container("app-web-1").State = "created" }, `
			0  start web.1 (is created)`},
		{"exited, also with 0", func(s *scene) { s.container("app-web-1").State = "exited" }, `
			0  start web.1 (is exited)`},
		{"paused and restarting run", func(s *scene) { s.container("app-web-1").State = "paused" }, ``},
		{"dead", func(s *scene) { s.container("app-web-1").State = "dead" }, `
			0  remove web.1 (is dead)
			1  create web.1 (new replica) after 0
			2  start web.1 after 1`},
		{"duplicate", func(s *scene) { successor(s, "exited"); s.container(temp).Name = "app_web_1" }, `
			0  remove web.1 (duplicate of web.1)`},
		{"no number", func(s *scene) { successor(s, "exited"); s.container(temp).Task.Number = 0 }, `
			warning: container 000000000001_app-web-1 of service web has no container number and is left alone; remove it with docker rm`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := world(service("web")).up(t)
			c.edit(s)
			golden(t, s.plan(t), c.want)
			golden(t, s.up(t).plan(t), map[bool]string{true: c.want}[c.name == "no number"])
		})
	}
}

func TestOfDuplicatesOnTwoHostsTheRecordedOneStays(t *testing.T) {
	s := world(host("a"), host("b"), service("web", on("back"))).up(t)
	c := *s.container("app-web-1")
	c.ID, c.Host, c.State, c.Created = "f"+c.ID[1:], "b", "running", c.Created.Add(time.Hour)
	s.o.Containers = append(s.o.Containers, c)
	golden(t, s.plan(t), `
		0  stop web.1 on b (duplicate of web.1)
		1  remove web.1 on b (duplicate of web.1) after 0`)
	s.container("app-web-1").State = "created" // the move was cut short before the old one was stopped
	golden(t, s.plan(t), `
		0  stop web.1 on b (duplicate of web.1)
		1  remove web.1 on b (duplicate of web.1) after 0
		2  start web.1 on a (is created) after 1`)
	golden(t, s.up(t).plan(t), "")
}

func TestNumbersOfReplicas(t *testing.T) {
	s := world(service("web", replicas(3))).up(t)
	s.change("web", replicas(5)).up(t)
	if got, want := s.hosts(), "web.1@local web.2@local web.3@local web.4@local web.5@local"; got != want {
		t.Errorf("scaled up: got %s, want %s", got, want)
	}
	s.container("app-web-1").ConfigHash = "old"
	golden(t, s.change("web", replicas(3)).plan(t), `
		0  stop web.1 (scaled down)
		1  remove web.1 (scaled down) after 0
		2  stop web.5 (scaled down)
		3  remove web.5 (scaled down) after 2`)
	s.up(t).change("web", replicas(4)).up(t)
	if got, want := s.hosts(), "web.2@local web.3@local web.4@local web.5@local"; got != want {
		t.Errorf("scaled up again: got %s, want %s", got, want)
	}
	golden(t, s.change("web", replicas(0)).up(t).plan(t), "")
	if got := s.hosts(); got != "" {
		t.Errorf("scaled to nothing: got %s", got)
	}
}

func TestContainerNamesFollowTheFile(t *testing.T) {
	s := world(service("web"), service("db", containerNamed("postgres")))
	s.p.Separator = "_"
	s.up(t)
	s.container("app_web_1")
	s.container("postgres")
}

func TestWhatUpDoesWithServicesNamed(t *testing.T) {
	s := world(service("db"), service("web", dependsOn("db", placement.Started)), service("other"))
	golden(t, s.plan(t, UpOptions{Services: []string{"web"}}), `
		0  create db.1 (new replica)
		1  create web.1 (new replica)
		2  start db.1 after 0
		3  start web.1 after 1,2`)
	golden(t, s.plan(t, UpOptions{Services: []string{"web"}, NoDeps: true}), `
		0  create web.1 (new replica)
		1  start web.1 after 0`)
	golden(t, s.plan(t, UpOptions{Services: []string{"web"}, NoStart: true}), `
		0  create db.1 (new replica)
		1  create web.1 (new replica)`)
}

func TestDependenciesThatNeedNoWaitGetNone(t *testing.T) {
	s := world(service("db", healthcheck()), service("init"), service("web",
		dependsOn("db", placement.Healthy), dependsOn("init", placement.Completed, "optional"))).up(t)
	golden(t, s.change("web", hash("2")).plan(t), `
		0  create web.1 as 000000000003_app-web-1 (configuration changed)
		1  stop web.1 (configuration changed) after 0
		2  remove web.1 (configuration changed) after 1
		3  rename web.1 to app-web-1 after 2
		4  start init.1 (is exited)
		5  wait init.1 until completed (optional) after 4
		6  start web.1 after 3,5`)
	s.container("app-db-1").Health = "starting"
	if got := s.plan(t).Steps[5]; got.Kind != Wait || got.Task.Service != "db" || got.ContainerID == "" {
		t.Errorf("a dependency that is not healthy yet is not waited for: %s", &got)
	}
}

func TestPullPolicies(t *testing.T) {
	build := func(_ *scene, v *placement.Service) { v.Image = "" }
	for name, c := range map[string]struct {
		service []serviceOption
		host    []hostOption
		want    string
		err     string
	}{
		"present":       {want: "0 create web.1 (new replica)|1 start web.1 after 0"},
		"missing":       {host: []hostOption{noImages()}, want: "0 pull img (missing)|1 create web.1 (new replica) after 0|2 start web.1 after 1"},
		"always":        {service: []serviceOption{pullPolicy("always")}, want: "0 pull img (pull_policy is always)|1 create web.1 (new replica) after 0|2 start web.1 after 1"},
		"never":         {service: []serviceOption{pullPolicy("never")}, host: []hostOption{noImages()}, err: "up: service web: image img is not here and its pull_policy is never; load or build it there"},
		"never, there":  {service: []serviceOption{pullPolicy("never")}, want: "0 create web.1 (new replica)|1 start web.1 after 0"},
		"built":         {service: []serviceOption{build}, err: "up: service web: image app-web is not here and cannot be pulled; build it with docker build -t app-web"},
		"built, policy": {service: []serviceOption{pullPolicy("build")}, host: []hostOption{noImages()}, err: "up: service web: image img is not here and its pull_policy is build, but it has no build: section"},
	} {
		t.Run(name, func(t *testing.T) {
			s := world(host("local", c.host...), service("web", c.service...))
			p, err := Up(s.p, s.o, UpOptions{})
			if err != nil {
				if err.Error() != c.err {
					t.Errorf("got %q, want %q", err, c.err)
				}
				return
			}
			golden(t, p, oneLine(c.want))
		})
	}
}

func TestWhatTheFileGetsWrongIsASentence(t *testing.T) {
	for want, s := range map[string]*scene{
		"up: no such service: nope": world(service("web")),
		"up: service db: the services depend on each other in a circle; take one depends_on away": world(service("db", dependsOn("web", placement.Started)), service("web", dependsOn("db", placement.Started))),
		"up: service web depends on service db, which the file does not have":                     world(service("web", dependsOn("db", placement.Started))),
		"up: network shared declared as external, but could not be found; create it with docker network create": world(
			network(placement.NetworkSpec{Key: "x", Name: "shared", External: true}), service("web", on("x"))),
		`up: external volume "data" not found; create it with docker volume create`: world(
			volume(placement.VolumeSpec{Key: "x", Name: "data", External: true}), service("web", mounts("x"))),
		"up: service web cannot share volume with service db: container missing; start that too": world(
			service("db"), service("web", sharesWith("db"))),
	} {
		opts := UpOptions{}
		switch want {
		case "up: no such service: nope":
			opts.Services = []string{"nope"}
		case "up: service web cannot share volume with service db: container missing; start that too":
			opts = UpOptions{Services: []string{"web"}, NoDeps: true}
		}
		p, err := Up(s.p, s.o, opts)
		if err == nil || err.Error() != want || p != nil {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	s := world(service("web", dependsOn("db", placement.Started)))
	s.p.Disabled = []string{"db"}
	if _, err := Up(s.p, s.o, UpOptions{}); err == nil || err.Error() != "up: service db is required by web but is disabled; enable its profile" {
		t.Errorf("got %v", err)
	}
}
