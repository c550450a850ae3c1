package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Changes come in bursts: a save is several events, a checkout thousands.
const (
	quiet   = 200 * time.Millisecond // a burst is over when nothing has happened for so long
	longest = 2 * time.Second        // and taken for over after this
)

// Watcher tells which files below some paths change. Next is for one goroutine.
type Watcher struct {
	rules   []Rule
	events  *fsnotify.Watcher
	changed map[string]bool // of the burst that is under way
}

// New begins to watch the rules' paths. Close it.
func New(rules []Rule) (*Watcher, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	w := &Watcher{rules: rules, events: events, changed: map[string]bool{}}
	for _, r := range rules {
		if err := w.add(r.Path, false); err != nil {
			return nil, errors.Join(fmt.Errorf("watch %s: %w", r.Path, explain(err)), events.Close())
		}
	}
	return w, nil
}

// Close ends the watching.
func (w *Watcher) Close() error { return w.events.Close() }

// Next waits for the next burst of changes to be over and gives the paths of it, sorted: files that were written, made or
// removed, and folders that were made or removed. It ends with ctx's cause.
func (w *Watcher) Next(ctx context.Context) ([]string, error) {
	var over, end <-chan time.Time
	for {
		select {
		case ev, ok := <-w.events.Events:
			if !ok {
				return nil, fsnotify.ErrClosed
			}
			if err := w.see(ev); err != nil {
				return nil, err
			}
		case err, ok := <-w.events.Errors:
			if !ok {
				return nil, fsnotify.ErrClosed
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return nil, fmt.Errorf("watch files: %w", explain(err))
			}
			for _, r := range w.rules { // nobody knows which: all
				if err := w.add(r.Path, true); err != nil {
					return nil, err
				}
			}
		case <-over:
			return w.take(), nil
		case <-end:
			return w.take(), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if len(w.changed) > 0 {
			over = time.After(quiet)
			if end == nil {
				end = time.After(longest)
			}
		}
	}
}

func (w *Watcher) take() []string {
	all := slices.Sorted(maps.Keys(w.changed))
	clear(w.changed)
	return all
}

// see takes in one event. A new folder is watched, too, and all that is in it is new.
func (w *Watcher) see(ev fsnotify.Event) error {
	if ev.Op == fsnotify.Chmod {
		return nil
	}
	if w.wanted(ev.Name) {
		w.changed[ev.Name] = true
	}
	if ev.Has(fsnotify.Remove | fsnotify.Rename) {
		for _, r := range w.rules {
			if _, above := below(ev.Name, r.Path); !above {
				continue
			}
			if err := w.await(r.Path); err != nil {
				return fmt.Errorf("watch %s: %w", r.Path, explain(err))
			}
		}
	}
	if !ev.Has(fsnotify.Create) {
		return nil
	}
	if info, err := os.Lstat(ev.Name); err != nil || !info.IsDir() || w.ignored(ev.Name) {
		return nil // it may be gone again
	}
	if err := w.add(ev.Name, true); err != nil {
		return fmt.Errorf("watch %s: %w", ev.Name, explain(err))
	}
	return nil
}

// add watches a folder and all below it, or the folder that a file is in: an editor may put another in the file's place.
// With changed set, everything in it counts as changed.
func (w *Watcher) add(root string, changed bool) error {
	info, err := os.Stat(root)
	if errors.Is(err, fs.ErrNotExist) {
		return w.await(root)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		if changed {
			w.changed[root] = true
		}
		return w.events.Add(filepath.Dir(root))
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone while we looked
		}
		if err != nil {
			return err
		}
		if path != root && changed && w.wanted(path) {
			w.changed[path] = true
		}
		if !entry.IsDir() {
			return nil
		}
		if path != root && w.ignored(path) {
			return fs.SkipDir
		}
		if err := w.events.Add(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// await watches the folder in which a path that is not there is going to be made, or the first of those that lead to it.
func (w *Watcher) await(path string) error {
	for {
		dir := nearest(path)
		if dir == path {
			return w.add(path, true)
		}
		if err := w.events.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if nearest(path) == dir {
			return nil
		} // more of it was made, or gone, meanwhile
	}
}

// wanted reports whether a rule asks for the path.
func (w *Watcher) wanted(path string) bool {
	return slices.ContainsFunc(w.rules, func(r Rule) bool {
		_, ok := r.Concerns(path)
		return ok
	})
}

// ignored reports whether nothing below a folder can be asked for.
func (w *Watcher) ignored(dir string) bool {
	return !slices.ContainsFunc(w.rules, func(r Rule) bool {
		_, inside := below(r.Path, dir)
		_, around := below(dir, r.Path)
		return around || inside && !r.leavesOut(dir)
	})
}

// explain says what to do about a limit that large trees meet.
func explain(err error) error {
	if errors.Is(err, errTooMany) {
		return fmt.Errorf("%w: there are more folders than the kernel watches for a user; ignore some, or raise fs.inotify.max_user_watches", err)
	}
	return err
}
