package loader

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

func TestPlacementLabelsMeanWhatDeployPlacementMeans(t *testing.T) {
	type outcome struct {
		Constraints string
		Preferences []placement.Preference
		Strategy    placement.Strategy
	}
	zone := placement.Preference{Spread: "node.labels.zone"}
	rack := placement.Preference{Spread: "node.labels.rack"}
	for _, c := range []struct {
		name, lines string
		want        outcome
	}{
		{"labels", `
labels:
  berth.placement.constraint: "node.labels.type == worker && node.labels.zone != c"
  berth.placement.spread: node.labels.zone, node.labels.rack
  berth.placement.strategy: binpack`,
			outcome{"node.labels.type == worker; node.labels.zone != c", []placement.Preference{zone, rack}, placement.Binpack}},
		{"labels as a list", `
labels: ["berth.placement.constraint=node.labels.a==b"]`,
			outcome{"node.labels.a == b", nil, placement.Spread}},
		{"deploy.labels", `
deploy:
  labels: {berth.placement.constraint: node.hostname == h, berth.placement.strategy: spread}`,
			outcome{"node.hostname == h", nil, placement.Spread}},
		{"all places add up, the same label counts once", `
labels: {berth.placement.constraint: node.labels.b == 2, berth.placement.strategy: binpack}
deploy:
  labels: {berth.placement.constraint: node.labels.b == 2, berth.placement.strategy: binpack, berth.placement.spread: node.labels.rack}
  placement: {constraints: [node.labels.a == 1], preferences: [{spread: node.labels.zone}]}`,
			outcome{"node.labels.a == 1; node.labels.b == 2", []placement.Preference{zone, rack}, placement.Binpack}},
		{"affinity, soft rules and shares", `
labels:
  berth.placement.affinity: "service == web ~5 && image != redis*"
  berth.placement.constraint: "node.labels.disk ==~ ssd"
  berth.placement.spread: "node.labels.zone (a: 2, b: 1), node.labels.rack"
deploy:
  placement: {constraints: [volume == data], preferences: [{spread: "labels.room (x: 3)"}]}`,
			outcome{"volume == data; service == web ~5; image != redis*; node.labels.disk == ssd ~", []placement.Preference{
				{Spread: "labels.room", Shares: []placement.Share{{Value: "x", Weight: 3}}},
				{Spread: "node.labels.zone", Shares: []placement.Share{{Value: "a", Weight: 2}, {Value: "b", Weight: 1}}}, rack}, placement.Spread}},
		{"other labels do not matter", `
labels: {berth.other: x, traefik.enable: "true"}`,
			outcome{"", nil, placement.Spread}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := webService(t, c.lines)
			var constraints []string
			for _, c := range s.Constraints {
				constraints = append(constraints, c.String())
			}
			got := outcome{strings.Join(constraints, "; "), s.Preferences, s.Strategy}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestABadPlacementNamesServiceLabelAndPosition(t *testing.T) {
	for _, c := range []struct{ name, lines, want string }{
		{"constraint label", `labels: {berth.placement.constraint: "node.labels.a == b && node.zone == c"}`,
			`load compose.yaml:4: services.web.labels.berth.placement.constraint: constraint "node.labels.a == b && node.zone == c", character 23: key "node.zone" is unknown`},
		{"constraint label in deploy", "deploy:\n  labels:\n    - x=y\n    - berth.placement.constraint=node.hostname = b",
			`load compose.yaml:7: services.web.deploy.labels.berth.placement.constraint: constraint "node.hostname = b", character 15: want an operator after node.hostname`},
		{"constraint in deploy", "deploy:\n  placement:\n    constraints:\n      - node.hostname == a\n      - node.hostname",
			`load compose.yaml:8: services.web.deploy.placement.constraints.1: constraint "node.hostname", character 14: want an operator after node.hostname`},
		{"preference in deploy", "deploy:\n  placement:\n    preferences:\n      - spread: zone",
			`load compose.yaml:7: services.web.deploy.placement.preferences.0.spread: preference "zone", character 1: key "zone" is unknown`},
		{"spread label", "labels:\n  berth.placement.spread: node.labels.a b",
			`load compose.yaml:5: services.web.labels.berth.placement.spread: preference "node.labels.a b", character 15: `},
		{"strategy label", "labels:\n  berth.placement.strategy: pack",
			`load compose.yaml:5: services.web.labels.berth.placement.strategy: "pack" is no strategy; want spread, binpack, random or random:<seed>`},
		{"strategies that contradict", "labels: {berth.placement.strategy: spread}\ndeploy: {labels: {berth.placement.strategy: binpack}}",
			`load compose.yaml:5: services.web.deploy.labels.berth.placement.strategy: strategy binpack contradicts services.web.labels.berth.placement.strategy; keep one of them`},
		{"random's seed", "labels: {berth.placement.strategy: \"random:x\"}",
			`load compose.yaml:4: services.web.labels.berth.placement.strategy: seed "x" is no whole number from 0 up; want one like random:42`},
		{"shares", "labels:\n  berth.placement.spread: 'labels.zone, labels.rack (a: 2, b)'",
			`load compose.yaml:5: services.web.labels.berth.placement.spread: preference "labels.zone, labels.rack (a: 2, b)", character 34: want a colon and a share after a value`},
		{"affinity with a service that is not there", "labels: {berth.placement.affinity: 'service in (web, wep*) && service != wep'}",
			`load compose.yaml:4: services.web.labels.berth.placement.affinity: constraint service != wep: no such service: "wep"; did you mean web?`},
		{"affinity in deploy with a service that is not there", "deploy: {placement: {constraints: [service == cache]}}",
			`load compose.yaml:4: services.web.deploy.placement.constraints.0: constraint service == cache: no such service: "cache"`},
		{"a builder cannot be wished for", "build: .\nlabels: {berth.build.constraint: node.name == a ~}",
			`load compose.yaml:5: services.web.labels.berth.build.constraint: constraint node.name == a ~: what builds is chosen by hard constraints on hosts only`},
		{"a builder is beside nothing", "build: .\nlabels: {berth.build.constraint: service == web}",
			`load compose.yaml:5: services.web.labels.berth.build.constraint: constraint service == web: what builds is chosen by hard constraints on hosts only`},
		{"unknown label", "labels: {berth.placement.constraints: node.hostname == a}",
			`load compose.yaml:4: services.web.labels.berth.placement.constraints: unknown placement label; did you mean berth.placement.constraint?; the labels are berth.placement.constraint, berth.placement.affinity, berth.placement.spread, berth.placement.strategy`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, web(c.lines))
			_, err := w.load()
			if err == nil || !strings.HasPrefix(w.plain(err), c.want) {
				t.Errorf("error is\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

func TestTheStrategyIsTheServicesElseTheProjects(t *testing.T) {
	for _, c := range []struct{ top, lines, want string }{
		{"", "", "spread 0"},
		{"x-berth: {strategy: binpack}", "", "binpack 0"},
		{"x-berth: {strategy: 'random:7'}", "", "random 7"},
		{"x-berth: {}", "", "spread 0"},
		{"x-other: [1]", "", "spread 0"},
		{"x-berth: {strategy: 'random:7'}", "labels: {berth.placement.strategy: random}", "random 0"},
		{"x-berth: {strategy: binpack}", "labels: {berth.placement.strategy: 'random:1'}\ndeploy: {labels: {berth.placement.strategy: ' random:1'}}", "random 1"},
	} {
		s := newWorld(t, web(c.lines)+c.top+"\n").mustLoad().Service("web")
		if got := fmt.Sprint(s.Strategy, " ", s.Seed); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.top, c.lines, got, c.want)
		}
	}
	for top, want := range map[string]string{
		"x-berth: {strategy: pack}":     `load compose.yaml:5: x-berth.strategy: "pack" is no strategy; want spread, binpack, random or random:<seed>`,
		"x-berth: {strategy: [a]}":      `load compose.yaml:5: x-berth.strategy: want a text here, as in strategy: binpack`,
		"x-berth: {strateggy: binpack}": `load compose.yaml:5: x-berth.strateggy: unknown key; did you mean strategy?; the keys here are strategy and ports`,
		"x-berth: binpack":              `load compose.yaml:5: x-berth: want a mapping here, as in x-berth: {strategy: binpack}`,
	} {
		w := newWorld(t, web("")+top+"\n")
		if _, err := w.load(); err == nil || w.plain(err) != want {
			t.Errorf("%s: got\n%v\nwant\n%s", top, err, want)
		}
	}
}
