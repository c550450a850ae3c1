package loader

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"regexp"
	"slices"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/schema"
)

// Seen remembers inputs that passed the check against compose's schema. Making that schema ready takes longer than all
// the rest of a load, and a project is loaded far more often than its files change.
type Seen interface {
	// Has reports whether the input of that key has passed. Keys are 64 hexadecimal digits.
	Has(key string) bool
	// Add remembers that it has.
	Add(key string)
}

// variable finds the names of variables that may be filled in. It finds too many rather than too few.
var variable = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// seenKey is what the schema's verdict depends on: the schema, the files and the variables that they name. It is ""
// when that is not known before the load: included and extended files are found on the way, and an escape may
// hide them and variables.
func (s *sources) seenKey() string {
	if s.opts.Seen == nil || s.opts.NoInterpolate || !s.alone() || s.escapes() {
		return ""
	}
	h := sha256.New()
	write := func(text string) {
		// A length before each part keeps two inputs apart whose parts run together the same way.
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		h.Write([]byte(text))
	}
	write(schema.Schema)
	var names []string
	for _, f := range s.files {
		write(string(f.Content))
		for _, m := range variable.FindAllSubmatch(f.Content, -1) {
			names = append(names, string(m[1]))
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		value, set := s.env[name]
		if set {
			value = "=" + value
		}
		write(name + value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// unchecked is settings without the check against the schema.
func (s *sources) unchecked(l *loader.Options) {
	s.settings(l)
	l.SkipValidation = true
}
