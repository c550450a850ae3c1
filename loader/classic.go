package loader

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"berth/placement"
)

// What classic Swarm read of a container (docker/swarm v1.2.9, cluster/config.go): labels with JSON lists of rules, and
// variables that are named after the kind of rule and that it took out of the container's environment.
const classicPrefix = "com.docker.swarm."

type classicLabel struct{ label, variable string }

var classicLabels = []classicLabel{
	{"constraints", "constraint"}, {"affinities", "affinity"}, {"whitelists", "whitelist"}, {"reschedule-policies", "reschedule"},
}

// classicRules gives the services what classic Swarm's labels and variables say, and takes the variables out of their
// containers. It returns a sentence for each rule that cannot be honoured. On one host nothing of this is done: docker
// compose passes the variables on, and there is no choice.
func classicRules(p *placement.Project) (warnings []string, err error) {
	for _, s := range p.Services {
		c := classic{project: p, service: s}
		for _, l := range classicLabels {
			if err := c.label(l.label, l.variable); err != nil {
				return nil, err
			}
		}
		if taken, err := c.variables(); err != nil {
			return nil, err
		} else if taken {
			if s.ConfigHash, err = ServiceHash(*s.Spec); err != nil {
				return nil, &Error{Key: "services." + s.Name, Err: err}
			}
		}
		warnings = append(warnings, c.warnings...)
	}
	return warnings, nil
}

// classic reads the rules of one service.
type classic struct {
	project  *placement.Project
	service  *placement.Service
	warnings []string
}

func (c *classic) label(name, kind string) error {
	text, ok := c.service.Spec.Labels[classicPrefix+name]
	if !ok {
		return nil
	}
	key := "services." + c.service.Name + ".labels." + classicPrefix + name
	var rules []string
	if err := json.Unmarshal([]byte(text), &rules); err != nil {
		return &Error{Key: key, Err: fmt.Errorf(`%q is no list of rules in JSON; want one like ["storage==ssd"]`, text)}
	}
	for _, r := range rules {
		if err := c.rule(kind, r, key); err != nil {
			return err
		}
	}
	return nil
}

// variables takes in those of the environment and out of it, and reports whether there were any.
func (c *classic) variables() (taken bool, err error) {
	environment := maps.Clone(c.service.Spec.Environment) // shared with Project.Compose
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		kind, rule, _ := strings.Cut(name, ":")
		if rule == "" || !slices.ContainsFunc(classicLabels, func(l classicLabel) bool { return l.variable == kind }) {
			continue
		}
		if value := environment[name]; value != nil {
			rule += "=" + *value // the operator's first = has parted them, or its second in a mapping
		}
		if err := c.rule(kind, rule, "services."+c.service.Name+".environment."+name); err != nil {
			return false, err
		}
		delete(environment, name)
		taken = true
	}
	c.service.Spec.Environment = environment
	return taken, nil
}

// rule takes in one rule, which stands at key.
func (c *classic) rule(kind, text, key string) error {
	if kind == "reschedule" {
		if text == "off" {
			c.warn(kind, text, "the tasks of a lost host are moved all the same")
		} else if text != "on-node-failure" {
			return &Error{Key: key, Err: fmt.Errorf("%q is no reschedule policy; want on-node-failure or off", text)}
		}
		return nil
	}
	name, rule, err := placement.ParseClassic(text)
	if err != nil {
		return &Error{Key: key, Err: err}
	}
	switch {
	case kind == "whitelist":
		// It looks neither at the key nor at the operator.
		_, names, _ := strings.Cut(text, "=")
		rule.Op = placement.Equal
		rule = rule.Among("node", strings.Split(strings.TrimLeft(names, "=~"), "|"))
	case kind == "constraint":
		if rule.Key = placement.ClassicHostKey(name); rule.Key == "" {
			c.warn(kind, text, "no engine says what its "+name+" is")
			return nil
		}
	case name == string(placement.AboutImage):
		rule.Key = name
	default:
		services := c.like(name, rule)
		if len(services) == 0 {
			c.warn(kind, text, "no service of this project has such a "+map[bool]string{true: "container", false: "label"}[name == "container"]+
				", and what others run is not looked at")
			return nil
		}
		rule = rule.Among(string(placement.AboutService), services)
	}
	c.service.Constraints = append(c.service.Constraints, rule)
	return nil
}

func (c *classic) warn(kind, text, why string) {
	c.warnings = append(c.warnings, fmt.Sprintf("service %s: classic Swarm's %s:%s is not honoured: %s", c.service.Name, kind, text, why))
}

// like are the services whose containers an affinity means: by their names (with dashes or underscores, as compose wrote
// them in its time, or by the service's own), or by a label.
func (c *classic) like(key string, rule placement.Constraint) []string {
	var all []string
	services := c.project.Compose.AllServices()
	for _, name := range slices.Sorted(maps.Keys(services)) {
		s := services[name]
		if key != "container" {
			if value, ok := s.Labels[key]; ok && rule.MatchValue(value) {
				all = append(all, name)
			}
			continue
		}
		names := []string{name, s.ContainerName}
		if s.ContainerName == "" {
			names = names[:1]
			for i := range max(s.GetScale(), 1) {
				for _, separator := range []string{"-", "_"} {
					names = append(names, strings.Join([]string{c.project.Name, name, strconv.Itoa(i + 1)}, separator))
				}
			}
		}
		if slices.ContainsFunc(names, rule.MatchValue) {
			all = append(all, name)
		}
	}
	return all
}
