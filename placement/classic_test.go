package placement

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The rules are those of docker/swarm's own tests (scheduler/filter/expr_test.go) and documentation.
func TestClassicRulesAreRead(t *testing.T) {
	for in, want := range map[string]struct {
		key, rule   string // the rule as one on labels.x
		match, miss string
	}{
		"storage==ssd":                {"storage", "labels.x == ssd", "ssd", "ssd2"},
		"storage!=ssd":                {"storage", "labels.x != ssd", "ssd", "hdd"},
		"_node==_node1":               {"_node", "labels.x == _node1", "_node1", "node1"},
		"NoDe-1.a==node1":             {"NoDe-1.a", "labels.x == node1", "node1", "node"},
		"node==node 1":                {"node", "labels.x == node 1", "node 1", "node"},
		"region==us-*":                {"region", "labels.x == us-*", "us-east", "eu"},
		"node==*node*":                {"node", "labels.x == *node*", "a node b", "nod"},
		"node==~node1":                {"node", "labels.x == node1 ~", "node1", "node2"},
		"node!=~/web-[0-9]+/":         {"node", "labels.x !~ /web-[0-9]+/ ~", "my-web-10", "web-"},
		"node==/(?i)^[a-b]+c*(n|b)$/": {"node", "labels.x =~ /(?i)^[a-b]+c*(n|b)$/", "ABn", "xabn"},
		"node==node[12]":              {"node", "labels.x =~ /^node[12]$/", "node2", "node22"},
		"node==a|b":                   {"node", "labels.x =~ /^a|b$/", "b", "c"},
		"image==lan:5000/x/y:1.2":     {"image", "labels.x == lan:5000/x/y:1.2", "lan:5000/x/y:1.2", "y"},
		"a==/":                        {"a", "labels.x == /", "/", "x"},
		"a== b":                       {"a", `labels.x == " b"`, " b", "b"},
	} {
		key, rule, err := ParseClassic(in)
		if err != nil || key != want.key {
			t.Errorf("%q: %q, %v", in, key, err)
			continue
		}
		if !rule.MatchValue(want.match) || rule.MatchValue(want.miss) {
			t.Errorf("%q: %q %v, %q %v", in, want.match, rule.MatchValue(want.match), want.miss, rule.MatchValue(want.miss))
		}
		rule.Key = "labels.x"
		again, err := ParseConstraint(rule.String())
		if rule.String() != want.rule || err != nil || !again.Equal(rule) || again.MatchValue(want.match) != rule.MatchValue(want.match) {
			t.Errorf("%q: got %q (%q, %v), want %q", in, rule, again, err, want.rule)
		}
	}
}

func TestClassicErrorsPointAtTheCharacter(t *testing.T) {
	for _, c := range []struct{ in, pointer, problem string }{
		{"", "^", "want a key such as storage or node, not the end"},
		{"1node==a", "^", "want a key such as storage or node, not '1'"},
		{"node ==node1", "    ^", "want == or != after node, not ' '"},
		{"no*de==node1", "  ^", `want == or != after no, not '*'`},
		{"node=a", "    ^", "want == or != after node, not '='"},
		{"node==", "      ^", "want a value"},
		{"node==~", "       ^", "want a value"},
		{"node==/a(/", "       ^", "not a regular expression: missing closing ): a("},
		{"node==***[", "      ^", "not a regular expression: missing closing ]: [$"},
		{`node=='"`, "      ^", "a value cannot have both kinds of quotes"},
	} {
		_, _, err := ParseClassic(c.in)
		var p *ParseError
		if !errors.As(err, &p) {
			t.Errorf("%q: got %v, want a ParseError", c.in, err)
			continue
		}
		if diff := cmp.Diff(c.in+"\n"+c.pointer+"\n"+c.problem, p.Pointer()+"\n"+p.Problem); diff != "" {
			t.Errorf("%q:\n%s", c.in, diff)
		}
	}
}

func TestClassicKeysHaveTheirsHere(t *testing.T) {
	for key, want := range map[string]string{
		"node": "node", "storagedriver": "engine.storagedriver", "kernelversion": "engine.kernelversion",
		"operatingsystem": "engine.operatingsystem", "ostype": "node.platform.os", "executiondriver": "", "com.example.disk": "labels.com.example.disk",
	} {
		if got := ClassicHostKey(key); got != want || got != "" && about(got) != AboutHost {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
}

func TestAmongNamesOnlyThese(t *testing.T) {
	for in, want := range map[string]string{
		"a==x": "service in (web, \"b*\")", "a!=x": "service not in (web, \"b*\")", "a!=~x": "service not in (web, \"b*\") ~", "a==~/x/": "service in (web, \"b*\") ~",
	} {
		_, rule, err := ParseClassic(in)
		if err != nil {
			t.Fatal(err)
		}
		got := rule.Among("service", []string{"web", "b*"})
		if got.String() != want || !got.MatchValue("WEB") || got.MatchValue("bc") {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// FuzzParseClassic: no input makes it panic, an error points into the input, and what is read is a rule of this language.
func FuzzParseClassic(f *testing.F) {
	f.Fuzz(func(t *testing.T, in string) {
		key, rule, err := ParseClassic(in)
		if err != nil {
			pointsInto(t, in, err)
			return
		}
		if rule.Key = ClassicHostKey(key); rule.Key == "" {
			return
		}
		again, err := ParseConstraint(rule.String())
		if err != nil || !again.Equal(rule) || again.MatchValue(key) != rule.MatchValue(key) {
			t.Fatalf("%q: %q reads as %q, %v", in, rule, again, err)
		}
	})
}
