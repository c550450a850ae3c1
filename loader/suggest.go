package loader

import (
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/tree"
)

// didYouMean is "; did you mean image?" when one of known is near enough to word, else "".
func didYouMean(word string, known []string) string {
	best, distance := "", 3
	if len(word) < 5 {
		distance = 2
	}
	for _, k := range known {
		if d := editDistance(word, k); d < distance || d == distance && best == "" && d < len(word)-1 {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// editDistance counts the letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
func editDistance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// schemaKeys lists the keys that the compose schema knows in the mapping at path: ["services", "web"] gives image,
// build …. Empty when the mapping takes any key.
func schemaKeys(path []string) []string {
	var found []string
	for _, pattern := range schema.AttributePaths() {
		parts := pattern.Parts()
		if len(parts) != len(path)+1 || parts[len(path)] == tree.PathMatchAll {
			continue
		}
		if slices.EqualFunc(parts[:len(path)], path, matches) {
			found = append(found, parts[len(path)])
		}
	}
	return found
}

// matches compares a part of a schema pattern with a part of a path.
func matches(pattern, part string) bool {
	if pattern == tree.PathMatchAll {
		return true
	}
	if pattern == tree.PathMatchList {
		_, err := strconv.Atoi(part)
		return err == nil
	}
	return pattern == part
}

// split cuts a dotted path of a compose file into parts, with the name of a service, network … as one part even when
// it has dots itself: names is asked for those.
func split(path string, names func(section string) []string) []string {
	section, rest, ok := strings.Cut(path, ".")
	if !ok {
		return []string{path}
	}
	name := ""
	for _, n := range names(section) {
		if (rest == n || strings.HasPrefix(rest, n+".")) && len(n) > len(name) {
			name = n
		}
	}
	if name == "" {
		return append([]string{section}, strings.Split(rest, ".")...)
	}
	parts := []string{section, name}
	if rest = strings.TrimPrefix(rest, name); rest != "" {
		parts = append(parts, strings.Split(rest[1:], ".")...)
	}
	return parts
}
