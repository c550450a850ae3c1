package placement

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseConstraintsReadsWhatSwarmWrites(t *testing.T) {
	for in, want := range map[string][]Constraint{
		"node.labels.type == worker":   {{"node.labels.type", "==", "worker"}},
		"node.labels.type==worker":     {{"node.labels.type", "==", "worker"}},
		"  node.hostname\t!=  web-1  ": {{"node.hostname", "!=", "web-1"}},
		"node.labels.type == worker && node.labels.zone != c": {
			{"node.labels.type", "==", "worker"}, {"node.labels.zone", "!=", "c"}},
		"node.ip == 10.0.0.0/8&&node.role==worker": {{"node.ip", "==", "10.0.0.0/8"}, {"node.role", "==", "worker"}},
		"engine.labels.operatingsystem==ubuntu 22.04": {
			{"engine.labels.operatingsystem", "==", "ubuntu 22.04"}},
		`node.labels.x == ""`:          {{"node.labels.x", "==", ""}},
		`node.labels.x == 'a && b'`:    {{"node.labels.x", "==", "a && b"}},
		"Node.Platform.Arch == x86_64": {{"Node.Platform.Arch", "==", "x86_64"}},
		"node.labels.a.b/c-d_e == ü":   {{"node.labels.a.b/c-d_e", "==", "ü"}},
	} {
		got, err := ParseConstraints(in)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", in, err, diff)
		}
	}
}

func TestParseErrorsPointAtTheCharacter(t *testing.T) {
	for _, c := range []struct{ in, pointer, problem string }{
		{"", "^", "want a key such as node.labels.type or node.hostname, not the end"},
		{"node.labels.type = worker", "                 ^", "want == or != after node.labels.type, not '='"},
		{"node.labels.type", "                ^", "want == or != after node.labels.type, not the end"},
		{"node.labels.tüp <= 1", "                ^", "want == or != after node.labels.tüp, not '<'"},
		{"node.lables.type == x", "^", `key "node.lables.type" is unknown; want node.id, node.name, node.hostname, ` +
			"node.ip, node.role, node.platform.os, node.platform.arch, node.labels.<label> or engine.labels.<label>"},
		{"node.labels. == x", "^", `key "node.labels." is unknown; want node.id, node.name, node.hostname, ` +
			"node.ip, node.role, node.platform.os, node.platform.arch, node.labels.<label> or engine.labels.<label>"},
		{"node.labels.a == ", "                 ^", `want a value ("" for none)`},
		{"node.labels.a == x && ", "                      ^",
			"want a key such as node.labels.type or node.hostname, not the end"},
		{"node.labels.a == x & node.labels.b == y", "                   ^",
			"'&' cannot stand in a value without quotes; constraints are joined by &&"},
		{"node.labels.a == x || node.labels.b == y", "                   ^",
			"'|' cannot stand in a value without quotes; constraints are joined by &&"},
		{`node.labels.a == "x" y`, "                     ^", "want && or the end after a value, not 'y'"},
		{`node.labels.a == "x`, "                 ^", "this quote is not closed"},
		{"node.ip == web", "           ^", "node.ip wants an address or a network like 10.0.0.0/8"},
	} {
		_, err := ParseConstraints(c.in)
		var p *ParseError
		if !errors.As(err, &p) {
			t.Errorf("%q: got %v, want a ParseError", c.in, err)
			continue
		}
		if diff := cmp.Diff(c.in+"\n"+c.pointer+"\n"+c.problem, p.Pointer()+"\n"+p.Problem); diff != "" {
			t.Errorf("%q:\n%s", c.in, diff)
		}
	}
	_, err := ParseConstraint("node.labels.a = b")
	if want := `constraint "node.labels.a = b", character 15: want == or != after node.labels.a, not '='`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if _, err := ParseConstraint("node.id == a && node.id == b"); err == nil {
		t.Error("ParseConstraint takes several")
	}
}

func TestParsePreferenceReadsAKey(t *testing.T) {
	if p, err := ParsePreference(" node.labels.zone "); err != nil || p.Spread != "node.labels.zone" {
		t.Errorf("got %v, %v", p, err)
	}
	for _, in := range []string{"", "zone", "node.labels.zone == a"} {
		if _, err := ParsePreference(in); err == nil {
			t.Errorf("%q is read", in)
		}
	}
}

func TestConstraintStringReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Constraint{
			Key:   rapid.SampledFrom([]string{"node.labels.a", "engine.labels.b-c", "node.hostname"}).Draw(t, "key"),
			Op:    rapid.SampledFrom([]string{"==", "!="}).Draw(t, "op"),
			Value: rapid.StringOf(rapid.RuneFrom([]rune(`ab =!&|"*/. `))).Draw(t, "value"),
		}
		got, err := ParseConstraints(c.String())
		if err != nil || len(got) != 1 || got[0] != c {
			t.Fatalf("%q: got %v, %v", c.String(), got, err)
		}
	})
}

func FuzzParseConstraints(f *testing.F) {
	f.Add("node.labels.type == worker && node.ip != 10.0.0.0/8")
	f.Add(`node.id == "`)
	f.Fuzz(func(t *testing.T, in string) {
		_, err := ParseConstraints(in)
		if err != nil {
			var p *ParseError
			if !errors.As(err, &p) || p.Offset < 0 || p.Offset > len(in) || p.Pointer() == "" {
				t.Fatalf("%q: %v", in, err)
			}
		}
	})
}

func TestConstraintsMatchAsInSwarm(t *testing.T) {
	h := &Host{Name: "web1", EngineID: "ABCD", Hostname: "web1.lan", IP: "10.0.0.7", OS: "linux", Arch: "amd64",
		Labels: map[string]string{"type": "Worker"}, EngineLabels: map[string]string{"disk": "ssd"}}
	for in, want := range map[string]bool{
		"node.id == abcd":              true,
		"node.name == web1":            true,
		"node.hostname == WEB1.LAN":    true,
		"node.hostname == web1":        false,
		"node.ip == 10.0.0.7":          true,
		"node.ip == 10.0.0.0/8":        true,
		"node.ip != 10.0.0.0/8":        false,
		"node.ip != 192.168.0.1":       true,
		"node.role == worker":          true,
		"node.role == manager":         false,
		"node.platform.os == linux":    true,
		"node.platform.arch == x86_64": true,
		"node.platform.arch == amd64":  true,
		"node.platform.arch != arm64":  true,
		"NODE.LABELS.type == worker":   true,
		"node.labels.TYPE == worker":   false,
		"node.labels.none != x":        true,
		"node.labels.none == x":        false,
		`node.labels.none == ""`:       true,
		"engine.labels.disk == ssd":    true,
		"engine.labels.disk != ssd":    false,
		"engine.labels.type == worker": false,
	} {
		c, err := ParseConstraint(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		} else if got := c.Match(h); got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
	if (Constraint{"node.nonsense", "!=", "x"}).Match(h) || (Constraint{"node.id", "~=", "x"}).Match(h) {
		t.Error("a constraint that is not understood holds")
	}
	if !(Constraint{"node.platform.arch", "==", "aarch64"}).Match(&Host{Arch: "arm64"}) {
		t.Error("aarch64 is not arm64")
	}
}

func TestConstraintsExplainThemselves(t *testing.T) {
	h := &Host{Hostname: "a", Arch: "arm64", Labels: map[string]string{"type": "db"}}
	for in, want := range map[string]string{
		"node.labels.type == worker":   `label type is "db", constraint wants worker`,
		"node.labels.type != db":       `label type is "db", constraint wants anything but db`,
		"node.labels.zone == a":        `label zone is not set, constraint wants a`,
		`node.labels.zone != ""`:       `label zone is not set, constraint wants any value`,
		"engine.labels.disk == ssd":    `engine label disk is not set, constraint wants ssd`,
		"node.hostname == b":           `hostname is "a", constraint wants b`,
		"node.platform.arch == x86_64": `platform.arch is "arm64", constraint wants x86_64`,
	} {
		c, err := ParseConstraint(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		} else if got := c.Explain(h); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
