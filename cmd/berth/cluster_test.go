package main_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"berth/fixtures/lab/lab"
)

// base begins a compose file whose services sleep unless they say otherwise: "web: *base", "web: {<<: *base, …}".
const base = `
x-base: &base
  image: berth-lab/busybox:1
  command: sleep 1000
  stop_grace_period: 0s
`

func threeHosts(t *testing.T, compose string) *world {
	t.Helper()
	return newWorld(t, lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox")), compose)
}

func TestDependentsWaitForTheirConditionsAcrossHosts(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, base+`
services:
  migrate:
    <<: *base
    command: ["sh", "-c", "sleep 1; exit 0"]
    deploy: {placement: {constraints: [node.hostname == host1]}}
  db:
    <<: *base
    command: ["sh", "-c", "sleep 1; touch /ready; exec sleep 1000"]
    healthcheck: {test: ["CMD", "test", "-e", "/ready"], interval: 200ms, retries: 50}
    deploy: {placement: {constraints: [node.hostname == host2]}}
  app:
    <<: *base
    depends_on: {migrate: {condition: service_completed_successfully}, db: {condition: service_healthy}}
    deploy: {placement: {constraints: [node.hostname == host3]}}
`)
	w.must("up", "-d")
	rows := w.ps()
	if r := rows[w.container("migrate", 1)]; r.State != "exited" || r.ExitCode != 0 {
		t.Errorf("migrate: %+v", r)
	}
	if r := rows[w.container("db", 1)]; r.Health != "healthy" {
		t.Errorf("app was started before db was healthy: %+v", r)
	}
	if r := rows[w.container("app", 1)]; r.State != "running" || r.Host != "host3" {
		t.Errorf("app: %+v", r)
	}
}

func TestAFailedDependencyFailsTheCommandAndReleasesNobody(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, base+`
services:
  job:
    <<: *base
    command: ["sh", "-c", "exit 3"]
  sick:
    <<: *base
    healthcheck: {test: ["CMD", "false"], interval: 100ms, retries: 2}
  after-job:
    <<: *base
    depends_on: {job: {condition: service_completed_successfully}}
  after-sick:
    <<: *base
    depends_on: {sick: {condition: service_healthy}}
  alone:
    <<: *base
`)
	w.refused([]string{w.container("job", 1) + " exited (3)", w.container("sick", 1) + " is unhealthy"}, "up", "-d")
	states := map[string]string{}
	for _, r := range w.ps() {
		states[r.Service] = r.State
	}
	if states["after-job"] == "running" || states["after-sick"] == "running" || states["alone"] != "running" {
		t.Errorf("states %v; want both dependents waiting and alone running", states)
	}
}

func TestLogsOfAllHostsComeInTimeOrder(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, base+`
services:
  talk:
    <<: *base
    command: ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do echo line $$i; sleep 0.1; done; exec sleep 1000"]
    deploy: {replicas: 3}
`)
	w.must("up", "-d")
	var r result
	eventually(t, "thirty lines", func() bool {
		r = w.must("logs", "-t")
		return strings.Count(r.out, "line ") == 30
	})
	var times []string
	hosts := map[string]bool{}
	for line := range strings.Lines(r.out) {
		prefix, text, _ := strings.Cut(line, "| ")
		at, _, _ := strings.Cut(text, " ")
		times = append(times, at)
		hosts[prefix] = true
	}
	if !slices.IsSorted(times) || len(hosts) != 3 {
		t.Errorf("lines of %d containers, sorted: %v\n%s", len(hosts), slices.IsSorted(times), r.out)
	}
	if got := strings.Count(w.must("logs", "-n", "2").out, "\n"); got != 6 {
		t.Errorf("logs -n 2 of three containers printed %d lines, want 6", got)
	}
}

func TestNamesStayOnTheirNetworks(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, base+`
services:
  front: {<<: *base, networks: [front]}
  both: {<<: *base, networks: {front: {aliases: [site]}, back: }}
  back: {<<: *base, networks: [back]}
networks: {front: , back: {internal: true}}
`)
	w.must("up", "-d")
	front := w.container("front", 1)
	eventually(t, "front resolves both", func() bool { return len(w.resolve(front, "both")) == 1 })
	for name, known := range map[string]bool{
		"front": true, "both": true, "site": true, w.container("both", 1): true, "both." + w.project: true,
		"back": false, w.container("back", 1): false, "back." + w.project: false, "nobody": false,
	} {
		if got := w.resolve(front, name); len(got) > 0 != known {
			t.Errorf("front resolves %s to %v, known there: %v", name, got, known)
		}
	}
	if got := w.resolve(w.container("both", 1), "back"); len(got) != 1 {
		t.Errorf("both resolves back to %v", got)
	}
}

func TestProgressAsJSONIsOneObjectALine(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, oneService)
	r := w.must("--progress", "json", "up", "-d")
	started := false
	for line := range strings.Lines(r.err) {
		var ev struct{ ID, Status, Host string }
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Errorf("not JSON: %s", line)
		}
		started = started || ev.Status == "Started" && strings.Contains(ev.ID, w.container("web", 1)) && ev.Host != ""
	}
	if !started {
		t.Errorf("no event of the start: %s", r)
	}
	if r := w.must("-q", "up", "-d", "--force-recreate"); r.err != "" {
		t.Errorf("-q printed %s", r)
	}
}

func TestAPlanIsPrintedAndNothingIsDone(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, oneService)
	for _, args := range [][]string{{"plan"}, {"up", "-d", "--dry-run"}} {
		if r := w.must(args...); !strings.Contains(r.out, "create web.1 on host") || !strings.Contains(r.out, "start web.1 on host") {
			t.Errorf("no plan: %s", r)
		}
		if rows := w.ps(); len(rows) > 0 {
			t.Errorf("%v made %v", args, rows)
		}
	}
}

func TestPartialStartsWhatFits(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, base+`
services:
  web:
    <<: *base
    ports: ["8090:80"]
    deploy: {replicas: 5}
`)
	w.refused([]string{"web.4", "web.5", "port 8090/tcp is taken"}, "up", "-d")
	if rows := w.ps(); len(rows) > 0 {
		t.Errorf("a refused up made %v", rows)
	}
	w.refused([]string{"web.4", "web.5"}, "up", "-d", "--partial")
	if got := w.hostsOf("web"); len(got) != 3 {
		t.Errorf("web runs on %v, want all three hosts", got)
	}
}

func TestAGlobalServiceHasOneTaskOnEachHost(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, base+`
services:
  probe:
    <<: *base
    network_mode: host
    deploy: {mode: global}
`)
	w.must("up", "-d")
	if got := w.hostsOf("probe"); !slices.Equal(got, []string{"host1", "host2", "host3"}) {
		t.Errorf("probe runs on %v", got)
	}
	if r := w.must("up", "-d"); !strings.Contains(r.err, "nothing to do") {
		t.Error(r)
	}
}

func TestHostsShowsWhatIsReservedOfThem(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, base+`
services:
  web:
    <<: *base
    deploy:
      replicas: 2
      placement: {constraints: [node.hostname == host2]}
      resources: {reservations: {cpus: "0.25", memory: 32m}}
`)
	w.must("up", "-d")
	type row struct {
		Host, State, Engine string
		Tasks               int
		Labels              map[string]string
		Reserved            struct{ CPU, Memory int64 }
	}
	rows := map[string]row{}
	for line := range strings.Lines(w.must("hosts", "--format", "json").out) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		rows[r.Host] = r
	}
	r := rows["host2"]
	if len(rows) != 3 || r.State != "ready" || r.Engine == "" || r.Tasks != 2 || r.Reserved.CPU != 500 || r.Reserved.Memory != 64<<20 || r.Labels["type"] != "worker" {
		t.Errorf("%+v", rows)
	}
	table := w.must("hosts").out
	for _, want := range []string{"HOST", "0.5/", "64MiB/", "type=worker"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
}

func TestConfigAndVersionNeedNoHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, oneService)
	if r := w.must("config"); !strings.Contains(r.out, "image: berth-lab/busybox:1") || !strings.Contains(r.out, "name: "+w.project) {
		t.Error(r)
	}
	if r := w.must("config", "--services"); r.out != "web\n" {
		t.Error(r)
	}
	if r := w.must("version", "--short"); strings.TrimSpace(r.out) == "" {
		t.Error(r)
	}
}

func TestAnAttachedUpDoesNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	w := threeHosts(t, strings.Replace(oneService, "sleep 1000", `["sh", "-c", "echo here; exec sleep 1000"]`, 1))
	cmd := w.command(t.Context(), "up")
	var out syncBuffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the output is shown", func() bool { return strings.Contains(out.String(), "web-1  | here") })
	w.must("scale", "web=3")
	if got := w.hostsOf("web"); len(got) != 3 {
		t.Errorf("web runs on %v", got)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("ended with %v, want code 130", err)
	}
}
