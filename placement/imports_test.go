package placement

import (
	goparser "go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestImportsStayPure keeps effects out of this room: everything else builds on its words, so it must build on
// nothing but the compose model, and be testable without engines.
func TestImportsStayPure(t *testing.T) {
	allowed := map[string]bool{
		"github.com/compose-spec/compose-go/v2/types": true,
		"cmp": true, "fmt": true, "unicode": true, "unicode/utf8": true,
		"net/netip": true, "slices": true, "strconv": true, "strings": true,
		"time": true, // durations; a call of time.Now would show in the text below
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "time.Now") {
			t.Errorf("%s reads the clock; hand the time in", f.Name())
		}
		parsed, err := goparser.ParseFile(token.NewFileSet(), f.Name(), text, goparser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range parsed.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); !allowed[path] {
				t.Errorf("%s imports %s: placement is pure; effects belong into runtime, and what a rule must know into Observation", f.Name(), path)
			}
		}
	}
}
