// Package watch follows the files of services with a `develop.watch` section: which files of the user's machine changed,
// what that means for which service, and how the files get into its containers. It does not decide when a service is
// rebuilt or restarted; see cmd/cli/watch.go.
package watch

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"berth/placement"
)

// Rule is one entry of a service's develop.watch.
type Rule struct {
	Service string
	Path    string // file or folder, absolute, symbolic links followed; it need not be there yet
	Action  types.WatchAction
	Target  string // file or folder in the container that stands for Path; "" where nothing is synced
	Hook    types.ServiceHook
	Initial bool // initial_sync: all files are synced before the first change

	ignore  *patternmatcher.PatternMatcher // of paths relative to Path
	include *patternmatcher.PatternMatcher // nil includes everything
	context string                         // folder of the build context; "" without one
	unsent  *patternmatcher.PatternMatcher // its .dockerignore, of paths relative to it
}

// never are files that nobody means when they say "all files": of version control and of editors at work.
var never = []string{"**/.git", "**/.hg", "**/*~", "**/*.sw[a-z]", "**/4913", "**/.#*", "**/#*#", "**/.idea", "**/*___jb_*___", "**/.DS_Store"}

// Rules are those of the named services, of all with no names, in order of services and as the file has them. notes are
// sentences about rules that were left out. An error names the service and the rule.
func Rules(p *placement.Project, services []string) (rules []Rule, notes []string, err error) {
	for _, s := range p.Services {
		if s.Spec.Develop == nil || len(services) > 0 && !slices.Contains(services, s.Name) {
			continue
		}
		for i, trigger := range s.Spec.Develop.Watch {
			r, err := newRule(s, trigger)
			if err != nil {
				return nil, nil, fmt.Errorf("services.%s.develop.watch.%d: %w", s.Name, i, err)
			}
			if r.syncs() && bound(s, r.Path) {
				notes = append(notes, fmt.Sprintf("services.%s.develop.watch.%d: %s is in a bind mount of the service, so it is not synced", s.Name, i, trigger.Path))
				continue
			}
			if _, err := os.Stat(r.Path); errors.Is(err, fs.ErrNotExist) {
				notes = append(notes, fmt.Sprintf("services.%s.develop.watch.%d: path %s is not there; it is watched from when it is made", s.Name, i, trigger.Path))
			}
			rules = append(rules, r)
		}
	}
	return rules, notes, nil
}

func newRule(s *placement.Service, t types.Trigger) (Rule, error) {
	r := Rule{Service: s.Name, Action: t.Action, Target: t.Target, Hook: t.Exec, Initial: t.InitialSync}
	var err error
	if r.Path, err = resolve(t.Path); err != nil {
		return r, err
	}
	switch {
	case r.syncs() && !path.IsAbs(r.Target):
		return r, fmt.Errorf("action %s needs a target: with an absolute path in the container", r.Action)
	case r.Action == types.WatchActionRebuild && s.Spec.Build == nil:
		return r, fmt.Errorf("action rebuild needs build: in service %s", s.Name)
	case r.Action == types.WatchActionSyncExec && len(r.Hook.Command) == 0:
		return r, errors.New("action sync+exec needs exec: with a command")
	}
	if r.ignore, err = patternmatcher.New(slices.Concat(never, t.Ignore)); err != nil {
		return r, fmt.Errorf("ignore: %w", err)
	}
	if len(t.Include) > 0 {
		if r.include, err = patternmatcher.New(t.Include); err != nil {
			return r, fmt.Errorf("include: %w", err)
		}
	}
	return r, r.readDockerignore(s.Spec.Build)
}

// resolve follows the symbolic links of a path as far as there is anything.
func resolve(file string) (string, error) {
	dir := nearest(file)
	real, err := filepath.EvalSymlinks(dir)
	return real + strings.TrimPrefix(filepath.Clean(file), strings.TrimSuffix(dir, string(filepath.Separator))), err
}

// nearest is the path itself, or where nothing is, the folder above that is there.
func nearest(file string) string {
	file = filepath.Clean(file)
	for {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) || file == filepath.Dir(file) {
			return file
		}
		file = filepath.Dir(file)
	}
}

// readDockerignore leaves out of the rule what no build gets to see.
func (r *Rule) readDockerignore(build *types.BuildConfig) error {
	if build == nil || !filepath.IsAbs(build.Context) {
		return nil
	}
	own := filepath.Join(build.Context, cmp.Or(build.Dockerfile, "Dockerfile")+".dockerignore")
	for _, file := range []string{own, filepath.Join(build.Context, ".dockerignore")} {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		patterns, err := ignorefile.ReadAll(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if r.unsent, err = patternmatcher.New(patterns); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		r.context, err = filepath.EvalSymlinks(build.Context)
		return err
	}
	return nil
}

// syncs reports whether the rule copies files into containers.
func (r *Rule) syncs() bool {
	return r.Action == types.WatchActionSync || r.Action == types.WatchActionSyncRestart || r.Action == types.WatchActionSyncExec
}

// bound reports whether a path lies in a bind mount of the service: its containers see changes without help.
func bound(s *placement.Service, file string) bool {
	return slices.ContainsFunc(s.Mounts, func(m placement.Mount) bool {
		if m.Type != types.VolumeTypeBind {
			return false
		}
		source, err := filepath.EvalSymlinks(m.Source)
		_, inside := below(source, file)
		return err == nil && inside
	})
}

// Concerns reports whether a change of a file is the rule's business, and what the file is in the container.
func (r *Rule) Concerns(file string) (target string, ok bool) {
	rel, inside := below(r.Path, file)
	if !inside || r.leavesOut(file) {
		return "", false
	}
	if r.include != nil && rel != "." {
		if included, err := r.include.MatchesOrParentMatches(rel); err != nil || !included {
			return "", false
		}
	}
	if r.Target == "" {
		return "", true
	}
	return path.Join(r.Target, rel), true
}

// leavesOut reports whether a file, or all below a folder, is ignored by the rule.
func (r *Rule) leavesOut(file string) bool {
	if rel, inside := below(r.Path, file); inside && rel != "." {
		if ignored, err := r.ignore.MatchesOrParentMatches(rel); err == nil && ignored {
			return true
		}
	}
	if r.unsent == nil {
		return false
	}
	rel, inside := below(r.context, file)
	if !inside || rel == "." {
		return false
	}
	ignored, err := r.unsent.MatchesOrParentMatches(rel)
	return err == nil && ignored
}

// below is a file's path from a folder on, with slashes; inside is false when it is elsewhere.
func below(folder, file string) (rel string, inside bool) {
	rel, err := filepath.Rel(folder, file)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}
