package loader

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

const chain = `
-- compose.yaml --
services:
  web: {image: app, depends_on: [api], networks: [front]}
  api: {image: api, depends_on: [db], networks: [front, back]}
  db: {image: db, networks: [back], volumes: ["data:/data"]}
  debug: {image: debug, profiles: [debug]}
networks: {front: {}, back: {}}
volumes: {data: {}}
`

func TestSelectKeepsTheNamedServicesAndTheirDependencies(t *testing.T) {
	p := newWorld(t, chain).mustLoad()
	for _, c := range []struct {
		name                        string
		names                       []string
		o                           SelectOptions
		runs, disabled, nets, after []string
	}{
		{"dependencies", []string{"api"}, SelectOptions{}, []string{"api", "db"}, []string{"debug", "web"}, []string{"back", "front"}, []string{"db"}},
		{"no dependencies", []string{"api"}, SelectOptions{NoDeps: true}, []string{"api"}, []string{"db", "debug", "web"}, []string{"back", "front"}, nil},
		{"unused resources go", []string{"db"}, SelectOptions{}, []string{"db"}, []string{"api", "debug", "web"}, []string{"back"}, nil},
		{"unused resources stay", []string{"db"}, SelectOptions{AllResources: true}, []string{"db"}, []string{"api", "debug", "web"}, []string{"back", "front"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Select(p, c.names, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.runs, serviceNames(got)); diff != "" {
				t.Error("services", diff)
			}
			if diff := cmp.Diff(c.disabled, got.Disabled); diff != "" {
				t.Error("disabled", diff)
			}
			if diff := cmp.Diff(c.nets, NetworkNames(got)); diff != "" {
				t.Error("networks", diff)
			}
			if s := got.Service("api"); s != nil {
				var after []string
				for _, d := range s.DependsOn {
					after = append(after, d.Service)
				}
				if diff := cmp.Diff(c.after, after); diff != "" {
					t.Error("dependencies of api", diff)
				}
			}
			for _, s := range got.Services {
				if s.ConfigHash != p.Service(s.Name).ConfigHash {
					t.Errorf("the selection changed the hash of %s", s.Name)
				}
			}
		})
	}
	if len(p.Services) != 3 || len(p.Service("api").DependsOn) != 1 {
		t.Error("Select changed the project it was given")
	}
}

func TestSelectRefusesWhatDoesNotRun(t *testing.T) {
	p := newWorld(t, chain).mustLoad()
	for name, want := range map[string]string{
		"aip":   "select: no such service: aip; did you mean api?",
		"other": "select: no such service: other; the project has api, db, web",
		"debug": "select: service debug is switched off by its profiles; turn one of them on with --profile",
	} {
		if _, err := Select(p, []string{name}, SelectOptions{}); err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}

const scalable = `
-- compose.yaml --
services:
  web: {image: app, deploy: {replicas: 2}}
  one: {image: app, container_name: one}
  all: {image: app, deploy: {mode: global}}
`

func TestScaleSetsReplicasAndKeepsTheHash(t *testing.T) {
	p := newWorld(t, scalable).mustLoad()
	hash := p.Service("web").ConfigHash
	if err := Scale(p, map[string]int{"web": 5, "one": 0}); err != nil {
		t.Fatal(err)
	}
	web := p.Service("web")
	in := p.Compose.Services["web"]
	if web.Replicas != 5 || web.Spec.GetScale() != 5 || in.GetScale() != 5 || p.Service("one").Replicas != 0 {
		t.Errorf("replicas %d, spec %d, model %d, one %d", web.Replicas, web.Spec.GetScale(), in.GetScale(), p.Service("one").Replicas)
	}
	if again, err := ServiceHash(*web.Spec); err != nil || again != hash {
		t.Errorf("hash after scaling %s (%v), before %s", again, err, hash)
	}
	selected, err := Select(p, []string{"web"}, SelectOptions{})
	if err != nil || selected.Service("web").Replicas != 5 {
		t.Errorf("selecting forgot the scale: %v", err)
	}
}

func TestScaleRefusesAndThenChangesNothing(t *testing.T) {
	p := newWorld(t, scalable).mustLoad()
	for _, c := range []struct {
		replicas map[string]int
		want     string
	}{
		{map[string]int{"web": 3, "wbe": 2}, "scale wbe=2: no such service: wbe; did you mean web?"},
		{map[string]int{"web": 3, "xxx": 2}, "scale xxx=2: no such service: xxx; the project has all, one, web"},
		{map[string]int{"web": -1}, "scale web=-1: the number of tasks is 0 or more"},
		{map[string]int{"one": 2}, "scale one=2: container_name one must be unique, so there is one task at most; drop container_name"},
		{map[string]int{"all": 2}, "scale all=2: a global service has one task on each host; set deploy.mode: replicated to scale it"},
	} {
		if err := Scale(p, c.replicas); err == nil || err.Error() != c.want {
			t.Errorf("error is %v, want %s", err, c.want)
		}
	}
	if got := p.Service("web"); got.Replicas != 2 || got.Mode != placement.Replicated {
		t.Errorf("replicas are %d", got.Replicas)
	}
}
