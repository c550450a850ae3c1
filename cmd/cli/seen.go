package cli

import (
	"os"
	"path/filepath"
	"slices"
	"time"
)

// seenLimit is how many inputs that passed the check are remembered, an empty file each.
const seenLimit = 256

// seen remembers valid inputs of the loader in a folder of the user's cache. What fails there costs time, no more.
type seen struct {
	dir string
}

func (s seen) Has(key string) bool {
	_, err := os.Stat(filepath.Join(s.dir, key))
	return err == nil
}

func (s seen) Add(key string) {
	if os.MkdirAll(s.dir, 0o700) != nil {
		return
	}
	s.trim()
	if f, err := os.OpenFile(filepath.Join(s.dir, key), os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		f.Close()
	}
}

// trim forgets the older half when there are too many.
func (s seen) trim() {
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) < seenLimit {
		return
	}
	age := map[string]time.Time{}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			age[e.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return age[a.Name()].Compare(age[b.Name()]) })
	for _, e := range entries[:len(entries)/2] {
		os.Remove(filepath.Join(s.dir, e.Name()))
	}
}
