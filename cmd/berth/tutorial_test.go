package main_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/fixtures/lab/lab"
)

// sample reads a project of fixtures/projects.
func sample(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "fixtures", "projects", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheTutorialRunsAcrossThreeHosts(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.CPUs(1), lab.KeepAgent(), lab.Images("web", "busybox"))
	tutorial(t, newWorld(t, l, sample(t, "tutorial/docker-compose.yml")), names)
}

// tutorial is the whole life of the tutorial's project; the same over every way to reach an engine. names looks at what
// the containers see.
func tutorial(t *testing.T, w *world, names func(*testing.T, *world)) {
	w.must("up", "-d")
	three := []string{"host1", "host2", "host3"}
	for _, s := range []string{"web", "nodes"} {
		if diff := cmp.Diff(three, w.hostsOf(s)); diff != "" {
			t.Errorf("%s: one task a worker host: %s", s, diff)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	names(t, w)

	t.Run("the published port serves the page on each host", func(t *testing.T) {
		for _, h := range w.lab.Hosts() {
			resp, err := http.Get("http://" + net.JoinHostPort(h.Address(), "80") + "/")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !strings.Contains(string(body), "<h1>web</h1>") {
				t.Errorf("%s: %v %s", h.Name(), err, body)
			}
		}
	})

	before := ids(w.ps())
	t.Run("up again changes nothing and says so", func(t *testing.T) {
		r := w.must("up", "-d")
		if !strings.Contains(r.err, "nothing to do") {
			t.Error(r)
		}
		if diff := cmp.Diff(before, ids(w.ps())); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("a fourth replica is refused with a reason per host and the three keep running", func(t *testing.T) {
		w.refused([]string{"web.4 cannot be placed", "host1: ", "host2: ", "host3: "}, "up", "-d", "--scale", "web=4")
		w.refused([]string{"scale: web.4 cannot be placed", "host1: ", "host2: ", "host3: "}, "scale", "web=4")
		if diff := cmp.Diff(before, ids(w.ps())); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("changing one service's environment recreates that service alone", func(t *testing.T) {
		old, err := os.ReadFile(filepath.Join(w.dir, "compose.yml"))
		if err != nil {
			t.Fatal(err)
		}
		w.write("compose.yml", strings.Replace(string(old), "APP: nodes", "APP: other", 1))
		w.must("up", "-d")
		after := ids(w.ps())
		if diff := cmp.Diff(keys(before), keys(after)); diff != "" {
			t.Error(diff)
		}
		for name, id := range after {
			if same := id == before[name]; same != strings.Contains(name, "-web-") {
				t.Errorf("%s: same container: %v", name, same)
			}
		}
		before = after
	})

	t.Run("scaling down and up keeps the surviving task in place", func(t *testing.T) {
		w.must("scale", "web=1")
		left := w.ps()
		if got := w.hostsOf("web"); len(got) != 1 {
			t.Fatalf("web runs on %v, want one host", got)
		}
		w.must("scale", "web=3")
		after := ids(w.ps())
		for name, r := range left {
			if after[name] != r.ID {
				t.Errorf("%s was not kept", name)
			}
		}
		if diff := cmp.Diff(three, w.hostsOf("web")); diff != "" {
			t.Error(diff)
		}
		names(t, w)
	})

	t.Run("down leaves no container, network, link or store key", func(t *testing.T) {
		w.must("down")
		gone(t, w)
	})
}

func keys[V any](m map[string]V) []string {
	var k []string
	for name := range m {
		k = append(k, name)
	}
	slices.Sort(k)
	return k
}

// names checks the names of the tutorial's project from the inside of its containers.
func names(t *testing.T, w *world) {
	t.Run("names resolve across hosts", func(t *testing.T) {
		for _, from := range []string{w.container("web", 1), w.container("nodes", 1)} {
			for _, name := range []string{"web", "nodes", "tasks.web", "web." + w.project} {
				eventually(t, name+" has three addresses in "+from, func() bool { return len(w.resolve(from, name)) == 3 })
			}
			for name := range w.ps() {
				if got := w.resolve(from, name); len(got) == 0 {
					t.Errorf("%s does not resolve %s", from, name)
				}
				out, err := w.exec(from, "timeout", "5", "wget", "-qO-", "http://"+name+":8000/")
				if err != nil || !strings.Contains(out, "served by") {
					t.Errorf("%s does not reach %s: %v %s", from, name, err, out)
				}
			}
		}
	})
	t.Run("a name on a network that the asker is not on does not resolve to an address there", func(t *testing.T) {
		for _, name := range []string{"nodes", w.container("nodes", 2)} {
			for _, a := range w.resolve(w.container("web", 1), name) {
				if !strings.HasPrefix(a, "10.1.4.") {
					t.Errorf("web resolves %s to %s", name, a)
				}
			}
		}
	})
}

// gone checks that nothing of the world's project is left on the hosts and in the store, volumes aside.
func gone(t *testing.T, w *world) {
	t.Helper()
	label := "label=com.docker.compose.project=" + w.project
	for host, out := range w.onHosts("docker", "ps", "-aq", "--filter", label) {
		if out != "" {
			t.Errorf("%s still has containers: %s", host, out)
		}
	}
	for host, out := range w.onHosts("docker", "network", "ls", "--format", "{{.Name}}") {
		if strings.Contains(out, w.project) {
			t.Errorf("%s still has networks: %s", host, out)
		}
	}
	for host, out := range w.onHosts("ip", "-o", "link") {
		if strings.Contains(out, " vx") || strings.Contains(out, " bt") {
			t.Errorf("%s still has overlay links: %s; the store holds\n%s", host, out, w.must("store", "dump").out)
		}
	}
	if out := w.must("store", "dump").out; strings.Contains(out, w.project) {
		t.Errorf("the store still has keys of the project:\n%s", out)
	}
}
