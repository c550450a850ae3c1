package placement

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseConstraintsReadsEveryForm(t *testing.T) {
	for in, want := range map[string][]Constraint{
		"node.labels.type == worker":   {{Key: "node.labels.type", Op: Equal, Value: "worker"}},
		"node.labels.type==worker":     {{Key: "node.labels.type", Op: Equal, Value: "worker"}},
		"  node.hostname\t!=  web-1  ": {{Key: "node.hostname", Op: NotEqual, Value: "web-1"}},
		"node.labels.type == worker && node.labels.zone != c": {
			{Key: "node.labels.type", Op: Equal, Value: "worker"}, {Key: "node.labels.zone", Op: NotEqual, Value: "c"}},
		"node.ip == 10.0.0.0/8&&node.role==worker": {
			{Key: "node.ip", Op: Equal, Value: "10.0.0.0/8"}, {Key: "node.role", Op: Equal, Value: "worker"}},
		"engine.labels.operatingsystem==ubuntu 22.04": {{Key: "engine.labels.operatingsystem", Op: Equal, Value: "ubuntu 22.04"}},
		`node.labels.x == ""`:                         {{Key: "node.labels.x", Op: Equal, Value: `""`}},
		`node.labels.x == 'a && b'`:                   {{Key: "node.labels.x", Op: Equal, Value: `"a && b"`}},
		`node.labels.x == "plain"`:                    {{Key: "node.labels.x", Op: Equal, Value: "plain"}},
		"Node.Platform.Arch == x86_64":                {{Key: "Node.Platform.Arch", Op: Equal, Value: "x86_64"}},
		"node.labels.a.b/c-d_e == ü":                  {{Key: "node.labels.a.b/c-d_e", Op: Equal, Value: "ü"}},
		"labels.path == /srv/data":                    {{Key: "labels.path", Op: Equal, Value: "/srv/data"}},

		"node.name == web-?*":                      {{Key: "node.name", Op: Equal, Value: "web-?*"}},
		`node.name == "web-?*"`:                    {{Key: "node.name", Op: Equal, Value: `"web-?*"`}},
		"node.name == /^web-[0-9]+$/":              {{Key: "node.name", Op: Matches, Value: "^web-[0-9]+$"}},
		"node.name != /a\\/b/ && node.id == x":     {{Key: "node.name", Op: MatchesNot, Value: "a\\/b"}, {Key: "node.id", Op: Equal, Value: "x"}},
		"node.name =~ ^a|b=c!d~e$ && node.id == x": {{Key: "node.name", Op: Matches, Value: "^a|b=c!d~e$"}, {Key: "node.id", Op: Equal, Value: "x"}},
		`node.name !~ "a && b"`:                    {{Key: "node.name", Op: MatchesNot, Value: "a && b"}},
		"node.labels.zone in (a, b* ,'c, d')":      {{Key: "node.labels.zone", Op: In, Value: `(a, b*, "c, d")`}},
		"node.labels.zone not in(a)":               {{Key: "node.labels.zone", Op: NotIn, Value: "(a)"}},
		"node.labels.in in (in)":                   {{Key: "node.labels.in", Op: In, Value: "(in)"}},
		"labels.memory >= 16g":                     {{Key: "labels.memory", Op: AtLeast, Value: "16g"}},
		"engine.version<25":                        {{Key: "engine.version", Op: Less, Value: "25"}},

		"service == cache":               {{Key: "service", Op: Equal, Value: "cache"}},
		"image != redis:*":               {{Key: "image", Op: NotEqual, Value: "redis:*"}},
		"volume in (data, logs)":         {{Key: "volume", Op: In, Value: "(data, logs)"}},
		"node.labels.disk ==~ ssd":       {{Key: "node.labels.disk", Op: Equal, Value: "ssd", Soft: true, Weight: 1}},
		"node.labels.disk!=~ssd":         {{Key: "node.labels.disk", Op: NotEqual, Value: "ssd", Soft: true, Weight: 1}},
		"node.labels.disk ==~ /s.d/":     {{Key: "node.labels.disk", Op: Matches, Value: "s.d", Soft: true, Weight: 1}},
		"labels.rank >=~ 3":              {{Key: "labels.rank", Op: AtLeast, Value: "3", Soft: true, Weight: 1}},
		"service == cache ~":             {{Key: "service", Op: Equal, Value: "cache", Soft: true, Weight: 1}},
		"service == cache~ 100":          {{Key: "service", Op: Equal, Value: "cache", Soft: true, Weight: 100}},
		"service ==~ cache ~7":           {{Key: "service", Op: Equal, Value: "cache", Soft: true, Weight: 7}},
		"node.name =~ ^web ~5":           {{Key: "node.name", Op: Matches, Value: "^web", Soft: true, Weight: 5}},
		"node.name =~ /^web/ ~5":         {{Key: "node.name", Op: Matches, Value: "^web", Soft: true, Weight: 5}},
		"service in (a, b) ~2":           {{Key: "service", Op: In, Value: "(a, b)", Soft: true, Weight: 2}},
		"service != a ~ && service != b": {{Key: "service", Op: NotEqual, Value: "a", Soft: true, Weight: 1}, {Key: "service", Op: NotEqual, Value: "b"}},
	} {
		got, err := ParseConstraints(in)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", in, err, diff)
		}
	}
}

func TestParseErrorsPointAtTheCharacter(t *testing.T) {
	const keys = "want node, node.id, node.name, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch, node.labels.<label>, " +
		"engine.labels.<label>, labels.<label>, engine.version, engine.kernelversion, engine.operatingsystem, engine.storagedriver, " +
		"service, image or volume"
	for _, c := range []struct{ in, pointer, problem string }{
		{"", "^", "want a key such as node.labels.type or node.hostname, not the end"},
		{"node.labels.type = worker", "                 ^", "want an operator after node.labels.type (==, !=, =~, !~, <, <=, >, >=, in, not in), not '='"},
		{"node.labels.type", "                ^", "want an operator after node.labels.type (==, !=, =~, !~, <, <=, >, >=, in, not in), not the end"},
		{"node.labels.tüp is 1", "                ^", "want an operator after node.labels.tüp (==, !=, =~, !~, <, <=, >, >=, in, not in), not 'i'"},
		{"service not a", "        ^", "want an operator after service (==, !=, =~, !~, <, <=, >, >=, in, not in), not 'n'"},
		{"node.lables.type == x", "^", `key "node.lables.type" is unknown; ` + keys},
		{"node.labels. == x", "^", `key "node.labels." is unknown; ` + keys},
		{"node.labels.a == ", "                 ^", `want a value ("" for none), not the end`},
		{"node.labels.a == ~", "                 ^", `want a value ("" for none), not '~'`},
		{"node.labels.a == x && ", "                      ^", "want a key such as node.labels.type or node.hostname, not the end"},
		{"node.labels.a == x & node.labels.b == y", "                   ^", "'&' cannot stand in a value without quotes; constraints are joined by &&"},
		{"node.labels.a == x || node.labels.b == y", "                   ^", "'|' cannot stand in a value without quotes; constraints are joined by &&"},
		{`node.labels.a == "x" y`, "                     ^", "want && or the end after a value, not 'y'"},
		{`node.labels.a == "x`, "                 ^", "this quote is not closed"},
		{"node.ip == web", "           ^", "node.ip wants an address or a network like 10.0.0.0/8"},
		{"node.ip in (10.0.0.0/8, 10.*)", "                        ^", "node.ip wants an address or a network like 10.0.0.0/8"},
		{"node.id == a ~0", "              ^", "a weight is a whole number from 1 to 100"},
		{"node.id == a ~101", "              ^", "a weight is a whole number from 1 to 100"},
		{"node.id == a ~5 x", "                ^", "want && or the end after a value, not 'x'"},
		{"node.id in a", "           ^", "want values in parentheses after in, as in (a, b), not 'a'"},
		{"node.id in ()", "            ^", `want a value ("" for none), not ')'`},
		{"node.id in (a, )", "               ^", `want a value ("" for none), not ')'`},
		{"node.id in (a b", "               ^", "want a comma or the closing parenthesis after a value, not the end"},
		{"node.id not in ('a' 'b')", "                    ^", "want a comma or the closing parenthesis after a value, not '\\''"},
		{"node.id in (a, /b/)", "               ^", "a list has no regular expressions; put this in quotes if it is none, or write =~ (a|b)"},
		{"node.id =~ ", "           ^", "want a regular expression here"},
		{"node.id == //", "            ^", "want a regular expression here"},
		{"node.id == /web[0-/", "               ^", "not a regular expression: missing closing ]: [0-"},
		{"node.id =~ web(a", "           ^", "not a regular expression: missing closing ): web(a"},
		{"labels.rank < high", "              ^", "want a number, a size like 16g or a version like v24.0 after <"},
		{"service < 3", "^", "service cannot be less or greater than something; labels and engine.version can"},
		{"node.id == a && node.name >= 3", "                ^", "node.name cannot be less or greater than something; labels and engine.version can"},
		{"node.id == \xff", "           ^", "this byte is not UTF-8"},
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
	if want := `constraint "node.labels.a = b", character 15: want an operator after node.labels.a (==, !=, =~, !~, <, <=, >, >=, in, not in), not '='`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if _, err := ParseConstraint("node.id == a && node.id == b"); err == nil {
		t.Error("ParseConstraint takes several")
	}
}

// rules draws constraints in every form that the parser can make.
func rules() *rapid.Generator[Constraint] {
	return rapid.Custom(func(t *rapid.T) Constraint {
		chars := rapid.RuneFrom([]rune(`ab1 =!&|"*?/.~,()<>:ü\`))
		literal := func() string {
			v := rapid.StringOf(chars).Filter(func(v string) bool { return !strings.ContainsAny(v, `"`) || !strings.Contains(v, "'") }).Draw(t, "value")
			return v
		}
		c := Constraint{
			Key: rapid.SampledFrom([]string{"node.labels.a", "engine.labels.b-c", "node.hostname", "service", "image", "volume"}).Draw(t, "key"),
			Op:  rapid.SampledFrom(append([]Operator{In, NotIn}, signs...)).Draw(t, "op"),
		}
		switch {
		case c.Op.ordered():
			c.Key = "labels.n"
			c.Value = rapid.SampledFrom([]string{"1", "-2.50", "16g", "1.5GiB", "v24.0", "1.2.3-rc1"}).Draw(t, "amount")
		case c.Op == In || c.Op == NotIn:
			var all []string
			for range rapid.IntRange(1, 3).Draw(t, "values") {
				all = append(all, spell(literal(), inList))
			}
			c.Value = "(" + strings.Join(all, ", ") + ")"
		case c.Op == Matches || c.Op == MatchesNot:
			c.Value = rapid.SampledFrom([]string{"^web", "a|b", "a/b", `a\/b`, "x && y", `say "no"`, "it's", "a ~5", "[/]x", "a/ && b", "~"}).Draw(t, "regexp")
		case rapid.Bool().Draw(t, "wildcards"):
			c.Value = rapid.SampledFrom([]string{"*", "web-?*", "a* b?", "/*", "*/x"}).Draw(t, "pattern")
		default:
			c.Value = spell(literal(), alone)
		}
		if rapid.Bool().Draw(t, "soft") {
			c.Soft, c.Weight = true, rapid.IntRange(1, maxWeight).Draw(t, "weight")
		}
		return c
	})
}

func TestConstraintStringReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rules().Draw(t, "rule")
		got, err := ParseConstraint(c.String())
		if err != nil || !got.Equal(c) {
			t.Fatalf("%q: got %+v, %v, want %+v", c.String(), got, err, c)
		}
	})
}

func TestConstraintsJoinedReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rules(), 1, 4).Draw(t, "rules")
		got, err := ParseConstraints(join(all))
		if err != nil || join(got) != join(all) || len(got) != len(all) {
			t.Fatalf("%q: got %q, %v", join(all), join(got), err)
		}
	})
}

func join(all []Constraint) string {
	texts := make([]string, len(all))
	for i, c := range all {
		texts[i] = c.String()
	}
	return strings.Join(texts, " && ")
}

// FuzzParseConstraints: no input makes it panic, an error points into the input, and what is read reads back from its
// own text. testdata/fuzz/FuzzParseConstraints has the seeds.
func FuzzParseConstraints(f *testing.F) {
	f.Fuzz(func(t *testing.T, in string) {
		all, err := ParseConstraints(in)
		if err != nil {
			pointsInto(t, in, err)
			return
		}
		for _, c := range all {
			c.Match(&Host{Name: in})
			if c.Explain(&Host{}) == "" || c.ExplainBeside("") == "" {
				t.Fatalf("%q says nothing", c)
			}
			again, err := ParseConstraint(c.String())
			if err != nil || !again.Equal(c) {
				t.Fatalf("%q: %q reads back as %q, %v", in, c, again, err)
			}
		}
	})
}

// FuzzParsePreferences is the same for preferences.
func FuzzParsePreferences(f *testing.F) {
	f.Fuzz(func(t *testing.T, in string) {
		all, err := ParsePreferences(in)
		if err != nil {
			pointsInto(t, in, err)
			return
		}
		for _, p := range all {
			again, err := ParsePreference(p.String())
			if diff := cmp.Diff(p, again); err != nil || diff != "" {
				t.Fatalf("%q: %q, %v\n%s", in, p, err, diff)
			}
		}
	})
}

func pointsInto(t *testing.T, in string, err error) {
	t.Helper()
	var p *ParseError
	if !errors.As(err, &p) || p.Offset < 0 || p.Offset > len(in) || p.Pointer() == "" || p.Input != in {
		t.Fatalf("%q: %v", in, err)
	}
}
