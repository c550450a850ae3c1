package loader

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"berth/placement"
)

// memory is a Seen that counts.
type memory struct {
	keys map[string]bool
	hits int
}

func (m *memory) Has(key string) bool {
	if m.keys[key] {
		m.hits++
	}
	return m.keys[key]
}

func (m *memory) Add(key string) { m.keys[key] = true }

func remembering(w *world) { w.opts.Seen = &memory{keys: map[string]bool{}} }

func (w *world) seen() *memory { return w.opts.Seen.(*memory) }

const everyday = `
-- compose.yml --
version: "3.8"
services:
  web:
    image: app:${TAG:-1}
    ports: ["${PORT:-8080}:80"]
    environment: [A=1]
    volumes: [data:/data]
    deploy: {replicas: 2, resources: {limits: {cpus: "0.5"}}}
volumes: {data: }
`

func TestAFileThatWasCheckedLoadsTheSameUnchecked(t *testing.T) {
	w := newWorld(t, everyday, remembering)
	first, second := w.mustLoad(), w.mustLoad()
	if len(w.seen().keys) != 1 || w.seen().hits != 1 {
		t.Errorf("remembered %d, used %d; want one of each", len(w.seen().keys), w.seen().hits)
	}
	if diff := cmp.Diff(first, second, cmpopts.EquateComparable(), cmpopts.IgnoreUnexported(), cmp.AllowUnexported(placement.Constraint{})); diff != "" {
		t.Errorf("checked and unchecked differ: %s", diff)
	}
	if len(second.Warnings) == 0 || !strings.Contains(second.Warnings[0], "obsolete") {
		t.Errorf("warnings %v lost the one about version:", second.Warnings)
	}
}

func TestAChangedFileOrVariableIsCheckedAgain(t *testing.T) {
	w := newWorld(t, everyday, remembering)
	w.mustLoad()
	w.write("compose.yml", strings.Replace(strings.TrimPrefix(everyday, "\n-- compose.yml --\n"), "deploy:", "deploi:", 1))
	if _, err := w.load(); err == nil || !strings.Contains(err.Error(), "deploi") {
		t.Errorf("error %v, want the unknown key deploi", err)
	}
	w = newWorld(t, "-- compose.yml --\nservices: {web: {image: app, mem_swappiness: '${SWAP:-1}'}}\n", remembering, env("SWAP=1"))
	w.mustLoad()
	w.opts.Environ = []string{"SWAP=many"}
	if _, err := w.load(); err == nil {
		t.Error("a variable that makes the file invalid was not noticed")
	}
	if w.opts.Environ = []string{"SWAP=1"}; w.seen().hits != 0 {
		t.Errorf("used %d times, want none", w.seen().hits)
	}
	w.mustLoad()
	if w.seen().hits != 1 {
		t.Errorf("used %d times, want once", w.seen().hits)
	}
}

func TestFilesThatBringInOthersAreAlwaysChecked(t *testing.T) {
	for _, key := range []string{"include", `"inclu\x64e"`} {
		w := newWorld(t, "-- compose.yml --\n"+key+`: [other.yml]
services: {web: {image: app}}
-- other.yml --
services: {db: {image: db}}
`, remembering)
		w.mustLoad()
		w.mustLoad()
		if len(w.seen().keys) != 0 {
			t.Errorf("%s: remembered %d inputs that depend on files which the key does not hold", key, len(w.seen().keys))
		}
	}
}
