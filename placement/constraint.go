package placement

import (
	"strconv"
	"strings"
)

// Constraint is a rule about the host of a task, or about what is beside the task there: "node.labels.type == worker",
// "service != cache ~5". A hard one must hold, a soft one should. README.md has the language.
//
// Keys compare without regard to case except for a label's own name, values without regard to case except in regular
// expressions, and a key that the host does not have compares as the empty text (as in swarmkit,
// manager/constraint).
type Constraint struct {
	Key string // node.labels.type, engine.version, service … (ParseConstraint has the list)
	Op  Operator
	// Value is what to compare with, as the rule spells it: web-* has wildcards, "web-*" has none, (a, b) is the list of
	// in and not in. Of =~ and !~ it is the regular expression itself.
	Value string
	Soft  bool
	// Weight is how much a soft rule counts beside others, 1 to 100; 0 for hard ones.
	Weight int

	how *comparison // made by the parser; nil in a constraint that was put together by hand
}

// Operator is how a constraint compares.
type Operator string

// The operators.
const (
	Equal      Operator = "=="
	NotEqual   Operator = "!="
	Matches    Operator = "=~" // a regular expression (RE2) is found somewhere in the value
	MatchesNot Operator = "!~"
	In         Operator = "in"
	NotIn      Operator = "not in"
	Less       Operator = "<" // numbers, sizes or versions
	AtMost     Operator = "<="
	Greater    Operator = ">"
	AtLeast    Operator = ">="
)

// ordered reports whether an operator compares by size.
func (o Operator) ordered() bool { return o == Less || o == AtMost || o == Greater || o == AtLeast }

// searching is the operator for regular expressions that goes with == or !=.
func (o Operator) searching() Operator {
	if o == NotEqual {
		return MatchesNot
	}
	return Matches
}

// Kind is what a constraint is about.
type Kind string

// The kinds of constraints.
const (
	AboutHost    Kind = "host"    // an attribute of the host: Match tells
	AboutService Kind = "service" // services of the project with tasks on the host: MatchValue tells of each
	AboutImage   Kind = "image"   // images on the host: Needs tells
	AboutVolume  Kind = "volume"  // volumes on the host: Needs tells
)

// Kind is what the constraint is about.
func (c Constraint) Kind() Kind {
	if c.how != nil && c.how.kind != "" {
		return c.how.kind
	}
	return about(c.Key)
}

// Negated reports whether the constraint excludes: !=, !~ and not in. About services it holds where none matches,
// while the others hold where at least one does.
func (c Constraint) Negated() bool { return c.Op == NotEqual || c.Op == MatchesNot || c.Op == NotIn }

// Identity reports whether the key tells hosts apart that are alike otherwise: such a constraint has to be asked of each
// host and not once for all that have the same labels, platform and engine.
func (c Constraint) Identity() bool {
	switch strings.ToLower(c.Key) {
	case "node", "node.id", "node.name", "node.hostname", "node.ip":
		return true
	}
	return false
}

// Match reports whether a constraint about hosts holds on one. A constraint that ParseConstraint would refuse, or that
// is about something else, never holds.
func (c Constraint) Match(h *Host) bool {
	got, ok := attribute(h, c.Key)
	how := c.comparison()
	if !ok || how == nil {
		return false
	}
	matches := how.matches(got)
	if strings.EqualFold(c.Key, "node") {
		matches = matches || how.matches(h.Hostname) || how.matches(h.EngineID)
	}
	return matches != c.Negated()
}

// MatchValue compares one value, without the operator's negation: of `!= web*` it reports whether v is web*, of `not in
// (a, b)` whether v is one of them, of `< 5` whether v is less.
func (c Constraint) MatchValue(v string) bool {
	how := c.comparison()
	return how != nil && how.matches(v)
}

// Names are the texts that the constraint names, those with wildcards and regular expressions left out.
func (c Constraint) Names() []string {
	how := c.comparison()
	if how == nil {
		return nil
	}
	var all []string
	for _, t := range how.texts {
		if t.pattern == nil {
			all = append(all, t.literal)
		}
	}
	return all
}

// Equal reports whether two constraints say the same.
func (c Constraint) Equal(o Constraint) bool {
	return c.Key == o.Key && c.Op == o.Op && c.Value == o.Value && c.Soft == o.Soft && c.Weight == o.Weight
}

// String is the constraint as ParseConstraint reads it.
func (c Constraint) String() string {
	text := c.Key + " " + string(c.Op) + " " + c.operand()
	if c.Soft {
		text += " ~"
		if c.Weight > 1 {
			text += strconv.Itoa(c.Weight)
		}
	}
	return text
}

// operand is the value as it stands in a rule.
func (c Constraint) operand() string {
	if c.Op == Matches || c.Op == MatchesNot {
		return spellRegexp(c.Value)
	}
	return c.Value
}

// Explain says why a host does not meet a constraint about hosts: `label type is "db", constraint wants worker`.
func (c Constraint) Explain(h *Host) string {
	got, ok := attribute(h, c.Key)
	if !ok {
		return "constraint key " + strconv.Quote(c.Key) + " is unknown"
	}
	subject := strings.TrimPrefix(strings.ToLower(c.Key), "node.")
	if label, of, ok := labelKey(c.Key); ok {
		subject = "label " + label
		if of == engineLabels {
			subject = "engine label " + label
		}
	}
	is := " is not set"
	if got != "" {
		is = " is " + strconv.Quote(got)
		if how := c.comparison(); c.Op.ordered() && how != nil && !how.order.reads(got) {
			is += ", which is no " + how.order.name()
		}
	}
	return subject + is + ", constraint wants " + c.wants()
}

// wants names the values that the constraint admits.
func (c Constraint) wants() string {
	switch c.Op {
	case NotEqual:
		if c.Value == `""` {
			return "any value"
		}
		return "anything but " + c.Value
	case Matches:
		return "a match of " + c.operand()
	case MatchesNot:
		return "no match of " + c.operand()
	case In:
		return "one of " + c.Value
	case NotIn:
		return "none of " + c.Value
	case Less, AtMost, Greater, AtLeast:
		return string(c.Op) + " " + c.Value
	}
	return c.Value
}

// ExplainBeside says why a host does not meet a constraint about services, images or volumes. found is what is there
// and must not be, of a negated constraint: `service web is here, constraint wants no service web*`; "" leaves that open.
// Others say `no service cache is here, constraint wants one`.
func (c Constraint) ExplainBeside(found string) string {
	which := string(c.Kind()) + " "
	switch c.Op {
	case In, NotIn:
		which += "of "
	case Matches, MatchesNot:
		which += "matching "
	}
	which += c.operand()
	switch {
	case c.Negated() && found == "":
		article := "a "
		if c.Kind() == AboutImage {
			article = "an "
		}
		return article + which + " is here, constraint wants none"
	case c.Negated():
		return string(c.Kind()) + " " + found + " is here, constraint wants no " + which
	}
	return "no " + which + " is here, constraint wants one"
}

// Unmet is the first hard constraint about hosts that does not hold on a host, nil when all do.
func (s *Service) Unmet(h *Host) *Constraint {
	for i := range s.Constraints {
		if c := &s.Constraints[i]; !c.Soft && c.Kind() == AboutHost && !c.Match(h) {
			return c
		}
	}
	return nil
}
