package placement

import (
	"regexp"
	"strings"
)

// comparison is the value of a constraint, ready to be compared with: texts of which one must be equal, a regular
// expression, or something that is greater or less.
type comparison struct {
	texts  []text
	search *regexp.Regexp
	order  order
	op     Operator // of order
	kind   Kind     // of the constraint; "" where its key came later
	arch   bool     // names of architectures that mean the same are equal
}

// text is one text to be equal to.
type text struct {
	literal string
	pattern *regexp.Regexp // of one with wildcards; nil without
	network bool           // literal is an address or a network
}

// comparison is what the parser made, or would make of a constraint that was put together by hand; nil when it refuses.
func (c Constraint) comparison() *comparison {
	if c.how != nil {
		return c.how
	}
	if parsed, err := ParseConstraint(c.String()); err == nil {
		return parsed.how
	}
	return nil
}

// matches compares without the operator's negation.
func (m *comparison) matches(got string) bool {
	if m.arch {
		got = Arch(got)
	}
	switch {
	case m.search != nil:
		return m.search.MatchString(got)
	case m.order != nil:
		sign, ok := m.order.compare(got)
		if !ok {
			return false
		}
		switch m.op {
		case Less:
			return sign < 0
		case AtMost:
			return sign <= 0
		case Greater:
			return sign > 0
		}
		return sign >= 0
	}
	for i := range m.texts {
		if m.texts[i].equal(got) {
			return true
		}
	}
	return false
}

func (t *text) equal(got string) bool {
	switch {
	case t.pattern != nil:
		return t.pattern.MatchString(got)
	case t.network:
		return inNetwork(got, t.literal)
	}
	return strings.EqualFold(got, t.literal)
}

// hasWildcards reports whether a text without quotes is a pattern.
func hasWildcards(s string) bool { return strings.ContainsAny(s, "*?") }

// wildcards makes a pattern of a text where * is any text and ? any one character, without regard to case.
func wildcards(s string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?is)\A`)
	rest := s
	for {
		i := strings.IndexAny(rest, "*?")
		if i < 0 {
			break
		}
		b.WriteString(regexp.QuoteMeta(rest[:i]))
		if rest[i] == '*' {
			b.WriteString(".*")
		} else {
			b.WriteString(".")
		}
		rest = rest[i+1:]
	}
	b.WriteString(regexp.QuoteMeta(rest) + `\z`)
	return regexp.MustCompile(b.String())
}
