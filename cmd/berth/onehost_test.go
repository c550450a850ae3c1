package main_test

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/fixtures/lab/lab"
)

// oneHost is a user with one engine, named by DOCKER_HOST, and no inventory.
func oneHost(t *testing.T, compose string, images ...string) *world {
	t.Helper()
	l := lab.Start(t, lab.Hosts(1), lab.Images(images...))
	w := newWorld(t, nil, compose)
	w.lab = l
	w.env = append(w.env, "DOCKER_HOST=unix://"+l.Hosts()[0].Socket())
	t.Cleanup(func() { w.berth("down", "-v", "-t", "0") })
	return w
}

const pair = `
services:
  web:
    image: berth-lab/busybox:1
    command: ["sh", "-c", "echo out; echo err >&2; exec sleep 1000"]
    stop_grace_period: 0s
    depends_on: [db]
    labels: {revision: "${REVISION:-1}"}
  db:
    image: berth-lab/busybox:1
    command: sleep 1000
    stop_grace_period: 0s
    volumes: [data:/data]
volumes: {data: }
`

func TestOneHostNeedsNoAgentAndNoStore(t *testing.T) {
	t.Parallel()
	w := oneHost(t, pair, "busybox")
	w.must("up", "-d")
	before := ids(w.ps())
	host := w.lab.Hosts()[0]
	names, err := host.Run(t.Context(), "docker", "ps", "-a", "--format", "{{.Names}}")
	if err != nil || strings.Contains(names, "berth-agent") {
		t.Errorf("an agent on one host: %v %s", err, names)
	}
	if _, err := host.Run(t.Context(), "docker", "exec", w.container("web", 1), "nslookup", "db"); err != nil {
		t.Errorf("web does not resolve db: %v", err)
	}
	if r := w.must("up", "-d"); !strings.Contains(r.err, "nothing to do") {
		t.Error(r)
	}
	w.env = append(w.env, "REVISION=2")
	w.must("up", "-d")
	after := ids(w.ps())
	if after[w.container("db", 1)] != before[w.container("db", 1)] || after[w.container("web", 1)] == before[w.container("web", 1)] {
		t.Errorf("before %v, after %v; want web alone recreated", before, after)
	}
	w.must("scale", "web=3")
	if got := len(w.ps()); got != 4 {
		t.Errorf("%d containers, want 4", got)
	}
	w.write("compose.yml", strings.ReplaceAll(pair, "web:", "site:"))
	if r := w.must("up", "-d"); !strings.Contains(r.err, "orphan") {
		t.Errorf("no word of the orphans: %s", r)
	}
	w.must("up", "-d", "--remove-orphans")
	if diff := cmp.Diff([]string{w.container("db", 1), w.container("site", 1)}, keys(w.ps())); diff != "" {
		t.Error(diff)
	}
	w.must("down", "-v")
	for _, kind := range []string{"network", "volume"} {
		out, err := host.Run(t.Context(), "docker", kind, "ls", "-q", "--filter", "label=com.docker.compose.project="+w.project)
		if err != nil || out != "" {
			t.Errorf("a %s is left: %v %s", kind, err, out)
		}
	}
}

func TestAttachedUpShowsOutputAndStopsAtAnInterrupt(t *testing.T) {
	t.Parallel()
	w := oneHost(t, pair, "busybox")
	cmd := w.command(t.Context(), "up")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "web-1  | out") {
			seen = true
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 || !seen {
		t.Errorf("ended with %v (code %d), line seen: %v; want code 130 after the line", err, cmd.ProcessState.ExitCode(), seen)
	}
	for name, r := range w.ps() {
		if r.State != "exited" {
			t.Errorf("%s is %s after the interrupt, want exited", name, r.State)
		}
	}
}

func TestAttachedUpEndsWithItsContainers(t *testing.T) {
	t.Parallel()
	w := oneHost(t, `
services:
  job:
    image: berth-lab/busybox:1
    command: ["sh", "-c", "echo working; exit 3"]
`, "busybox")
	r := w.must("up")
	if !strings.Contains(r.out, "job-1  | working") || !strings.Contains(r.out, "job-1 exited with code 3") {
		t.Error(r)
	}
}
