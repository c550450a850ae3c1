package placement

import (
	"errors"
	"strings"
)

// ParseClassic reads a rule as classic Swarm wrote it in constraint: and affinity: variables and in the
// com.docker.swarm labels (docker/swarm v1.2.9, scheduler/filter/expr.go): "storage==ssd", "region!=us-*",
// "node==~/web-[0-9]+/". There is no space around the operator, a ~ behind it is soft, a value between slashes is a
// regular expression, and so is one with regular expressions' other signs, from its first to its last character.
//
// The rule comes back without a Key, as what the key means depends on where the rule stands; MatchValue works without
// one. Errors are *ParseError.
func ParseClassic(s string) (key string, rule Constraint, err error) {
	p := parser{in: s, what: "rule of classic Swarm"}
	if err := p.text(); err != nil {
		return "", Constraint{}, err
	}
	for p.at < len(s) && classicKey(s[p.at], p.at) {
		p.at++
	}
	if p.at == 0 {
		return "", Constraint{}, p.fail(0, "want a key such as storage or node, not %s", p.next())
	}
	key = s[:p.at]
	switch {
	case p.take(string(Equal)):
		rule.Op = Equal
	case p.take(string(NotEqual)):
		rule.Op = NotEqual
	default:
		return "", Constraint{}, p.fail(p.at, "want == or != after %s, not %s", key, p.next())
	}
	if p.take("~") {
		rule.Soft, rule.Weight = true, 1
	}
	start := p.at
	value := s[start:]
	if value == "" {
		return "", Constraint{}, p.fail(start, "want a value")
	}
	rule.how = &comparison{op: rule.Op}
	switch {
	case looksRegexp(value):
		err = p.regexp(&rule, start+1, value[1:len(value)-1])
	case strings.ContainsAny(value, `?()+[]\^$|`):
		var bad *ParseError
		if err = p.regexp(&rule, start, "^"+strings.ReplaceAll(value, "*", ".*")+"$"); errors.As(err, &bad) {
			bad.Offset = start // its place is one in a longer text
		}
	case strings.Contains(value, `"`) && strings.Contains(value, "'"):
		return "", Constraint{}, p.fail(start, "a value cannot have both kinds of quotes")
	case hasWildcards(value) && value == strings.TrimSpace(value) && !strings.ContainsAny(value, reserved):
		rule.Value = value
		rule.how.texts = []text{{literal: value, pattern: wildcards(value)}}
	default:
		rule.Value = spell(value, alone)
		rule.how.texts = []text{{literal: value}}
	}
	if rule.how.search != nil {
		rule.Op = rule.Op.searching()
	}
	return key, rule, err
}

// classicKey reports the characters of a key: letters, digits and -_. where the first is a letter or _.
func classicKey(c byte, at int) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
	return letter || at > 0 && (c >= '0' && c <= '9' || c == '-' || c == '.')
}

// ClassicHostKey is the key of this language for a key of classic Swarm's constraints: "node" is a host's name or ID,
// some are what the engine says of itself, and the others are labels; "" for one that no engine has any more.
func ClassicHostKey(key string) string {
	switch key {
	case "node":
		return "node"
	case "storagedriver", "kernelversion", "operatingsystem":
		return "engine." + key
	case "ostype":
		return "node.platform.os"
	case "executiondriver":
		return ""
	}
	return anyLabels + key
}

// Among is the rule that one of these names is meant, or with negated that none is: key in (a, b). Soft and Weight are
// those of c.
func (c Constraint) Among(key string, names []string) Constraint {
	spelled := make([]string, len(names))
	for i, name := range names {
		spelled[i] = spell(name, inList)
	}
	in := Constraint{Key: key, Op: In, Value: "(" + strings.Join(spelled, ", ") + ")", Soft: c.Soft, Weight: c.Weight}
	if c.Negated() {
		in.Op = NotIn
	}
	in.how = in.comparison()
	return in
}
