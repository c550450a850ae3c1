package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/fixtures/lab/lab"
)

// builtCompose has two services that are built: one for every host, one for two of them. Their layers are of megabytes
// that no compression makes smaller.
const builtCompose = `
services:
  web:
    build: &build
      context: .
      dockerfile_inline: |
        FROM berth-lab/busybox:1
        RUN head -c 3000000 /dev/urandom >/data # SALT
    command: sleep 1000
    stop_grace_period: 0s
    deploy: {replicas: 3, placement: {max_replicas_per_node: 1}}
  api:
    build:
      context: .
      dockerfile_inline: |
        FROM berth-lab/busybox:1
        RUN head -c 5000000 /dev/urandom >/api # SALT
    command: sleep 1000
    stop_grace_period: 0s
    deploy: {replicas: 2, placement: {max_replicas_per_node: 1, constraints: ["node.name != host1"]}}
`

// salted makes the images of a file this test's own: engines keep what they built for others.
func salted(t *testing.T, compose string) string {
	return strings.ReplaceAll(compose, "SALT", t.TempDir())
}

// imageIDs gives an image's ID by host; hosts without it are left out.
func (w *world) imageIDs(ref string) map[string]string {
	w.t.Helper()
	ids := map[string]string{}
	for _, h := range w.lab.Hosts() {
		out, err := h.Run(w.t.Context(), "docker", "image", "inspect", "--format", "{{.Id}}", ref)
		if err == nil {
			ids[h.Name()] = strings.TrimSpace(out)
		}
	}
	return ids
}

// sameOn wants an image to be the same on some hosts, and on no others.
func (w *world) sameOn(ref string, hosts ...string) {
	w.t.Helper()
	ids := w.imageIDs(ref)
	want := map[string]string{}
	for _, h := range hosts {
		want[h] = ids[hosts[0]]
	}
	if diff := cmp.Diff(want, ids); diff != "" || ids[hosts[0]] == "" {
		w.t.Errorf("image %s by host: %s", ref, diff)
	}
}

// received gives the bytes that hosts got over the network so far.
func (w *world) received() map[string]int64 {
	w.t.Helper()
	all := map[string]int64{}
	for host, out := range w.onHosts("cat", "/proc/net/dev") {
		for line := range strings.Lines(out) {
			name, counters, ok := strings.Cut(strings.TrimSpace(line), ":")
			if !ok || !strings.HasPrefix(name, "eth") {
				continue
			}
			n, err := strconv.ParseInt(strings.Fields(counters)[0], 10, 64)
			if err != nil {
				w.t.Fatal(err)
			}
			all[host] += n
		}
	}
	return all
}

// megabytes is what hosts received between two counts, rounded down.
func megabytes(before, after map[string]int64) map[string]int64 {
	m := map[string]int64{}
	for h := range after {
		m[h] = (after[h] - before[h]) / 1e6
	}
	return m
}

func TestBuiltImagesGoFromEngineToEngineOnlyWhereTheyRunAndOnlyOnce(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	warm := newWorld(t, l, base+"services: {first: *base}")
	warm.must("up", "-d") // the agents are no part of what is measured
	w := newWorld(t, l, salted(t, builtCompose))
	w.project, w.env = "sent", append(w.env, "COMPOSE_PROJECT_NAME=sent")
	t.Cleanup(func() { w.dropImages("sent-web", "sent-api") })

	before := w.received()
	w.must("up", "-d")
	w.sameOn("sent-web", "host1", "host2", "host3")
	w.sameOn("sent-api", "host2", "host3")
	if got := w.hostsOf("web"); !cmp.Equal(got, []string{"host1", "host2", "host3"}) {
		t.Errorf("web runs on %v", got)
	}
	// The layers of 3 and 5 MB, and not busybox's of 2, which all hosts have.
	got := megabytes(before, w.received())
	for _, m := range []map[string]int64{{"host1": 0}, {"host2": 3}, {"host3": 8}} {
		for h, want := range m {
			if got[h] < want || got[h] > want+1 {
				t.Errorf("%s received %d MB, want about %d", h, got[h], want)
			}
		}
	}

	before = w.received()
	if r := w.must("up", "-d"); !strings.Contains(r.err, "nothing to do") {
		t.Errorf("a second up did something: %s", r)
	}
	w.must("up", "-d", "--force-recreate")
	if diff := cmp.Diff(map[string]int64{"host1": 0, "host2": 0, "host3": 0}, megabytes(before, w.received())); diff != "" {
		t.Error("sent again, in MB", diff)
	}
}

// dropImages removes images from all hosts.
func (w *world) dropImages(refs ...string) {
	w.must("down", "-t", "0")
	for _, h := range w.lab.Hosts() {
		for _, ref := range refs {
			// It may not be there. The test's own context has ended by now.
			_, _ = h.Run(context.Background(), "docker", "image", "rm", "-f", ref)
		}
	}
}

// withRegistry makes a project's inventory name a registry, and gives the user a password for it.
func (w *world) withRegistry(r *lab.Registry, password string) {
	path := w.lab.WriteInventory(w.t, func(inv *lab.Inventory) { inv.Registry = r.Address })
	w.env = append(w.env, "BERTH_INVENTORY="+path, "DOCKER_CONFIG="+r.Login(w.t, password))
}

func TestBuiltImagesGoThroughTheInventorysRegistry(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	r := l.Registry(t, l.Hosts()[2])
	w := newWorld(t, l, salted(t, builtCompose))
	w.project, w.env = "pushed", append(w.env, "COMPOSE_PROJECT_NAME=pushed")
	t.Cleanup(func() { w.dropImages("pushed-web", "pushed-api") })
	w.withRegistry(r, "wrong")
	w.refused([]string{"push image " + r.Address + "/pushed-web:latest", "docker login"}, "up", "-d")
	if rows := w.ps(); len(rows) != 2 { // the tasks on the hosts that built
		t.Errorf("after a push that was refused there is %v", rows)
	}

	w.withRegistry(r, r.Password)
	w.must("up", "-d")
	w.sameOn("pushed-web", "host1", "host2", "host3")
	w.sameOn("pushed-api", "host2", "host3")
	digests := map[string]bool{}
	for _, out := range w.onHosts("docker", "image", "inspect", "--format", "{{range .RepoDigests}}{{.}} {{end}}", "pushed-web") {
		digests[strings.TrimSpace(out)] = true
	}
	if len(digests) != 1 || digests[""] {
		t.Errorf("digests on the hosts: %v, want one", digests)
	}

	puts, gets := r.Requests(t, "PUT", "/blobs/uploads/"), r.Requests(t, "GET", "/blobs/")
	if puts == 0 || gets == 0 {
		t.Errorf("%d blobs went into the registry and %d out of it", puts, gets)
	}
	w.must("up", "-d")
	w.must("up", "-d", "--force-recreate")
	// A host that has lost its image gets it by its digest again; nothing is pushed for that.
	host3, err := l.Host("host3")
	if err != nil {
		t.Fatal(err)
	}
	w.must("down", "-t", "0")
	if _, err := host3.Run(t.Context(), "docker", "image", "rm", "-f", "pushed-web"); err != nil {
		t.Fatal(err)
	}
	w.must("up", "-d")
	w.sameOn("pushed-web", "host1", "host2", "host3")
	if n := r.Requests(t, "PUT", "/blobs/uploads/"); n != puts {
		t.Errorf("%d blobs were pushed again", n-puts)
	}
}

func TestPushAndPullOneDigestForAllHosts(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	r := l.Registry(t, l.Hosts()[2])
	const compose = `
services:
  web:
    image: %s/team/app:%s
    build:
      context: .
      dockerfile_inline: |
        FROM berth-lab/busybox:1
        RUN echo %s >/version
    command: sleep 1000
    stop_grace_period: 0s
    deploy: {replicas: 3, placement: {max_replicas_per_node: 1}}
`
	ref := r.Address + "/team/app:1"
	builder := newWorld(t, l, fmt.Sprintf(compose, r.Address, "1", "one"))
	builder.env = append(builder.env, "DOCKER_CONFIG="+r.Login(t, r.Password))
	builder.must("build", "-q")
	builder.must("push")
	w := newWorld(t, l, fmt.Sprintf("services:\n  web:\n    image: %s\n    command: sleep 1000\n    stop_grace_period: 0s\n    pull_policy: always\n"+
		"    deploy: {replicas: 3, placement: {max_replicas_per_node: 1}}\n", ref))
	w.project, w.env = "puller", append(w.env, "COMPOSE_PROJECT_NAME=puller", "DOCKER_CONFIG="+r.Login(t, r.Password))
	w.must("up", "-d")
	w.sameOn(ref, "host1", "host2", "host3")
	first := ids(w.ps())

	// The name moves, and with pull_policy: always all containers are replaced.
	builder.write("compose.yml", fmt.Sprintf(compose, r.Address, "1", "two"))
	builder.must("build", "-q", "--push")
	w.must("up", "-d")
	w.sameOn(ref, "host1", "host2", "host3")
	for name, id := range ids(w.ps()) {
		if first[name] == id {
			t.Errorf("%s runs the old image", name)
		}
	}
	// With a wrong password nothing can be pulled, and a host that lost its image gets it from another.
	w.env = append(w.env, "DOCKER_CONFIG="+r.Login(t, "wrong"))
	w.refused([]string{"pull image " + ref, "docker login"}, "pull")
	w.must("pull", "--ignore-pull-failures")
	w.must("down", "-t", "0")
	if _, err := l.Hosts()[1].Run(t.Context(), "docker", "image", "rm", "-f", ref); err != nil {
		t.Fatal(err)
	}
	w.must("up", "-d", "--pull", "missing")
	w.sameOn(ref, "host1", "host2", "host3")
}

// bigCompose's image takes long enough to be carried that the way can be broken.
const bigCompose = `
services:
  web:
    build:
      context: .
      dockerfile_inline: |
        FROM berth-lab/busybox:1
        RUN head -c 120000000 /dev/zero >/data # SALT
    command: sleep 1000
    stop_grace_period: 0s
    deploy: {replicas: 2, placement: {max_replicas_per_node: 1, constraints: ["node.name != host3"]}}
`

// upUntilSent starts an up and calls strike when at least so many bytes of an image are on their way, and gives what the
// command said.
func (w *world) upUntilSent(bytes int64, strike func()) result {
	w.t.Helper()
	cmd := w.command(w.t.Context(), "--progress", "json", "up", "-d")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	var said strings.Builder
	struck := false
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		var ev struct {
			Status  string
			Current int64
		}
		line := lines.Text()
		if json.Unmarshal([]byte(line), &ev) == nil && ev.Status == "Receiving" && ev.Current >= bytes && !struck {
			struck = true
			strike()
		}
		said.WriteString(line + "\n")
	}
	_ = cmd.Wait() // its code is in the result
	if !struck {
		w.t.Fatalf("the image was never on its way: %s", said.String())
	}
	return result{args: cmd.Args[1:], err: said.String(), code: cmd.ProcessState.ExitCode()}
}

func TestABrokenTransferLeavesNothingHalfMadeAndIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, salted(t, bigCompose))
	w.project, w.env = "broken", append(w.env, "COMPOSE_PROJECT_NAME=broken")
	w.must("build", "-q", "--host", "host1")
	t.Cleanup(func() { w.dropImages("broken-web") })
	host := func(name string) *lab.Host {
		h, err := l.Host(name)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	nameless := w.nameless()
	for _, c := range []struct {
		name, victim string
		bytes        int64
		strike, mend func(h *lab.Host) error
		says         string
	}{
		{"the target's engine is killed", "host2", 1 << 20, func(h *lab.Host) error { return h.Kill(t.Context()) },
			func(h *lab.Host) error { return h.Restart(t.Context()) }, "send image broken-web from host host1"},
		{"the source's engine is killed", "host1", 0, func(h *lab.Host) error { return h.Kill(t.Context()) },
			func(h *lab.Host) error { return h.Restart(t.Context()) }, "send image broken-web from host host1"},
		{"the target is cut off", "host2", 1 << 20, func(h *lab.Host) error { return h.Cut(t.Context()) },
			func(h *lab.Host) error { return h.Heal(t.Context()) }, "does not answer any more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := w.upUntilSent(c.bytes, func() {
				if err := c.strike(host(c.victim)); err != nil {
					t.Error(err)
				}
			})
			if r.code == 0 || !strings.Contains(r.err, c.says) {
				t.Errorf("exit code %d; stderr does not say %q: %s", r.code, c.says, r.err)
			}
			if err := c.mend(host(c.victim)); err != nil {
				t.Fatal(err)
			}
			if ids := w.imageIDs("broken-web"); ids["host2"] != "" || ids["host1"] == "" {
				t.Errorf("images after the break: %v", ids)
			}
			w.noScraps(t, nameless)
		})
	}
	w.must("up", "-d")
	w.sameOn("broken-web", "host1", "host2")
}

// nameless lists the images without a name by host, sorted: other tests may have left some.
func (w *world) nameless() map[string][]string {
	w.t.Helper()
	all := map[string][]string{}
	for host, out := range w.onHosts("docker", "images", "-q", "--filter", "dangling=true") {
		all[host] = strings.Fields(out)
		slices.Sort(all[host])
	}
	return all
}

// noScraps wants no engine to keep unpacked parts of an image that it did not get whole, nor layers without an image.
func (w *world) noScraps(t *testing.T, nameless map[string][]string) {
	t.Helper()
	for _, h := range w.lab.Hosts() {
		eventually(t, "no scraps on "+h.Name(), func() bool {
			scraps, err := filepath.Glob(filepath.Join(w.lab.Dir(), h.Name(), "data", "tmp", "docker-import-*"))
			if err != nil {
				t.Fatal(err)
			}
			return len(scraps) == 0
		})
	}
	if diff := cmp.Diff(nameless, w.nameless()); diff != "" {
		t.Error("images without a name by host", diff)
	}
}

func TestAFullDiskOnOneHostIsOneSentenceAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, salted(t, builtCompose))
	w.project, w.env = "full", append(w.env, "COMPOSE_PROJECT_NAME=full")
	t.Cleanup(func() { w.dropImages("full-web", "full-api") })
	w.must("build", "-q", "--host", "host1", "web")
	host2, err := l.Host("host2")
	if err != nil {
		t.Fatal(err)
	}
	nameless := w.nameless()
	// What an engine loads it unpacks here first.
	tmp := filepath.Join(l.Dir(), "host2", "data", "tmp")
	if _, err := host2.Run(t.Context(), "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp); err != nil {
		t.Fatal(err)
	}
	w.refused([]string{"send image full-web from host host1 to host host2", "the disk of host2 is full"}, "up", "-d", "web")
	if got := w.hostsOf("web"); !cmp.Equal(got, []string{"host1", "host3"}) {
		t.Errorf("web runs on %v", got)
	}
	w.noScraps(t, nameless)
	if _, err := host2.Run(t.Context(), "umount", tmp); err != nil {
		t.Fatal(err)
	}
	w.must("up", "-d", "web")
	w.sameOn("full-web", "host1", "host2", "host3")
}
