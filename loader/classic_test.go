package loader

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

// withNeighbours is service web with these lines, beside others for it to be placed with.
func withNeighbours(lines string) string {
	return web(lines) + `  db:
    image: postgres
    labels: {com.example.type: backend}
  cache:
    image: redis
    container_name: the-cache
    labels: {com.example.type: frontend}
  off:
    image: off
    profiles: [off]
`
}

func rulesOf(s *placement.Service) string {
	var all []string
	for _, c := range s.Constraints {
		all = append(all, c.String())
	}
	return strings.Join(all, "; ")
}

func TestClassicSwarmsRulesPlaceTasks(t *testing.T) {
	for _, c := range []struct{ name, lines, want string }{
		{"constraint on a label", `environment: ["constraint:storage==ssd"]`, "labels.storage == ssd"},
		{"constraints in a mapping", `environment: {"constraint:storage": =ssd, "constraint:region!": us-*, "constraint:a=": b}`,
			"labels.a == b; labels.region != us-*; labels.storage == ssd"},
		{"soft", `environment: ["constraint:storage==~ssd"]`, "labels.storage == ssd ~"},
		{"expression", `environment: ["constraint:node!=/web-[0-9]+$$/"]`, "node !~ /web-[0-9]+$/"},
		{"what the engine says", `environment: ["constraint:kernelversion==5.*", "constraint:storagedriver==overlay2", "constraint:operatingsystem==*Debian*", "constraint:ostype==linux"]`,
			"engine.kernelversion == 5.*; engine.operatingsystem == *Debian*; node.platform.os == linux; engine.storagedriver == overlay2"},
		{"affinity to an image", `environment: ["affinity:image==~redis"]`, "image == redis ~"},
		{"affinity to a service's name", `environment: ["affinity:container==db"]`, "service in (db)"},
		{"to a container's name", `environment: ["affinity:container!=shop_db_1"]`, "service not in (db)"},
		{"to a container's name with wildcards, its own too", `environment: ["affinity:container!=~*b-1"]`, "service not in (db, web) ~"},
		{"to a container_name", `environment: ["affinity:container==the-cache"]`, "service in (cache)"},
		{"to a service that is switched off", `environment: ["affinity:container==off"]`, "service in (off)"},
		{"to a label", `environment: ["affinity:com.example.type!=frontend"]`, "service not in (cache)"},
		{"to a label by expression", `environment: ["affinity:com.example.type==/end$$/"]`, "service in (cache, db)"},
		{"whitelist", `environment: ["whitelist:node==web1|web2"]`, "node in (web1, web2)"},
		{"labels", `labels: {com.docker.swarm.constraints: '["storage==ssd", "region!=us-*"]', com.docker.swarm.affinities: '["container==~db"]', com.docker.swarm.whitelists: '["node==~web1"]'}`,
			"labels.storage == ssd; labels.region != us-*; service in (db) ~; node in (web1) ~"},
		{"beside rules of this language", "labels: {berth.placement.constraint: node.name == a}\nenvironment: [\"constraint:storage==ssd\"]", "node.name == a; labels.storage == ssd"},
		{"policies", "environment: [\"reschedule:on-node-failure\"]\nlabels: {com.docker.swarm.reschedule-policies: '[\"on-node-failure\"]'}", ""},
		{"other variables", `environment: ["A:B=c", "constraint=x", "constraint:=x", "xconstraint:a==b"]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newWorld(t, withNeighbours(c.lines), cluster).mustLoad()
			s := p.Service("web")
			if got := rulesOf(s); got != c.want || len(p.Warnings) > 0 {
				t.Errorf("got %s, want %s; warnings %q", got, c.want, p.Warnings)
			}
			selected, err := Select(p, []string{"web"}, SelectOptions{})
			if err != nil || rulesOf(selected.Service("web")) != c.want {
				t.Errorf("selected: %v, %s", err, rulesOf(selected.Service("web")))
			}
			one, err := OneOff{Cluster: true}.Of(p, "web")
			if err != nil || rulesOf(one) != c.want {
				t.Errorf("one-off: %v, %s", err, rulesOf(one))
			}
		})
	}
}

func TestClassicSwarmsVariablesDoNotReachTheContainer(t *testing.T) {
	const both = "environment: [\"constraint:storage==ssd\", A=1, \"affinity:image==redis\", \"reschedule:off\"]"
	w := newWorld(t, withNeighbours(both), cluster)
	p := w.mustLoad()
	s := p.Service("web")
	var left []string
	for name := range s.Spec.Environment {
		left = append(left, name)
	}
	if diff := cmp.Diff([]string{"A"}, left); diff != "" {
		t.Error(diff)
	}
	if len(p.Compose.Services["web"].Environment) != 4 {
		t.Errorf("the file's own model lost them: %v", p.Compose.Services["web"].Environment)
	}
	if plain := newWorld(t, withNeighbours("environment: [A=1]"), cluster).mustLoad().Service("web"); s.ConfigHash != plain.ConfigHash {
		t.Error("the config hash has what the container has not")
	}
	w.opts.Cluster = false
	alone := w.mustLoad()
	if s := alone.Service("web"); len(s.Spec.Environment) != 4 || len(s.Constraints) > 0 || len(alone.Warnings) > 0 {
		t.Errorf("one host does not pass them on as docker compose does: %v, %v, %v", s.Spec.Environment, s.Constraints, alone.Warnings)
	}
	one, err := OneOff{Cluster: true, Env: []string{"constraint:node==web1", "B=2"}}.Of(p, "web")
	if err != nil || rulesOf(one) != "node == web1; image == redis; labels.storage == ssd" {
		t.Errorf("one-off: %v, %s", err, rulesOf(one))
	}
	if _, there := one.Spec.Environment["B"]; !there || len(one.Spec.Environment) != 2 {
		t.Errorf("one-off's environment: %v", one.Spec.Environment)
	}
	if _, err := (OneOff{Cluster: true, Env: []string{"affinity:container==none"}}).Of(p, "web"); err == nil || !strings.Contains(err.Error(), "is not honoured") {
		t.Errorf("one-off with a rule that means nothing: %v", err)
	}
}

func TestClassicRulesThatCannotBeHonouredAreNamed(t *testing.T) {
	for lines, want := range map[string]string{
		`environment: ["constraint:executiondriver==native-0.2"]`: "service web: classic Swarm's constraint:executiondriver==native-0.2 is not honoured: no engine says what its executiondriver is",
		`environment: ["affinity:container==proxy"]`:              "service web: classic Swarm's affinity:container==proxy is not honoured: no service of this project has such a container, and what others run is not looked at",
		`labels: {com.docker.swarm.affinities: '["a.b!=c"]'}`:     "service web: classic Swarm's affinity:a.b!=c is not honoured: no service of this project has such a label, and what others run is not looked at",
		`environment: ["reschedule:off"]`:                         "service web: classic Swarm's reschedule:off is not honoured: the tasks of a lost host are moved all the same",
	} {
		p := newWorld(t, withNeighbours(lines), cluster).mustLoad()
		if diff := cmp.Diff([]string{want}, p.Warnings); diff != "" || len(p.Service("web").Constraints) > 0 {
			t.Errorf("%s: %v\n%s", lines, p.Service("web").Constraints, diff)
		}
	}
}

func TestABadClassicRuleNamesItsPlace(t *testing.T) {
	for lines, want := range map[string]string{
		"environment:\n  - A=1\n  - constraint:storage=ssd": `load compose.yaml:6: services.web.environment.constraint:storage: rule of classic Swarm "storage=ssd", character 8: want == or != after storage, not '='`,
		"environment:\n  constraint:storage: ssd":           `load compose.yaml:5: services.web.environment.constraint:storage: rule of classic Swarm "storage=ssd", character 8: want == or != after storage, not '='`,
		"labels:\n  com.docker.swarm.constraints: a==b":     `load compose.yaml:5: services.web.labels.com.docker.swarm.constraints: "a==b" is no list of rules in JSON; want one like ["storage==ssd"]`,
		"labels:\n  com.docker.swarm.affinities: '[\"a\"]'": `load compose.yaml:5: services.web.labels.com.docker.swarm.affinities: rule of classic Swarm "a", character 2: want == or != after a, not the end`,
		"environment:\n  - reschedule:never":                `load compose.yaml:5: services.web.environment.reschedule:never: "never" is no reschedule policy; want on-node-failure or off`,
	} {
		w := newWorld(t, withNeighbours(lines), cluster)
		if _, err := w.load(); err == nil || w.plain(err) != want {
			t.Errorf("%s: got\n%v\nwant\n%s", lines, err, want)
		}
	}
}

func TestWhoKeepsAwayFromAVolumeKeepsAwayFromItsService(t *testing.T) {
	const lines = "labels: {berth.placement.affinity: volume != data && image != redis}"
	archive := withNeighbours(lines) + "  store: {image: store, volumes: ['data:/data', './conf:/conf']}\nvolumes: {data: {}}\n-- conf/x --\n"
	if got := rulesOf(newWorld(t, archive, cluster).mustLoad().Service("web")); got != "volume != data; image != redis; service not in (store); service not in (cache)" {
		t.Errorf("got %s", got)
	}
	if got := rulesOf(newWorld(t, archive).mustLoad().Service("web")); got != "volume != data; image != redis" {
		t.Errorf("one host: got %s", got)
	}
}
