package loader

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var errAnsible = errors.New("this is an inventory of Ansible's, which berth does not read; write its hosts as " +
	"hosts: {web1: {address: ssh://user@10.0.0.2, labels: {type: worker}}}, with labels for its groups and variables")

// ansibleINI is a line that only Ansible's INI inventories have: a group, or a host's variable.
var ansibleINI = regexp.MustCompile(`(?m)^\s*\[[\w.-]+(:(children|vars))?\]\s*$|^[^#;\n]*\bansible_\w+\s*=`)

// isAnsible reports whether a file that is no inventory of ours is one of Ansible's: INI, or YAML whose top keys are
// groups with hosts, children or vars. root is nil where the file is no YAML.
func isAnsible(content []byte, root *yaml.Node) bool {
	if root == nil || root.Kind != yaml.MappingNode {
		return ansibleINI.Match(content)
	}
	groups := pairs(root)
	if slices.ContainsFunc(groups, func(p pair) bool { return p.key.Value == "hosts" }) {
		return false
	}
	return slices.ContainsFunc(groups, func(group pair) bool {
		return !strings.HasPrefix(group.key.Value, "x-") && slices.ContainsFunc(pairs(group.value), func(p pair) bool {
			return slices.Contains([]string{"hosts", "children", "vars"}, p.key.Value)
		})
	})
}
