package loader

import (
	"strings"
	"testing"

	"berth/placement"
)

const clouds = `-- compose.yaml --
services:
  web: {image: web, environment: {DB_URL: "of the file", KEPT: "1"}, depends_on: [db, cache]}
  side: {image: side}
  db: {provider: {type: cloud}}
  cache: {provider: {type: cloud}}
`

func environment(p *placement.Project, name string) map[string]string {
	all := map[string]string{}
	for k, v := range p.Service(name).Spec.Environment {
		all[k] = *v
	}
	return all
}

func mustProvide(t *testing.T, p *placement.Project, provider string, variables map[string]string) {
	t.Helper()
	if err := Provide(p, provider, variables); err != nil {
		t.Fatal(err)
	}
}

func TestVariablesOfAProviderReachThoseThatDependOnIt(t *testing.T) {
	p := newWorld(t, clouds).mustLoad()
	before, side := p.Service("web"), p.Service("side").ConfigHash
	mustProvide(t, p, "db", map[string]string{"DB_URL": "given"})
	mustProvide(t, p, "cache", map[string]string{"CACHE_URL": "too"})
	env := environment(p, "web")
	if env["DB_URL"] != "given" || env["CACHE_URL"] != "too" || env["KEPT"] != "1" {
		t.Errorf("web has %v", env)
	}
	if *before.Spec.Environment["DB_URL"] != "of the file" {
		t.Error("the service as it was loaded changed")
	}
	if len(p.Service("side").Spec.Environment) > 0 || p.Service("side").ConfigHash != side {
		t.Errorf("side, which depends on nothing, has %v", environment(p, "side"))
	}
	// Called again, it says it anew: what it does not say any more is gone.
	mustProvide(t, p, "db", nil)
	if env := environment(p, "web"); env["DB_URL"] != "of the file" || env["CACHE_URL"] != "too" {
		t.Errorf("called again: web has %v", env)
	}
}

func TestVariablesOfAProviderCountInTheHashAsThoseOfTheFileDo(t *testing.T) {
	p := newWorld(t, clouds).mustLoad()
	bare := p.Service("web").ConfigHash
	mustProvide(t, p, "db", map[string]string{"DB_URL": "given"})
	written := newWorld(t, strings.Replace(clouds, "of the file", "given", 1)).mustLoad()
	if got, want := p.Service("web").ConfigHash, written.Service("web").ConfigHash; got != want || got == bare {
		t.Errorf("hash %s, want %s; without the variable %s", got, want, bare)
	}
	if got := p.Service("web").BareHash; got != bare {
		t.Errorf("bare hash %s, want %s", got, bare)
	}
	if h := p.Service("side").BareHash; h != "" {
		t.Errorf("side depends on no provider and has the bare hash %s", h)
	}
}

func TestVariablesCountBesideContents(t *testing.T) {
	text := strings.Replace(clouds, "depends_on: [db, cache]", "depends_on: [db, cache], volumes: ['./conf:/conf:ro']", 1) + "-- conf/x --\n"
	hashes := map[string]bool{}
	for _, content := range []string{"1", "2"} {
		for _, value := range []string{"a", "b"} {
			w := newWorld(t, text, cluster)
			w.write("conf/x", content)
			p := w.mustLoad()
			mustProvide(t, p, "db", map[string]string{"DB_URL": value})
			hashes[p.Service("web").ConfigHash] = true
		}
	}
	if len(hashes) != 4 {
		t.Errorf("%d hashes of 4 configurations", len(hashes))
	}
}

func TestAServiceThatIsProvidedIsNoneToScaleOrRun(t *testing.T) {
	p := newWorld(t, clouds).mustLoad()
	for _, err := range []error{Scale(p, map[string]int{"db": 2}), func() error { _, err := OneOff{}.Of(p, "db"); return err }()} {
		if err == nil || !strings.Contains(err.Error(), "provider") {
			t.Errorf("error is %v", err)
		}
	}
	if err := Provide(p, "side", nil); err == nil {
		t.Error("side is no provider")
	}
}
