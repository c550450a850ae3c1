// The rules of who may import what, for the whole house.
package placement_test

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// forbidden says what a pure room must not import, and why.
var forbidden = []struct{ prefix, why string }{
	{"github.com/docker/docker", "engines are talked to in runtime/engine only"},
	{"github.com/docker/cli", "docker contexts and connections are runtime/engine's"},
	{"github.com/moby/", "engines are talked to in runtime only"},
	{"go.etcd.io/", "the store is reached through runtime/store only"},
	{"github.com/go-zookeeper/", "the store is reached through runtime/store only"},
	{"github.com/hashicorp/consul/", "the store is reached through runtime/store only"},
	{"github.com/hashicorp/consul", "the store is reached through runtime/store only"},
	{"github.com/go-zookeeper/", "the store is reached through runtime/store only"},
	{"github.com/vishvananda/", "links and namespaces are runtime/overlay's"},
	{"github.com/google/nftables", "packet filters are runtime/overlay's"},
	{"github.com/miekg/dns", "names are answered in runtime only"},
	{"google.golang.org/grpc", "nothing is called over the network here"},
	{"net/http", "nothing is called over the network here"},
}

// ours says which rooms of ours a room may import.
var ours = map[string][]string{
	"placement":      {"berth/placement/pack"},
	"placement/pack": nil,
	"scheduler":      {"berth/placement"},
	"loader":         {"berth/placement"},
}

func TestArrowsBetweenRoomsPointOneWay(t *testing.T) {
	for room, allowed := range ours {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "berth/"+room)
		cmd.Stderr = t.Output()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list -deps berth/%s: %v", room, err)
		}
		for _, dep := range strings.Fields(string(out)) {
			for _, f := range forbidden {
				if dep == f.prefix || strings.HasPrefix(dep, strings.TrimSuffix(f.prefix, "/")+"/") {
					t.Errorf("%s imports %s: %s (go list -deps; find the way with go mod why)", room, dep, f.why)
				}
			}
			if rest, ok := strings.CutPrefix(dep, "berth/"); ok && rest != room && !contains(allowed, dep) {
				t.Errorf("%s imports %s: %s is pure and may import %s of ours only, so that it can be tested without engines and stores",
					room, dep, room, orNothing(allowed))
			}
		}
	}
}

// harmless are the packages that placement and scheduler may import themselves: those that read no file, clock,
// environment or network.
var harmless = []string{
	"berth/placement", "berth/placement/pack", "github.com/compose-spec/compose-go/v2/types",
	"cmp", "container/heap", "crypto/sha256", "encoding/binary", "errors", "fmt", "maps", "math/big", "math/bits", "net/netip", "regexp",
	"regexp/syntax", "slices", "sort",
	"strconv", "strings", "unicode", "unicode/utf8",
	"time", // durations; the clock is looked for by name
}

func TestPlacementAndSchedulerHaveNoEffects(t *testing.T) {
	for _, room := range []string{"placement", "placement/pack", "scheduler"} {
		files, err := filepath.Glob(filepath.Join("..", room, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "time.Now") {
				t.Errorf("%s reads the clock; hand the time in", f)
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), f, text, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range parsed.Imports {
				if path, _ := strconv.Unquote(i.Path.Value); !slices.Contains(harmless, path) {
					t.Errorf("%s imports %s: %s is pure; effects belong into runtime, and what a rule must know into placement.Observation",
						f, path, room)
				}
			}
		}
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s || strings.HasPrefix(s, l+"/") {
			return true
		}
	}
	return false
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}
