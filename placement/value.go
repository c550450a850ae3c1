package placement

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// place is where a value stands, which decides what ends it.
type place int

const (
	alone    place = iota // behind an operator
	inList                // of in and not in
	inShares              // of a preference
)

// reserved are the characters that operators are made of; a value with one stands in quotes.
const (
	quotes   = `"'`
	reserved = `=!<>~&` + quotes
)

// stops are the characters that end a value besides.
func (w place) stops() string {
	switch w {
	case inList:
		return ",()"
	case inShares:
		return ",():"
	}
	return "~"
}

// value reads a value, quoted or not. Without quotes it runs to what ends it.
func (p *parser) value(where place) (value string, quoted bool, err error) {
	start := p.at
	if p.at < len(p.in) && strings.IndexByte(quotes, p.in[p.at]) >= 0 {
		end := strings.IndexByte(p.in[p.at+1:], p.in[p.at])
		if end < 0 {
			return "", false, p.fail(start, "this quote is not closed")
		}
		p.at += end + 2
		return p.in[start+1 : p.at-1], true, nil
	}
	for p.at < len(p.in) && !strings.HasPrefix(p.in[p.at:], "&&") {
		r, n := utf8.DecodeRuneInString(p.in[p.at:])
		if strings.ContainsRune(where.stops(), r) {
			break
		}
		if strings.ContainsRune(reserved, r) || strings.HasPrefix(p.in[p.at:], "||") {
			return "", false, p.fail(p.at, "%s cannot stand in a value without quotes; constraints are joined by &&", p.next())
		}
		p.at += n
	}
	if value = strings.TrimSpace(p.in[start:p.at]); value == "" {
		return "", false, p.fail(start, `want a value ("" for none), not %s`, p.next())
	}
	return value, false, nil
}

// spell writes a text without wildcards so that the parser reads it back. A text with both kinds of quotes cannot come
// from the parser.
func spell(v string, where place) string {
	switch {
	case v != "" && v == strings.TrimSpace(v) && !strings.ContainsAny(v, reserved+where.stops()) && !strings.Contains(v, "||") &&
		!hasWildcards(v) && !looksRegexp(v):
		return v
	case strings.Contains(v, `"`):
		return "'" + v + "'"
	}
	return `"` + v + `"`
}

// looksRegexp reports whether a value without quotes reads as a regular expression: it has a slash at both ends.
func looksRegexp(v string) bool { return len(v) > 1 && v[0] == '/' && v[len(v)-1] == '/' }

// slashes reads /expression/: up to the first slash without a backslash before it that the rule ends behind, short of the
// next &&. What begins with a slash and has no such end is left alone: it is a path.
func (p *parser) slashes() (source string, ok bool) {
	if p.at == len(p.in) || p.in[p.at] != '/' {
		return "", false
	}
	for i := p.at + 1; i < len(p.in) && !strings.HasPrefix(p.in[i:], "&&"); i++ {
		switch {
		case p.in[i] == '\\':
			i++
		case p.in[i] == '/' && p.ends(i+1):
			source = p.in[p.at+1 : i]
			p.at = i + 1
			return source, true
		}
	}
	return "", false
}

// bareRegexp reads a regular expression without slashes or quotes: up to &&, or to a ~ with space before it that the
// rule ends behind.
func (p *parser) bareRegexp() string {
	start, end := p.at, len(p.in)
	if i := strings.Index(p.in[start:], "&&"); i >= 0 {
		end = start + i
	}
	for i := start; i < end; i++ {
		if before := p.in[start:i]; p.in[i] == '~' && before != strings.TrimSpace(before) && p.ends(i) {
			end = i
		}
	}
	p.at = end
	return strings.TrimSpace(p.in[start:end])
}

// spellRegexp writes a regular expression so that the parser reads it back.
func spellRegexp(source string) string {
	all := []string{"/" + source + "/", `"` + source + `"`, "'" + source + "'", source}
	i := slices.IndexFunc(all, func(spelling string) bool {
		p := parser{in: spelling}
		c := Constraint{Op: Matches}
		return p.operand(&c) == nil && p.at == len(p.in) && c.Value == source
	})
	return all[max(i, 0)]
}
