package loader

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// The labels that stand for deploy.placement, in `labels:` or `deploy.labels:` of a service. README.md has their
// reference.
const (
	LabelConstraint = labelPrefix + "constraint" // node.labels.type == worker && node.labels.zone != c
	LabelAffinity   = labelPrefix + "affinity"   // service == cache; the same language as LabelConstraint
	LabelSpread     = labelPrefix + "spread"     // node.labels.zone, or several with commas
	LabelStrategy   = labelPrefix + "strategy"   // spread, binpack, random or random:<seed>

	labelPrefix = "berth.placement."

	// LabelPortsMode is the mode of the ports of a service whose own entries name none: host (the default) or ingress.
	LabelPortsMode = "berth.ports.mode"

	// LabelBuildOn says which hosts may build a service's image, as a constraint: node.name == web1
	LabelBuildOn = "berth.build.constraint"
)

var placementLabels = []string{LabelConstraint, LabelAffinity, LabelSpread, LabelStrategy}

// extension is the key at the top of a compose file that has what holds for all services of the project.
const extension = "x-berth"

// label is one placement label and where it stands.
type label struct {
	name, value string
	key         string // services.web.labels.berth.placement.spread
}

// readPlacement fills in constraints, preferences and strategy from deploy.placement and the labels. What both say adds
// up, deploy.placement first; a strategy said twice must be the same.
func readPlacement(p *types.Project, s *placement.Service, service *types.ServiceConfig) error {
	if service.Deploy != nil {
		if err := readDeployPlacement(p, s, service.Deploy.Placement); err != nil {
			return err
		}
	}
	labels, err := placementLabelsOf(service)
	if err != nil {
		return err
	}
	strategyKey := ""
	for _, l := range labels {
		switch l.name {
		case LabelConstraint, LabelAffinity:
			constraints, err := placement.ParseConstraints(l.value)
			if err == nil {
				err = namesServices(p, constraints)
			}
			if err != nil {
				return &Error{Key: l.key, Err: err}
			}
			s.Constraints = append(s.Constraints, constraints...)
		case LabelSpread:
			preferences, err := placement.ParsePreferences(l.value)
			if err != nil {
				return &Error{Key: l.key, Err: err}
			}
			s.Preferences = append(s.Preferences, preferences...)
		case LabelStrategy:
			strategy, seed, err := placement.ParseStrategy(l.value)
			if err != nil {
				return &Error{Key: l.key, Err: err}
			}
			if strategyKey != "" && (s.Strategy != strategy || s.Seed != seed) {
				return &Error{Key: l.key, Err: fmt.Errorf("strategy %s contradicts %s; keep one of them", strings.TrimSpace(l.value), strategyKey)}
			}
			s.Strategy, s.Seed, strategyKey = strategy, seed, l.key
		}
	}
	if strategyKey == "" {
		s.Strategy, s.Seed, err = projectStrategy(p)
	}
	return err
}

// projectStrategy is the strategy of services that name none: x-berth's, else spread.
func projectStrategy(p *types.Project) (placement.Strategy, uint64, error) {
	ours, ok := p.Extensions[extension]
	if !ok {
		return placement.Spread, 0, nil
	}
	settings, ok := ours.(map[string]any)
	if !ok {
		return "", 0, &Error{Key: extension, Err: errors.New("want a mapping here, as in x-berth: {strategy: binpack}")}
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if name != "strategy" && name != extensionPorts {
			return "", 0, &Error{Key: extension + "." + name, Err: fmt.Errorf("unknown key%s; the keys here are strategy and ports",
				didYouMean(name, []string{"strategy", extensionPorts}))}
		}
	}
	text, ok := settings["strategy"].(string)
	if !ok && settings["strategy"] != nil {
		return "", 0, &Error{Key: extension + ".strategy", Err: errors.New("want a text here, as in strategy: binpack")}
	}
	strategy, seed, err := placement.ParseStrategy(cmp.Or(text, string(placement.Spread)))
	if err != nil {
		return "", 0, &Error{Key: extension + ".strategy", Err: err}
	}
	return strategy, seed, nil
}

// namesServices refuses constraints on services that the project does not have, running or switched off: a misspelt one
// must not keep a task off everywhere, or off nowhere.
func namesServices(p *types.Project, constraints []placement.Constraint) error {
	all := slices.Sorted(maps.Keys(p.AllServices()))
	for _, c := range constraints {
		if c.Kind() != placement.AboutService {
			continue
		}
		for _, name := range c.Names() {
			if !slices.ContainsFunc(all, func(s string) bool { return strings.EqualFold(s, name) }) {
				return fmt.Errorf("constraint %s: no such service: %q%s", c, name, didYouMean(name, all))
			}
		}
	}
	return nil
}

func readDeployPlacement(project *types.Project, s *placement.Service, p types.Placement) error {
	key := "services." + s.Name + ".deploy.placement"
	for i, text := range p.Constraints {
		c, err := placement.ParseConstraint(text)
		if err == nil {
			err = namesServices(project, []placement.Constraint{c})
		}
		if err != nil {
			return &Error{Key: fmt.Sprintf("%s.constraints.%d", key, i), Err: err}
		}
		s.Constraints = append(s.Constraints, c)
	}
	for i, preference := range p.Preferences {
		at := fmt.Sprintf("%s.preferences.%d", key, i)
		if preference.Spread == "" {
			return &Error{Key: at, Err: errors.New("a preference needs spread:, such as spread: node.labels.zone")}
		}
		parsed, err := placement.ParsePreference(preference.Spread)
		if err != nil {
			return &Error{Key: at + ".spread", Err: err}
		}
		s.Preferences = append(s.Preferences, parsed)
	}
	return nil
}

// placementLabelsOf collects the berth.placement labels, those of labels: first, by name. One that berth does not know
// is an error: a misspelt constraint must not place a task anywhere. The same label with the same value in both places
// counts once.
func placementLabelsOf(service *types.ServiceConfig) ([]label, error) {
	var all []label
	seen := map[[2]string]bool{}
	collect := func(labels types.Labels, at string) error {
		for _, name := range slices.Sorted(maps.Keys(labels)) {
			if !strings.HasPrefix(name, labelPrefix) {
				continue
			}
			l := label{name: name, value: labels[name], key: "services." + service.Name + "." + at + "." + name}
			if !slices.Contains(placementLabels, name) {
				return &Error{Key: l.key, Err: fmt.Errorf("unknown placement label%s; the labels are %s",
					didYouMean(name, placementLabels), strings.Join(placementLabels, ", "))}
			}
			if id := [2]string{name, l.value}; !seen[id] {
				seen[id] = true
				all = append(all, l)
			}
		}
		return nil
	}
	if err := collect(service.Labels, "labels"); err != nil {
		return nil, err
	}
	if service.Deploy != nil {
		if err := collect(service.Deploy.Labels, "deploy.labels"); err != nil {
			return nil, err
		}
	}
	return all, nil
}
