package loader

import (
	"os/exec"
	"strings"
	"testing"
)

// forbidden says what a pure room must not import, and why.
var forbidden = []struct{ prefix, why string }{
	{"github.com/docker/docker", "engines are talked to in runtime/engine only"},
	{"github.com/docker/cli", "docker contexts and connections are runtime/engine's"},
	{"github.com/moby/", "engines are talked to in runtime only"},
	{"go.etcd.io/", "the store is reached through runtime/store only"},
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
	"placement": nil,
	"scheduler": {"berth/placement"},
	"loader":    {"berth/placement"},
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
