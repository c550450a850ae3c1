package scheduler

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestImportsStayPure keeps effects out of this room: a plan is a function of project and observation, so that it can
// be tested without engines and printed without doing anything.
func TestImportsStayPure(t *testing.T) {
	allowed := map[string]bool{
		"berth/placement": true,
		"cmp":             true, "container/heap": true, "encoding/binary": true, "errors": true, "fmt": true, "maps": true,
		"math/bits": true, "net/netip": true, "slices": true, "sort": true, "strconv": true, "strings": true,
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
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), text, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range parsed.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); !allowed[path] {
				t.Errorf("%s imports %s: the scheduler is pure; effects belong into runtime, and what a plan must know into placement.Observation", f.Name(), path)
			}
		}
	}
}
