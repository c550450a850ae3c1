package placement

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseError is a constraint or preference that cannot be read.
type ParseError struct {
	Input   string // all that was to be read
	Offset  int    // byte offset in Input of the character that is wrong; len(Input) when something is missing
	Problem string // what is wrong there
}

// Error is one sentence with the position counted in characters from 1.
func (e *ParseError) Error() string {
	return fmt.Sprintf("constraint %q, character %d: %s", e.Input, e.column()+1, e.Problem)
}

// Pointer is the input and, under it, a caret at the character that is wrong; for a terminal.
func (e *ParseError) Pointer() string {
	return e.Input + "\n" + strings.Repeat(" ", e.column()) + "^"
}

func (e *ParseError) column() int { return utf8.RuneCountInString(e.Input[:e.Offset]) }

// ParseConstraint reads one constraint as swarm writes it: "node.labels.type == worker". White space around key,
// operator and value does not count. The keys are
//
//	node.id  node.name  node.hostname  node.ip  node.role  node.platform.os  node.platform.arch
//	node.labels.<label>  engine.labels.<label>
//
// and the operators == and !=. A value runs to the end; one that holds an operator character, a quote or leading or
// trailing space stands in double or single quotes. Errors are *ParseError.
func ParseConstraint(s string) (Constraint, error) {
	all, err := ParseConstraints(s)
	if err != nil {
		return Constraint{}, err
	}
	if len(all) != 1 {
		return Constraint{}, &ParseError{Input: s, Offset: strings.Index(s, "&&"),
			Problem: "one constraint is wanted here, not several joined by &&"}
	}
	return all[0], nil
}

// ParseConstraints reads constraints joined by "&&"; all of them must hold. Errors are *ParseError.
func ParseConstraints(s string) ([]Constraint, error) {
	p := parser{in: s}
	var all []Constraint
	for {
		c, err := p.constraint()
		if err != nil {
			return nil, err
		}
		all = append(all, c)
		if p.space(); p.at == len(s) {
			return all, nil
		}
		if !strings.HasPrefix(s[p.at:], "&&") {
			return nil, p.fail(p.at, "want && or the end after a value, not %s", p.next())
		}
		p.at += len("&&")
	}
}

// ParsePreference reads a spread preference: a key as in ParseConstraint. Errors are *ParseError.
func ParsePreference(s string) (Preference, error) {
	p := parser{in: s}
	key, err := p.key()
	if err != nil {
		return Preference{}, err
	}
	if p.space(); p.at != len(s) {
		return Preference{}, p.fail(p.at, "want the end after a key to spread over, not %s", p.next())
	}
	return Preference{Spread: key}, nil
}

// parser reads its input from at on.
type parser struct {
	in string
	at int
}

func (p *parser) fail(at int, format string, args ...any) error {
	return &ParseError{Input: p.in, Offset: at, Problem: fmt.Sprintf(format, args...)}
}

func (p *parser) space() {
	for p.at < len(p.in) {
		r, n := utf8.DecodeRuneInString(p.in[p.at:])
		if !unicode.IsSpace(r) {
			return
		}
		p.at += n
	}
}

// next names the coming character for a message.
func (p *parser) next() string {
	if p.at == len(p.in) {
		return "the end"
	}
	r, _ := utf8.DecodeRuneInString(p.in[p.at:])
	return strconv.QuoteRune(r)
}

func (p *parser) constraint() (Constraint, error) {
	key, err := p.key()
	if err != nil {
		return Constraint{}, err
	}
	p.space()
	rest := p.in[p.at:]
	if !strings.HasPrefix(rest, "==") && !strings.HasPrefix(rest, "!=") {
		return Constraint{}, p.fail(p.at, "want == or != after %s, not %s", key, p.next())
	}
	op := rest[:2]
	p.at += len(op)
	p.space()
	start := p.at
	value, err := p.value()
	if err != nil {
		return Constraint{}, err
	}
	if strings.EqualFold(key, "node.ip") {
		_, addrErr := netip.ParseAddr(value)
		_, netErr := netip.ParsePrefix(value)
		if addrErr != nil && netErr != nil {
			return Constraint{}, p.fail(start, "node.ip wants an address or a network like 10.0.0.0/8")
		}
	}
	return Constraint{Key: key, Op: op, Value: value}, nil
}

func isKeyChar(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-/", r)
}

func (p *parser) key() (string, error) {
	p.space()
	start := p.at
	for p.at < len(p.in) {
		r, n := utf8.DecodeRuneInString(p.in[p.at:])
		if !isKeyChar(r) {
			break
		}
		p.at += n
	}
	key := p.in[start:p.at]
	if key == "" {
		return "", p.fail(start, "want a key such as node.labels.type or node.hostname, not %s", p.next())
	}
	if _, ok := attribute(&Host{}, key); !ok {
		return "", p.fail(start, "key %q is unknown; want node.id, node.name, node.hostname, node.ip, node.role, "+
			"node.platform.os, node.platform.arch, node.labels.<label> or engine.labels.<label>", key)
	}
	return key, nil
}

// reserved are the characters that operators are made of, now or later; a value with one stands in quotes.
const reserved = `=!<>~&"'`

func (p *parser) value() (string, error) {
	start := p.at
	if p.at < len(p.in) && (p.in[p.at] == '"' || p.in[p.at] == '\'') {
		end := strings.IndexByte(p.in[p.at+1:], p.in[p.at])
		if end < 0 {
			return "", p.fail(start, "this quote is not closed")
		}
		p.at += end + 2
		return p.in[start+1 : p.at-1], nil
	}
	for p.at < len(p.in) && !strings.HasPrefix(p.in[p.at:], "&&") {
		r, n := utf8.DecodeRuneInString(p.in[p.at:])
		if strings.ContainsRune(reserved, r) || strings.HasPrefix(p.in[p.at:], "||") {
			return "", p.fail(p.at, "%s cannot stand in a value without quotes; constraints are joined by &&", p.next())
		}
		p.at += n
	}
	value := strings.TrimSpace(p.in[start:p.at])
	if value == "" {
		return "", p.fail(start, `want a value ("" for none)`)
	}
	return value, nil
}

// quoteValue writes a value so that the parser reads it back. A value with both kinds of quotes cannot come from the
// parser.
func quoteValue(v string) string {
	if v != "" && v == strings.TrimSpace(v) && !strings.ContainsAny(v, reserved) && !strings.Contains(v, "||") {
		return v
	}
	if strings.Contains(v, `"`) {
		return "'" + v + "'"
	}
	return `"` + v + `"`
}
