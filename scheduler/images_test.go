package scheduler

import (
	"strings"
	"testing"
	"time"

	"berth/placement"
)

// built makes a service that is built, under its default name unless image says another.
func built(image string, uses ...string) serviceOption {
	return func(_ *scene, v *placement.Service) { v.Image, v.Build = image, &placement.Build{Uses: uses} }
}

func image(ref string) serviceOption { return func(_ *scene, v *placement.Service) { v.Image = ref } }

func buildOn(c string) serviceOption {
	return func(_ *scene, v *placement.Service) {
		on, err := placement.ParseConstraints(c)
		if err != nil {
			panic(err)
		}
		v.Build.On = on
	}
}

func arch(a string) hostOption { return func(_ *scene, h *placement.Host) { h.Arch = a } }

// has puts an image on a host, named there so many hours ago.
func has(ref, id string, hoursAgo int, digests ...string) hostOption {
	return func(s *scene, h *placement.Host) {
		s.o.Images[h.Name][ref] = id
		if s.o.ImageFacts == nil {
			s.o.ImageFacts = map[string]map[string]placement.Image{}
		}
		if s.o.ImageFacts[h.Name] == nil {
			s.o.ImageFacts[h.Name] = map[string]placement.Image{}
		}
		s.o.ImageFacts[h.Name][ref] = placement.Image{ID: id, Tagged: noon.Add(-time.Duration(hoursAgo) * time.Hour), Digests: digests}
	}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func registry(r string) option {
	return func(s *scene) { s.o.Registry = r }
}

// imageLines are the lines of a plan that are about images, without their numbers.
func imageLines(p *Plan) string {
	var lines []string
	for i := range p.Steps {
		switch p.Steps[i].Kind {
		case Pull, Build, Push, Send:
			s := p.Steps[i]
			lines = append(lines, s.text(p.Cluster))
		}
	}
	return strings.Join(lines, "\n")
}

func TestWhereImagesComeFrom(t *testing.T) {
	three := func(options ...option) []option {
		return append([]option{host("a", noImages()), host("b", noImages()), host("c", noImages())}, options...)
	}
	for name, c := range map[string]struct {
		scene []option
		want  string
	}{
		"built once on the first task's host and sent from there": {
			three(service("web", built(""), replicas(3))),
			`build app-web on a (missing)
			 send app-web from a to b (missing) after 1
			 send app-web from a to c (missing) after 1`},
		"pulled or built": {
			three(service("web", built("team/web:1"))),
			`build team/web:1 on a (missing, if the registry does not have it)`},
		"built where its constraint says": {
			three(service("web", built(""), buildOn("node.name == c"))),
			`build app-web on c (missing)
			 send app-web from c to a (missing) after 1`},
		"built after what it is made from, on one host": {
			three(service("base", built(""), replicas(0)), service("web", built("", "base"), replicas(2))),
			`build app-base on a (missing)
			 build app-web on a (missing) after 1
			 send app-web from a to b (missing) after 2`},
		"through the registry": {
			three(registry("reg:5000"), service("web", built(""), replicas(3))),
			`build app-web on a (missing)
			 push app-web as reg:5000/app-web:latest on a after 1
			 pull app-web from reg:5000/app-web:latest on b (missing) after 2
			 pull app-web from reg:5000/app-web:latest on c (missing) after 2`},
		"not pushed again": {
			[]option{registry("reg:5000"), host("a", has("app-web", "1", 1, "reg:5000/app-web@sha256:d")), host("b"), service("web", built(""), replicas(2))},
			`pull app-web from reg:5000/app-web:latest on b (missing)`},
		"a host that has it gets nothing": {
			[]option{host("a", has("app-web", "1", 2)), host("b", has("app-web", "1", 1)), host("c"), service("web", built(""), replicas(3))},
			`send app-web from b to c (missing)`},
		"all replicas run the newest": {
			[]option{host("a", has("app-web", "1", 2)), host("b", has("app-web", "2", 1)), service("web", built(""), replicas(2))},
			`send app-web from b to a (another than on b)`},
		"an image that only one host has": {
			[]option{host("a"), host("b", noImages()), service("web", replicas(2), pullPolicy("never"))},
			`send img from a to b (missing)`},
		"a registry's image by its digest": {
			[]option{host("a", has("img", "1", 1, "img@sha256:d")), host("b", noImages()), service("web", replicas(2))},
			`pull img on b or send it from a (missing)`},
		"a name with a digest": {
			[]option{host("a", has("img@sha256:d", "1", 1)), host("b"), service("web", replicas(2), image("img@sha256:d"))},
			`pull img@sha256:d on b (missing)`},
		"missing everywhere": {
			three(service("web", replicas(2))),
			`pull img on a (missing)
			 pull img on b (missing)`},
		"pulled daily": {
			[]option{host("a", has("img", "1", 25)), host("b", has("img", "1", 1)), service("web", replicas(2), pullPolicy("daily"), every(24))},
			`pull img on a (pull_policy is daily)
			 pull img on b (pull_policy is daily)`},
		"pulled today": {
			[]option{host("a", has("img", "1", 23)), host("b", has("img", "1", 1)), service("web", replicas(2), pullPolicy("daily"), every(24))},
			``},
		"one build for each platform": {
			[]option{host("a", noImages()), host("b", noImages(), arch("arm64")), service("web", built(""), replicas(2))},
			`build app-web on a (missing)
			 build app-web on b (missing)`},
	} {
		t.Run(name, func(t *testing.T) {
			s := world(c.scene...)
			s.o.Time = noon
			p := s.plan(t)
			// Numbers count image steps only, so that the table shows no others.
			number, next := map[int]int{}, 0
			for i := range p.Steps {
				if k := p.Steps[i].Kind; k == Pull || k == Build || k == Push || k == Send {
					next++
					number[i] = next
				}
			}
			for i := range p.Steps {
				for j, a := range p.Steps[i].After {
					p.Steps[i].After[j] = number[a]
				}
			}
			var want []string
			for line := range strings.Lines(c.want) {
				want = append(want, strings.TrimSpace(line))
			}
			if got := imageLines(p); got != strings.Join(want, "\n") {
				t.Errorf("got\n%s", got)
			}
		})
	}
}

func every(hours int) serviceOption {
	return func(_ *scene, v *placement.Service) { v.PullEvery = time.Duration(hours) * time.Hour }
}

func TestARebuildComesBeforeTheRestIsDecided(t *testing.T) {
	s := world(host("a", noImages()), host("b", noImages()), service("web", built(""), replicas(2))).up(t)
	s.change("web", pullPolicy("build"))
	p := s.plan(t)
	first := p.Anew()
	golden(t, first, `0 build app-web on a (to be built)`)
	s.o.Images["a"]["app-web"] = "sha256:second"
	s.o.Made = map[string][]string{"app-web": {"sha256:second"}}
	golden(t, s.plan(t), `
		0  send app-web from a to b (another than on a)
		1  create web.1 as 000000000001_app-web-1 on a (image changed)
		2  stop web.1 on a (image changed) after 1
		3  remove web.1 on a (image changed) after 2
		4  rename web.1 to app-web-1 on a after 3
		5  create web.2 as 000000000002_app-web-2 on b (image changed) after 0
		6  stop web.2 on b (image changed) after 5
		7  remove web.2 on b (image changed) after 6
		8  rename web.2 to app-web-2 on b after 7
		9  start web.1 on a after 4
		10 start web.2 on b after 8`)
}

func TestBuildsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		scene *scene
		want  string
	}{
		"no host": {world(host("a", noImages()), host("b", noImages()), service("web", built(""), buildOn("node.name == z"))),
			"up: service web: no host can build its image:\n  a: name is \"a\", constraint wants z\n  b: name is \"b\", constraint wants z"},
		"a circle": {world(host("a", noImages()), service("web", built("", "api")), service("api", built("", "web"))),
			"up: service api: its image is built from itself; take one of its additional_contexts away"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Up(c.scene.p, c.scene.o, UpOptions{}); err == nil || err.Error() != c.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestImageCommands(t *testing.T) {
	s := world(host("a", noImages()), host("b", noImages()), service("web", built("team/web"), replicas(2), dependsOn("db", placement.Started)),
		service("db"), service("base", built("")))
	p, err := BuildImages(s.p, s.o, BuildOptions{Services: []string{"web"}, Push: true})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, p, `
		0 build team/web on a
		1 push team/web on a after 0`)
	if p, err = BuildImages(s.p, s.o, BuildOptions{Host: "b"}); err != nil {
		t.Fatal(err)
	}
	golden(t, p, `
		0 build app-base on b
		1 build team/web on b`)
	s = world(host("a", noImages()), host("b", has("team/web", "1", 1)), service("web", built("team/web")), service("db", replicas(2)))
	if p, err = PushImages(s.p, s.o, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	golden(t, p, `0 push team/web on b`)
	if p, err = PullImages(s.p, s.o, PullOptions{IgnoreBuildable: true}); err != nil {
		t.Fatal(err)
	}
	golden(t, p, `
		0 pull img on a
		1 pull img on b`)
	if p, err = PullImages(s.p, s.o, PullOptions{Policy: "missing", Services: []string{"db"}}); err != nil {
		t.Fatal(err)
	}
	golden(t, p, `0 pull img on a`)
}
