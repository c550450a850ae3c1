package placement

import (
	"slices"
	"strconv"
	"strings"
)

// Preference should hold: spread over the values of a host attribute, evenly or by shares.
type Preference struct {
	Spread string  // a key about hosts, as in Constraint: node.labels.zone
	Shares []Share // values that are to get more tasks than the others; empty is evenly
}

// Share is the weight of one value: with a: 2 and b: 1 the hosts with a get twice the tasks of those with b.
type Share struct {
	Value  string
	Weight int // 1 to 1000
}

// maxShare bounds weights, so that sums and products of them and of counts stay far from overflow.
const maxShare = 1000

// Share is the weight of a value: 1 where the preference says nothing of it. Values compare without regard to case.
func (p Preference) Share(value string) int {
	for _, s := range p.Shares {
		if strings.EqualFold(s.Value, value) {
			return s.Weight
		}
	}
	return 1
}

// String is the preference as ParsePreference reads it: "node.labels.zone (a: 2, b: 1)".
func (p Preference) String() string {
	if len(p.Shares) == 0 {
		return p.Spread
	}
	shares := make([]string, len(p.Shares))
	for i, s := range p.Shares {
		shares[i] = spell(s.Value, inShares) + ": " + strconv.Itoa(s.Weight)
	}
	return p.Spread + " (" + strings.Join(shares, ", ") + ")"
}

// ParsePreference reads a spread preference: a key about hosts, as ParseConstraint has them, and in parentheses what
// share some of its values are to have: "node.labels.zone (a: 2, b: 1)". Errors are *ParseError.
func ParsePreference(s string) (Preference, error) {
	p := parser{in: s, what: "preference"}
	all, err := p.preferences()
	if err != nil {
		return Preference{}, err
	}
	if len(all) != 1 {
		return Preference{}, p.fail(strings.IndexByte(s, ','), "one preference is wanted here, not several with commas")
	}
	return all[0], nil
}

// ParsePreferences reads preferences with commas between them, the most important first. Errors are *ParseError.
func ParsePreferences(s string) ([]Preference, error) {
	p := parser{in: s, what: "preference"}
	return p.preferences()
}

func (p *parser) preferences() ([]Preference, error) {
	if err := p.text(); err != nil {
		return nil, err
	}
	var all []Preference
	for {
		start := p.at
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		if about(key) != AboutHost {
			p.at = start
			p.space()
			return nil, p.fail(p.at, "want a key about hosts to spread over, such as node.labels.zone, not %s", key)
		}
		preference := Preference{Spread: key}
		if p.space(); p.take("(") {
			if preference.Shares, err = p.shares(); err != nil {
				return nil, err
			}
			p.space()
		}
		all = append(all, preference)
		switch {
		case p.at == len(p.in):
			return all, nil
		case !p.take(","):
			return nil, p.fail(p.at, "want the end after a key to spread over, or shares like (a: 2, b: 1), not %s", p.next())
		}
	}
}

// shares reads what is behind the parenthesis, with the closing one.
func (p *parser) shares() ([]Share, error) {
	var all []Share
	for {
		p.space()
		start := p.at
		value, _, err := p.value(inShares)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(s Share) bool { return strings.EqualFold(s.Value, value) }) {
			return nil, p.fail(start, "%s has a share already", value)
		}
		if p.space(); !p.take(":") {
			return nil, p.fail(p.at, "want a colon and a share after a value, as in a: 2, not %s", p.next())
		}
		p.space()
		weight, err := p.number(maxShare, "a share")
		if err != nil {
			return nil, err
		}
		all = append(all, Share{value, weight})
		p.space()
		switch {
		case p.take(")"):
			return all, nil
		case !p.take(","):
			return nil, p.fail(p.at, "want a comma or the closing parenthesis after a share, not %s", p.next())
		}
	}
}
