package loader

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const rendered = `
-- compose.yaml --
services:
  web: {image: "app:${TAG-1}", command: "echo $$HOME ${TAG-1}", profiles: [a], volumes: ["data:/data"]}
  db: {build: ., networks: [back]}
  off: {image: off, profiles: [b]}
volumes: {data: {}}
networks: {back: {}}
`

func TestRenderLoadsAgainToTheSame(t *testing.T) {
	p := newWorld(t, rendered, profiles("a")).mustLoad()
	for _, format := range []string{"", "yaml", "json"} {
		out, err := Render(p, format)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, "", files("-"), stdin(string(out)), profiles("a"))
		again := w.mustLoad()
		for _, s := range p.Services {
			if diff := cmp.Diff(s.ConfigHash, again.Service(s.Name).ConfigHash); diff != "" {
				t.Errorf("%s: hash of %s %s\n%s", format, s.Name, diff, out)
			}
		}
		if again.Name != "shop" {
			t.Errorf("name is %s", again.Name)
		}
	}
	if _, err := Render(p, "toml"); err == nil || err.Error() != `render project shop: unsupported format "toml"; want yaml or json` {
		t.Error(err)
	}
}

func TestListsAreSorted(t *testing.T) {
	p := newWorld(t, rendered, profiles("a"), env("B=2", "A=1")).mustLoad()
	for _, c := range []struct {
		name      string
		got, want []string
	}{
		{"services", ServiceNames(p), []string{"db", "web"}},
		{"images", Images(p), []string{"shop-db", "app:1"}},
		{"volumes", VolumeNames(p), []string{"data"}},
		{"networks", NetworkNames(p), []string{"back", "default"}},
		{"profiles", Profiles(p), []string{"a", "b"}},
		{"environment", Environment(p), []string{"A=1", "B=2", "COMPOSE_PROJECT_NAME=shop", "PWD=" + p.Dir}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Error(c.name, diff)
		}
	}
	p.Separator = "_"
	if got := Images(p)[0]; got != "shop_db" {
		t.Errorf("image with compatibility is %s", got)
	}
}

func TestHashesAreThoseOfTheServices(t *testing.T) {
	p := newWorld(t, rendered, profiles("a")).mustLoad()
	got, err := Hashes(p, nil)
	want := []string{"db " + p.Service("db").ConfigHash, "web " + p.Service("web").ConfigHash}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if got, err := Hashes(p, []string{"web"}); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
	if _, err := Hashes(p, []string{"wbe"}); err == nil || err.Error() != "hash: no such service: wbe; did you mean web?" {
		t.Error(err)
	}
}

func TestTheModelKeepsVariables(t *testing.T) {
	w := newWorld(t, rendered)
	w.opts.NoInterpolate = true
	if _, err := w.load(); err == nil {
		t.Error("Load took NoInterpolate")
	}
	model, err := LoadModel(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	out, err := RenderModel(model, "yaml")
	if err != nil || !strings.Contains(string(out), "image: app:${TAG-1}") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = RenderModel(model, "json")
	var tree map[string]any
	if err != nil || json.Unmarshal(out, &tree) != nil || tree["services"] == nil {
		t.Errorf("%v\n%s", err, out)
	}
	if diff := cmp.Diff(map[string]Variable{"TAG": {Name: "TAG", DefaultValue: "1"}}, Variables(model)); diff != "" {
		t.Error(diff)
	}
}
