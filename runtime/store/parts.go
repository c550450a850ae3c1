package store

import (
	"context"
	"slices"
	"strings"
)

// PartsWatcher is a Store that can watch several prefixes at once, at the cost of what happens under them. All drivers of
// this repository can.
type PartsWatcher interface {
	// WatchParts is Watch for several prefixes, none of which begins with another: one batch for each later revision that
	// touched any of them, with all that it did under them.
	WatchParts(ctx context.Context, prefixes []string, after int64) <-chan Batch
}

// Part finds the one of sorted prefixes, none of which begins with another, that a key is under.
func Part(sorted []string, key string) (prefix string, ok bool) {
	i, found := slices.BinarySearch(sorted, key)
	if found {
		return key, true
	}
	if i > 0 && strings.HasPrefix(key, sorted[i-1]) {
		return sorted[i-1], true
	}
	return "", false
}

// Under reports of keys whether they are under any of the prefixes, none of which begins with another.
func Under(prefixes []string) func(key string) bool {
	sorted := slices.Sorted(slices.Values(prefixes))
	return func(key string) bool {
		_, ok := Part(sorted, key)
		return ok
	}
}

// Common is what all of the prefixes begin with.
func Common(prefixes []string) string {
	if len(prefixes) == 0 {
		return ""
	}
	common := prefixes[0]
	for _, p := range prefixes[1:] {
		for !strings.HasPrefix(p, common) {
			common = common[:len(common)-1]
		}
	}
	return common
}
