package loader

import (
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
			`load compose.yaml:7: services.web.deploy.labels.berth.placement.constraint: constraint "node.hostname = b", character 15: want == or !=`},
		{"constraint in deploy", "deploy:\n  placement:\n    constraints:\n      - node.hostname == a\n      - node.hostname",
			`load compose.yaml:8: services.web.deploy.placement.constraints.1: constraint "node.hostname", character 14: want == or !=`},
		{"preference in deploy", "deploy:\n  placement:\n    preferences:\n      - spread: zone",
			`load compose.yaml:7: services.web.deploy.placement.preferences.0.spread: constraint "zone", character 1: key "zone" is unknown`},
		{"spread label", "labels:\n  berth.placement.spread: node.labels.a b",
			`load compose.yaml:5: services.web.labels.berth.placement.spread: constraint "node.labels.a b", character 15: `},
		{"strategy label", "labels:\n  berth.placement.strategy: pack",
			`load compose.yaml:5: services.web.labels.berth.placement.strategy: "pack" is no strategy; want spread or binpack`},
		{"strategies that contradict", "labels: {berth.placement.strategy: spread}\ndeploy: {labels: {berth.placement.strategy: binpack}}",
			`load compose.yaml:5: services.web.deploy.labels.berth.placement.strategy: strategy binpack contradicts spread in services.web.labels.berth.placement.strategy; keep one of them`},
		{"unknown label", "labels: {berth.placement.constraints: node.hostname == a}",
			`load compose.yaml:4: services.web.labels.berth.placement.constraints: unknown placement label; did you mean berth.placement.constraint?; the labels are berth.placement.constraint, berth.placement.spread, berth.placement.strategy, berth.placement.affinity`},
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
