package loader

import (
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
	LabelSpread     = labelPrefix + "spread"     // node.labels.zone, or several with commas
	LabelStrategy   = labelPrefix + "strategy"   // spread or binpack
	LabelAffinity   = labelPrefix + "affinity"   // named in a warning: not honoured yet

	labelPrefix = "berth.placement."

	// LabelBuildOn says which hosts may build a service's image, as a constraint: node.name == web1
	LabelBuildOn = "berth.build.constraint"
)

var placementLabels = []string{LabelConstraint, LabelSpread, LabelStrategy, LabelAffinity}

// label is one placement label and where it stands.
type label struct {
	name, value string
	key         string // services.web.labels.berth.placement.spread
}

// readPlacement fills in constraints, preferences and strategy from deploy.placement and the labels. What both say adds
// up, deploy.placement first; a strategy said twice must be the same.
func readPlacement(s *placement.Service, service *types.ServiceConfig) error {
	if service.Deploy != nil {
		if err := readDeployPlacement(s, service.Deploy.Placement); err != nil {
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
		case LabelConstraint:
			constraints, err := placement.ParseConstraints(l.value)
			if err != nil {
				return &Error{Key: l.key, Err: err}
			}
			s.Constraints = append(s.Constraints, constraints...)
		case LabelSpread:
			for _, part := range strings.Split(l.value, ",") {
				preference, err := placement.ParsePreference(part)
				if err != nil {
					return &Error{Key: l.key, Err: err}
				}
				s.Preferences = append(s.Preferences, preference)
			}
		case LabelStrategy:
			strategy := placement.Strategy(strings.TrimSpace(l.value))
			if strategy != placement.Spread && strategy != placement.Binpack {
				return &Error{Key: l.key, Err: fmt.Errorf("%q is no strategy; want spread or binpack", l.value)}
			}
			if s.Strategy != "" && s.Strategy != strategy {
				return &Error{Key: l.key, Err: fmt.Errorf("strategy %s contradicts %s in %s; keep one of them", strategy, s.Strategy, strategyKey)}
			}
			s.Strategy, strategyKey = strategy, l.key
		}
	}
	if s.Strategy == "" {
		s.Strategy = placement.Spread
	}
	return nil
}

func readDeployPlacement(s *placement.Service, p types.Placement) error {
	key := "services." + s.Name + ".deploy.placement"
	for i, text := range p.Constraints {
		c, err := placement.ParseConstraint(text)
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
