package loader

import (
	"bytes"
	"regexp"
	"strings"

	interp "github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/tree"
)

// trim takes from compose-go's work what the text of the files shows to be without effect: the pass over all files for
// a `name:` that none of them has, and patterns for numbers and booleans under keys that none of them has. Each value's
// path is compared with each of some hundred patterns, which is a fifth of a load.
func (s *sources) trim(l *loader.Options) {
	if !s.alone() || s.escapes() {
		return
	}
	if !s.hasKey("name") {
		l.SetProjectName(s.name, true)
	}
	casts := map[tree.Path]interp.Cast{}
	for pattern, cast := range l.Interpolate.TypeCastMapping {
		if s.hasKeys(pattern) {
			casts[pattern] = cast
		}
	}
	l.Interpolate.TypeCastMapping = casts
}

// alone reports whether the files name no others that would be included or extended, and found on the way only.
func (s *sources) alone() bool {
	for _, f := range s.files {
		if bytes.Contains(f.Content, []byte("include")) || bytes.Contains(f.Content, []byte("extends")) {
			return false
		}
	}
	return true
}

// escape finds what may spell a key in another way than by its letters: an escape of a double-quoted string that stands
// for a letter or for no character at all, base64, whose tag can be spelt in several ways, and a text in UTF-16, which has
// zero bytes.
var escape = regexp.MustCompile(`\\[xuU\r\n]|binary|%TAG|!\S*[%<]|\x00`)

func (s *sources) escapes() bool {
	for _, f := range s.files {
		if escape.Match(f.Content) {
			return true
		}
	}
	return false
}

// hasKeys reports whether all keys of a pattern may be in the files.
func (s *sources) hasKeys(pattern tree.Path) bool {
	for _, part := range pattern.Parts() {
		if part != tree.PathMatchAll && part != tree.PathMatchList && !s.hasKey(part) {
			return false
		}
	}
	return true
}

// hasKey reports whether a key may be in the files. It says so of too many rather than of too few: of each word that has
// nothing of a word before and after it.
func (s *sources) hasKey(key string) bool {
	for _, f := range s.files {
		for text := f.Content; ; {
			at := bytes.Index(text, []byte(key))
			if at < 0 {
				break
			}
			end := at + len(key)
			if (at == 0 || !inWord(text[at-1])) && (end == len(text) || !inWord(text[end])) {
				return true
			}
			text = text[end:]
		}
	}
	return false
}

// inWord reports whether a byte makes another key of the one that it stands beside.
func inWord(b byte) bool {
	return b == '_' || b == '-' || b >= '0' && b <= '9' || strings.IndexByte("abcdefghijklmnopqrstuvwxyz", b|0x20) >= 0
}
