package placement

import (
	"net/netip"
	"strconv"
	"strings"
)

// Strategy is how placement chooses among the hosts that a task may run on.
type Strategy string

// The strategies.
const (
	Spread  Strategy = "spread"  // fewest tasks of the service first, then most free reservation (the default)
	Binpack Strategy = "binpack" // fullest host that still fits first
)

// Constraint must hold on the host of a task: "node.labels.type == worker". The keys and the way values compare are
// those of swarm (swarmkit manager/constraint): keys without regard to case except for a label's own name, values
// without regard to case, a key that the host does not have compares as the empty string.
type Constraint struct {
	Key   string // node.labels.type, engine.labels.x, node.hostname … (ParseConstraint has the list)
	Op    string // == or !=
	Value string
}

// Prefixes of the keys that name a label.
const (
	nodeLabels   = "node.labels."
	engineLabels = "engine.labels."
)

// String is the constraint as ParseConstraint reads it.
func (c Constraint) String() string { return c.Key + " " + c.Op + " " + quoteValue(c.Value) }

// Match reports whether the constraint holds on a host. A constraint that ParseConstraint would refuse never holds.
func (c Constraint) Match(h *Host) bool {
	got, ok := attribute(h, c.Key)
	if !ok || (c.Op != "==" && c.Op != "!=") {
		return false
	}
	return c.equal(got) == (c.Op == "==")
}

// equal compares a host's value with the wanted one.
func (c Constraint) equal(got string) bool {
	switch strings.ToLower(c.Key) {
	case "node.ip":
		ip, err := netip.ParseAddr(got)
		if err != nil {
			return false
		}
		if prefix, err := netip.ParsePrefix(c.Value); err == nil {
			return prefix.Contains(ip.Unmap())
		}
		want, err := netip.ParseAddr(c.Value)
		return err == nil && want.Unmap() == ip.Unmap()
	case "node.platform.arch":
		return Arch(got) == Arch(c.Value)
	}
	return strings.EqualFold(got, c.Value)
}

// Explain says why a host does not meet the constraint: `label type is "db", constraint wants worker`.
func (c Constraint) Explain(h *Host) string {
	got, ok := attribute(h, c.Key)
	if !ok {
		return "constraint key " + strconv.Quote(c.Key) + " is unknown"
	}
	subject := strings.TrimPrefix(strings.ToLower(c.Key), "node.")
	if label, engine, ok := labelKey(c.Key); ok {
		subject = "label " + label
		if engine {
			subject = "engine label " + label
		}
	}
	is := " is not set"
	if got != "" {
		is = " is " + strconv.Quote(got)
	}
	if c.Op == "!=" {
		if c.Value == "" {
			return subject + is + ", constraint wants any value"
		}
		return subject + is + ", constraint wants anything but " + quoteValue(c.Value)
	}
	return subject + is + ", constraint wants " + quoteValue(c.Value)
}

// Preference should hold: spread over the values of a host attribute.
type Preference struct {
	Spread string // node.labels.zone
}

// Arch is an architecture's GOARCH name: "x86_64" is amd64, "aarch64" is arm64. Unknown names come back in lower case.
func Arch(name string) string {
	switch name = strings.ToLower(name); name {
	case "x86_64", "x86-64":
		return "amd64"
	case "aarch64", "armv8", "armv8l":
		return "arm64"
	case "armhf", "armel", "armv6l", "armv7l":
		return "arm"
	case "i386", "i486", "i586", "i686", "x86":
		return "386"
	}
	return name
}

// labelKey cuts "node.labels.type" and "engine.labels.x" into the label's name and its kind.
func labelKey(key string) (label string, engine, ok bool) {
	if len(key) > len(nodeLabels) && strings.EqualFold(key[:len(nodeLabels)], nodeLabels) {
		return key[len(nodeLabels):], false, true
	}
	if len(key) > len(engineLabels) && strings.EqualFold(key[:len(engineLabels)], engineLabels) {
		return key[len(engineLabels):], true, true
	}
	return "", false, false
}

// attribute is a host's value for a constraint key, "" where the host has none; ok is false for an unknown key.
func attribute(h *Host, key string) (value string, ok bool) {
	if label, engine, ok := labelKey(key); ok {
		if engine {
			return h.EngineLabels[label], true
		}
		return h.Labels[label], true
	}
	switch strings.ToLower(key) {
	case "node.id":
		return h.EngineID, true
	case "node.name":
		return h.Name, true
	case "node.hostname":
		return h.Hostname, true
	case "node.ip":
		return h.IP, true
	case "node.role":
		return "worker", true // berth's hosts are all the same: none manages the others
	case "node.platform.os":
		return h.OS, true
	case "node.platform.arch":
		return h.Arch, true
	}
	return "", false
}
