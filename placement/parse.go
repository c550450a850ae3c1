package placement

import (
	"errors"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseConstraint reads one constraint: "node.labels.type == worker". White space around key, operator and value does
// not count. The keys are
//
//	node  node.id  node.name  node.hostname  node.ip  node.role  node.platform.os  node.platform.arch
//	node.labels.<label>  engine.labels.<label>  labels.<label>
//	engine.version  engine.kernelversion  engine.operatingsystem  engine.storagedriver
//	service  image  volume
//
// The operators are those of Operator; a ~ behind one of signs, or at the end of the rule with a weight, makes it soft
// (README.md has examples). Errors are *ParseError.
func ParseConstraint(s string) (Constraint, error) {
	p := parser{in: s}
	all, ends, err := p.constraints()
	if err != nil {
		return Constraint{}, err
	}
	if len(all) != 1 {
		return Constraint{}, p.fail(ends[0], "one constraint is wanted here, not several joined by &&")
	}
	return all[0], nil
}

// ParseConstraints reads constraints joined by "&&", each hard or soft by itself. Errors are *ParseError.
func ParseConstraints(s string) ([]Constraint, error) {
	p := parser{in: s}
	all, _, err := p.constraints()
	return all, err
}

// constraints reads all of the input, and tells where each constraint ends.
func (p *parser) constraints() (all []Constraint, ends []int, err error) {
	if err := p.text(); err != nil {
		return nil, nil, err
	}
	for {
		c, err := p.constraint()
		if err != nil {
			return nil, nil, err
		}
		all = append(all, c)
		p.space()
		ends = append(ends, p.at)
		switch {
		case p.at == len(p.in):
			return all, ends, nil
		case !p.take("&&"):
			return nil, nil, p.fail(p.at, "want && or the end after a value, not %s", p.next())
		}
	}
}

func (p *parser) constraint() (Constraint, error) {
	p.space()
	start := p.at
	key, err := p.key()
	if err != nil {
		return Constraint{}, err
	}
	p.space()
	c := Constraint{Key: key}
	if c.Op, c.Soft, err = p.operator(key); err != nil {
		return Constraint{}, err
	}
	if c.Op.ordered() && !sortable(key) {
		return Constraint{}, p.fail(start, "%s cannot be less or greater than something; labels and engine.version can", key)
	}
	p.space()
	if err := p.operand(&c); err != nil {
		return Constraint{}, err
	}
	return c, p.tail(&c)
}

// sortable reports the keys whose values may be numbers, sizes or versions.
func sortable(key string) bool {
	_, _, label := labelKey(key)
	return label || strings.EqualFold(key, "engine.version") || strings.EqualFold(key, "engine.kernelversion")
}

// signs are the operators that are no words, those before that another begins like.
var signs = []Operator{Equal, NotEqual, Matches, MatchesNot, AtMost, AtLeast, Less, Greater}

// operator reads an operator, and the ~ that makes it soft.
func (p *parser) operator(key string) (op Operator, soft bool, err error) {
	start := p.at
	for _, op := range signs {
		if p.take(string(op)) {
			return op, p.take("~"), nil
		}
	}
	if p.word("in") {
		return In, false, nil
	}
	if p.word("not") {
		if p.space(); p.word("in") {
			return NotIn, false, nil
		}
		p.at = start
	}
	return "", false, p.fail(p.at, "want an operator after %s (==, !=, =~, !~, <, <=, >, >=, in, not in), not %s", key, p.next())
}

// tail reads the ~ at the end of a rule, and its weight.
func (p *parser) tail(c *Constraint) error {
	if p.space(); p.take("~") {
		c.Soft, c.Weight = true, 1
		if p.space(); p.at < len(p.in) && p.in[p.at] >= '0' && p.in[p.at] <= '9' {
			var err error
			if c.Weight, err = p.number(maxWeight, "a weight"); err != nil {
				return err
			}
		}
	}
	if c.Soft {
		c.Weight = max(c.Weight, 1)
	}
	return nil
}

// maxWeight bounds weights of soft rules.
const maxWeight = 100

// ends reports whether a rule ends at a place, perhaps with a ~ and a weight.
func (p *parser) ends(at int) bool {
	q := parser{in: p.in, at: at}
	if q.space(); q.take("~") {
		q.space()
		for q.at < len(q.in) && q.in[q.at] >= '0' && q.in[q.at] <= '9' {
			q.at++
		}
		q.space()
	}
	return q.at == len(q.in) || q.take("&&")
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
	if about(key) == "" {
		return "", p.fail(start, "key %q is unknown; want node, node.id, node.name, node.hostname, node.ip, node.role, node.platform.os, "+
			"node.platform.arch, node.labels.<label>, engine.labels.<label>, labels.<label>, engine.version, "+
			"engine.kernelversion, engine.operatingsystem, engine.storagedriver, service, image or volume", key)
	}
	return key, nil
}

// operand reads what an operator compares with.
func (p *parser) operand(c *Constraint) error {
	start := p.at
	c.how = &comparison{op: c.Op, kind: about(c.Key), arch: strings.EqualFold(c.Key, "node.platform.arch")}
	switch c.Op {
	case In, NotIn:
		return p.list(c)
	case Equal, NotEqual:
		if source, ok := p.slashes(); ok {
			c.Op = c.Op.searching()
			return p.regexp(c, start+1, source)
		}
	case Matches, MatchesNot:
		if source, ok := p.slashes(); ok {
			return p.regexp(c, start+1, source)
		}
		if p.at < len(p.in) && strings.ContainsRune(quotes, rune(p.in[p.at])) {
			source, _, err := p.value(alone)
			if err != nil {
				return err
			}
			return p.regexp(c, start+1, source)
		}
		return p.regexp(c, start, p.bareRegexp())
	}
	value, quoted, err := p.value(alone)
	if err != nil {
		return err
	}
	if c.Op.ordered() {
		c.Value = spell(value, alone)
		var ok bool
		if c.how.order, ok = orderOf(c.Key, value); !ok {
			return p.fail(start, "want a number, a size like 16g or a version like v24.0 after %s", c.Op)
		}
		return nil
	}
	c.Value, err = p.compare(c, start, value, quoted, alone)
	return err
}

// compare adds a text that the constraint's key may equal, and returns its spelling.
func (p *parser) compare(c *Constraint, start int, value string, quoted bool, where place) (string, error) {
	t := text{literal: value}
	switch {
	case strings.EqualFold(c.Key, "node.ip"):
		_, addrErr := netip.ParseAddr(value)
		_, netErr := netip.ParsePrefix(value)
		if addrErr != nil && netErr != nil {
			return "", p.fail(start, "node.ip wants an address or a network like 10.0.0.0/8")
		}
		t.network = true
	case !quoted && hasWildcards(value):
		t.pattern = wildcards(value)
		c.how.texts = append(c.how.texts, t)
		return value, nil
	case c.how.arch:
		t.literal = Arch(value)
	}
	c.how.texts = append(c.how.texts, t)
	return spell(value, where), nil
}

// list reads the values of in and not in.
func (p *parser) list(c *Constraint) error {
	if !p.take("(") {
		return p.fail(p.at, "want values in parentheses after %s, as in (a, b), not %s", c.Op, p.next())
	}
	var all []string
	for {
		p.space()
		start := p.at
		value, quoted, err := p.value(inList)
		if err != nil {
			return err
		}
		if !quoted && looksRegexp(value) {
			return p.fail(start, "a list has no regular expressions; put this in quotes if it is none, or write =~ (a|b)")
		}
		spelling, err := p.compare(c, start, value, quoted, inList)
		if err != nil {
			return err
		}
		all = append(all, spelling)
		p.space()
		if p.take(")") {
			c.Value = "(" + strings.Join(all, ", ") + ")"
			return nil
		}
		if !p.take(",") {
			return p.fail(p.at, "want a comma or the closing parenthesis after a value, not %s", p.next())
		}
	}
}

// regexp makes the constraint's regular expression of a source that stands at start.
func (p *parser) regexp(c *Constraint, start int, source string) error {
	if source == "" {
		return p.fail(start, "want a regular expression here")
	}
	search, err := regexp.Compile(source)
	if err != nil {
		var bad *syntax.Error
		if errors.As(err, &bad) {
			return p.fail(start+max(strings.Index(source, bad.Expr), 0), "not a regular expression: %s: %s", bad.Code, bad.Expr)
		}
		return p.fail(start, "not a regular expression: %s", err)
	}
	c.Value, c.how.search = source, search
	return nil
}
