package watch

import (
	"cmp"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// Reaction is what changes of files mean for one service. A rebuild stands alone: the new container has all files.
type Reaction struct {
	Service string
	Rebuild bool
	Files   []File // to sync, sorted by path
	Restart bool   // after that
	Hooks   []types.ServiceHook
}

// React is what a burst of changes means, in order of services. It is nothing where no rule concerns the paths.
func React(rules []Rule, changed []string) []Reaction {
	byName := map[string]*Reaction{}
	var all []*Reaction
	for i := range rules {
		rule := &rules[i]
		var files []File
		for _, path := range changed {
			if target, ok := rule.Concerns(path); ok {
				files = append(files, File{path, target})
			}
		}
		if len(files) == 0 {
			continue
		}
		r := byName[rule.Service]
		if r == nil {
			r = &Reaction{Service: rule.Service}
			byName[rule.Service], all = r, append(all, r)
		}
		r.add(rule, files)
	}
	reactions := make([]Reaction, 0, len(all))
	for _, r := range all {
		if r.Rebuild {
			*r = Reaction{Service: r.Service, Rebuild: true}
		}
		slices.SortFunc(r.Files, func(a, b File) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Target, b.Target)) })
		r.Files = slices.Compact(r.Files)
		reactions = append(reactions, *r)
	}
	return reactions
}

func (r *Reaction) add(rule *Rule, files []File) {
	switch rule.Action {
	case types.WatchActionRebuild:
		r.Rebuild = true
	case types.WatchActionRestart:
		r.Restart = true
	case types.WatchActionSyncRestart:
		r.Restart = true
		r.Files = append(r.Files, files...)
	case types.WatchActionSyncExec:
		r.Hooks = append(r.Hooks, rule.Hook)
		r.Files = append(r.Files, files...)
	case types.WatchActionSync:
		r.Files = append(r.Files, files...)
	}
}

// Beginning is what the rules with initial_sync ask for at the start.
func Beginning(rules []Rule) ([]Reaction, error) {
	var all []Reaction
	for i := range rules {
		if r := &rules[i]; r.Initial && r.syncs() {
			files, err := r.All()
			if err != nil {
				return nil, err
			}
			if len(files) > 0 {
				all = append(all, Reaction{Service: r.Service, Files: files})
			}
		}
	}
	return all, nil
}
