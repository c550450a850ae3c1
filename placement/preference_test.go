package placement

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParsePreferencesReadsKeysAndShares(t *testing.T) {
	for in, want := range map[string][]Preference{
		" node.labels.zone ":                {{Spread: "node.labels.zone"}},
		"node.labels.zone,node.labels.rack": {{Spread: "node.labels.zone"}, {Spread: "node.labels.rack"}},
		"node.labels.zone (a: 2, b:1), engine.version": {
			{Spread: "node.labels.zone", Shares: []Share{{"a", 2}, {"b", 1}}}, {Spread: "engine.version"}},
		`labels.zone("a, b": 1000,'': 3)`: {{Spread: "labels.zone", Shares: []Share{{"a, b", 1000}, {"", 3}}}},
	} {
		got, err := ParsePreferences(in)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", in, err, diff)
		}
	}
}

func TestPreferenceErrorsPointAtTheCharacter(t *testing.T) {
	for _, c := range []struct{ in, pointer, problem string }{
		{"", "^", "want a key such as node.labels.type or node.hostname, not the end"},
		{"node.labels.zone == a", "                 ^", "want the end after a key to spread over, or shares like (a: 2, b: 1), not '='"},
		{" service", " ^", "want a key about hosts to spread over, such as node.labels.zone, not service"},
		{"labels.z, ", "          ^", "want a key such as node.labels.type or node.hostname, not the end"},
		{"labels.z ()", "          ^", `want a value ("" for none), not ')'`},
		{"labels.z (a)", "           ^", "want a colon and a share after a value, as in a: 2, not ')'"},
		{"labels.z (a: 0)", "             ^", "a share is a whole number from 1 to 1000"},
		{"labels.z (a: 1001)", "             ^", "a share is a whole number from 1 to 1000"},
		{"labels.z (a: x)", "             ^", "a share is a whole number from 1 to 1000"},
		{"labels.z (a: 1", "              ^", "want a comma or the closing parenthesis after a share, not the end"},
		{"labels.z (a: 1, A: 2)", "                ^", "A has a share already"},
		{"labels.z (a: 1) b", "                ^", "want the end after a key to spread over, or shares like (a: 2, b: 1), not 'b'"},
	} {
		_, err := ParsePreferences(c.in)
		var p *ParseError
		if !errors.As(err, &p) {
			t.Errorf("%q: got %v, want a ParseError", c.in, err)
			continue
		}
		if diff := cmp.Diff(c.in+"\n"+c.pointer+"\n"+c.problem, p.Pointer()+"\n"+p.Problem); diff != "" {
			t.Errorf("%q:\n%s", c.in, diff)
		}
	}
	_, err := ParsePreference("labels.zone, labels.rack")
	if want := `preference "labels.zone, labels.rack", character 12: one preference is wanted here, not several with commas`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSharesAreOneUnlessSaid(t *testing.T) {
	p, err := ParsePreference("node.labels.zone (a: 2, b: 3)")
	if err != nil || p.Share("a") != 2 || p.Share("B") != 3 || p.Share("c") != 1 || p.Share("") != 1 {
		t.Errorf("%v, %v", p, err)
	}
}

func TestPreferenceStringReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Preference{Spread: "node.labels.zone"}
		for i, v := range rapid.SliceOfNDistinct(rapid.StringOf(rapid.RuneFrom([]rune("ab: ,()~&*/\"1"))), 0, 3, rapid.ID).Draw(t, "values") {
			if p.Share(v) == 1 { // values that differ in case only are one
				p.Shares = append(p.Shares, Share{v, 2 + i})
			}
		}
		got, err := ParsePreference(p.String())
		if diff := cmp.Diff(p, got); err != nil || diff != "" {
			t.Fatalf("%q: %v\n%s", p, err, diff)
		}
	})
}

func TestStrategiesAreRead(t *testing.T) {
	for in, want := range map[string]struct {
		strategy Strategy
		seed     uint64
	}{
		"spread": {Spread, 0}, "binpack\t": {Binpack, 0}, "random": {Random, 0}, "random:42": {Random, 42},
		"random:18446744073709551615": {Random, 1<<64 - 1},
	} {
		if strategy, seed, err := ParseStrategy(in); err != nil || strategy != want.strategy || seed != want.seed {
			t.Errorf("%q: %v %d %v", in, strategy, seed, err)
		}
	}
	for in, want := range map[string]string{
		"":          `"" is no strategy; want spread, binpack, random or random:<seed>`,
		"pack":      `"pack" is no strategy; want spread, binpack, random or random:<seed>`,
		"spread:1":  `"spread:1" is no strategy; want spread, binpack, random or random:<seed>`,
		"random:":   `seed "" is no whole number from 0 up; want one like random:42`,
		"random:-1": `seed "-1" is no whole number from 0 up; want one like random:42`,
	} {
		if _, _, err := ParseStrategy(in); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
}
