package main_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/fixtures/lab/lab"
)

func TestABackupIsRestoredAndWhatRunsWins(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox"))
	w := newWorld(t, l, rebuiltCompose)
	w.must("up", "-d")
	w.write("token", "of great secrecy")
	w.must("secret", "create", "token", "token")
	t.Cleanup(func() { w.berth("secret", "rm", "token") })
	file := filepath.Join(w.dir, "store.backup")
	w.must("store", "backup", file)
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("the backup's file: %v, %v", info, err)
	}
	if out := w.must("store", "backup", "-").out; strings.Contains(out, "great secrecy") || strings.Contains(out, "berth/alive/") || !strings.Contains(out, "berth/secrets/token") {
		t.Errorf("the backup has %s", out)
	}
	var status struct {
		Servers []struct {
			Leader  bool
			Problem string
		}
		Hosts []struct{ Alive, Told bool }
	}
	if err := json.Unmarshal([]byte(w.must("store", "status", "--format", "json").out), &status); err != nil {
		t.Fatal(err)
	}
	leaders := 0
	for _, s := range status.Servers {
		if s.Leader {
			leaders++
		}
		if s.Problem != "" {
			t.Errorf("a server: %s", s.Problem)
		}
	}
	if len(status.Servers) != 3 || leaders != 1 || len(status.Hosts) != 3 || !status.Hosts[2].Alive || !status.Hosts[2].Told {
		t.Errorf("status %+v", status)
	}

	// Since then: the first network went and came again, so others may have its address; one task more, another place.
	w.must("down")
	other := newWorld(t, l, base+"services: {one: {<<: *base, deploy: {replicas: 2}}}\n")
	other.project = "tother"
	other.env = append(other.env, "COMPOSE_PROJECT_NAME=tother")
	other.must("up", "-d")
	w.write("compose.yml", strings.Replace(rebuiltCompose, "replicas: 3", "replicas: 5", 1))
	w.must("up", "-d")
	w.inPlace(5)
	w.must("secret", "rm", "token")
	before, running, networks := w.addresses(), ids(w.ps()), engineNetworks(w)

	// As old as if the second project had never been.
	r := w.must("--dry-run", "store", "restore", file)
	if !strings.Contains(r.out, "put  berth/secrets/token") || !strings.Contains(r.out, "lose berth/networks/tother_default") {
		t.Errorf("what would be lost is not told: %s", r)
	}
	if d := cmp.Diff(before, w.addresses()); d != "" {
		t.Errorf("--dry-run changed something: %s", d)
	}
	w.must("store", "restore", "--yes", file)
	if d := cmp.Diff(before, w.addresses()); d != "" {
		t.Errorf("addresses: -ran +restored\n%s", d)
	}
	w.inPlace(5)
	if r := other.must("plan"); r.out != "" {
		t.Errorf("the other project has something to do: %s", r)
	}
	if !strings.Contains(w.must("secret", "ls", "-q").out, "token") {
		t.Error("the secret is not there again")
	}
	if d := cmp.Diff(networks, engineNetworks(w)); d != "" {
		t.Errorf("networks on the engines: -before +after\n%s", d)
	}
	w.must("scale", "web=7")
	other.must("scale", "one=4")
	now := w.addresses()
	if len(now) != len(before)+4+2 {
		t.Errorf("%d addresses, want %d: %v", len(now), len(before)+6, now)
	}
	for at, ip := range before {
		if now[at] != ip {
			t.Errorf("%s had %s and has %s", at, ip, now[at])
		}
	}
	after := ids(w.ps())
	for name, id := range running {
		if after[name] != id {
			t.Errorf("%s was recreated", name)
		}
	}

	t.Run("but not while a command works on a project, nor one that was changed", func(t *testing.T) {
		w.t = t
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w.write("changed.backup", strings.Replace(string(content), "10.128.", "10.129.", 1))
		w.refused([]string{"checksum"}, "store", "restore", "--yes", "changed.backup")
		w.write("compose.yml", base+"services: {slow: {<<: *base, healthcheck: {test: \"false\", interval: 1s, retries: 100}}}\n")
		busy := w.command(t.Context(), "up", "-d", "--wait", "--remove-orphans")
		if err := busy.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the other command has its lock", func() bool {
			return strings.Contains(w.must("store", "dump").out, "berth/projects/"+w.project+"/lock")
		})
		w.refused([]string{"is being worked on", w.project, "up"}, "store", "restore", "--yes", file)
		_ = busy.Process.Signal(os.Interrupt)
		_ = busy.Wait()
	})
}

// engineNetworks are the names and VNIs of berth's networks on all hosts, sorted.
func engineNetworks(w *world) []string {
	var all []string
	for host, out := range w.onHosts("docker", "network", "ls", "--filter", "label=berth.network", "--format", `{{.Name}} {{.Label "berth.network"}}`) {
		for line := range strings.Lines(out) {
			all = append(all, host+" "+strings.TrimSpace(line))
		}
	}
	slices.Sort(all)
	return all
}

func TestAStoreIsMovedWithItsAgents(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.Images("busybox"))
	url := startEtcd(t, l.Hosts()[1], t.TempDir()).url // before the world, whose clean-up needs it
	w := newWorld(t, l, rebuiltCompose)
	w.must("up", "-d")
	w.write("token", "of great secrecy")
	w.must("secret", "create", "token", "token")
	before, running := w.records(), ids(w.ps())
	moved := "BERTH_INVENTORY=" + l.WriteInventory(t, func(i *lab.Inventory) { i.Store = url })

	// Killed while it switches the agents over, the same command again completes it.
	interrupt(t, w, "switching", "store", "migrate", url)
	r := w.must("store", "migrate", url)
	if !strings.Contains(r.out, "store: "+url) {
		t.Errorf("it does not say what to write: %s", r)
	}
	w.refused([]string{"was moved to " + url}, "up", "-d")
	old := slices.Clone(w.env)
	w.env = append(w.env, moved)
	w.inPlace(3)
	if d := cmp.Diff(before, w.records()); d != "" {
		t.Errorf("-before +moved\n%s", d)
	}
	if d := cmp.Diff(running, ids(w.ps())); d != "" {
		t.Errorf("-ran +runs\n%s", d)
	}
	w.write("compose.yml", strings.Replace(rebuiltCompose, "  db:\n", "  db:\n    secrets: [token]\n", 1)+"secrets: {token: {external: true}}\n")
	w.must("up", "-d")
	if got, err := w.exec(w.container("db", 1), "cat", "/run/secrets/token"); err != nil || got != "of great secrecy" {
		t.Errorf("the container sees %q, %v", got, err)
	}
	w.must("scale", "web=4")
	if n := len(slices.Compact(slices.Sorted(maps.Values(w.addresses())))); n != 4*2+2 {
		t.Errorf("%d different addresses, want 10", n)
	}
	again := *w
	again.env = old
	if r := again.must("store", "migrate", url); strings.Contains(r.out, "copied") {
		t.Errorf("a second migration copies again: %s", r)
	}

	// And back into the agents, where this cluster has had its store before.
	before, running = w.records(), ids(w.ps())
	if *membersRounds > 1 {
		interrupt(t, w, "putting the store on", "store", "migrate", "embedded")
		interrupt(t, w, "switching", "store", "migrate", "embedded")
	}
	w.must("store", "migrate", "embedded")
	w.refused([]string{"was moved to embedded"}, "up", "-d")
	w.env = old
	w.holds("host1", "host2", "host3")
	if d := cmp.Diff(before, w.records()); d != "" {
		t.Errorf("-before +moved back\n%s", d)
	}
	if d := cmp.Diff(running, ids(w.ps())); d != "" {
		t.Errorf("-ran +runs\n%s", d)
	}
	if !strings.Contains(w.must("secret", "ls", "-q").out, "token") {
		t.Error("the secret is lost")
	}
}

// interrupt runs a command and kills it when it says something on standard error.
func interrupt(t *testing.T, w *world, says string, args ...string) {
	t.Helper()
	cmd := w.command(t.Context(), args...)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	buf := make([]byte, 1024)
	for !strings.Contains(said.String(), says) {
		n, err := pipe.Read(buf)
		said.Write(buf[:n])
		if err != nil {
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
