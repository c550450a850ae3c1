package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
)

// binary is the berth program under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "berth-e2e-")
	if err != nil {
		panic(err)
	}
	if binary, err = lab.BuildBerth(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	cacheDir = filepath.Join(dir, "cache")
	code := lab.Main(m)
	os.RemoveAll(dir)
	os.Exit(code)
}

// world is a user with berth, a project folder and, with a lab, hosts.
type world struct {
	t       *testing.T
	lab     *lab.Lab
	dir     string   // working folder, with the compose file
	env     []string // beside the clean environment
	project string
	homes   map[string]string // the host of each container, as the last ps told it; nil after another command
}

// commandTime bounds one berth command; nothing here takes a tenth of it.
const commandTime = 2 * time.Minute

// cacheDir is shared by the tests of one run, as one user's would be.
var cacheDir string

// newWorld gives a test a folder with the compose file and, unless l is nil, the lab's hosts as inventory. What the
// test leaves running is taken down.
func newWorld(t *testing.T, l *lab.Lab, compose string) *world {
	t.Helper()
	w := &world{t: t, lab: l, dir: t.TempDir()}
	w.project = "t" + strings.ToLower(strings.NewReplacer("/", "", "_", "").Replace(t.Name()))
	w.project = w.project[:min(len(w.project), 20)]
	w.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "XDG_CACHE_HOME=" + cacheDir, "COMPOSE_PROJECT_NAME=" + w.project,
	}
	if l != nil {
		w.env = append(w.env, "BERTH_INVENTORY="+l.Inventory())
	}
	w.write("compose.yml", compose)
	if l != nil {
		t.Cleanup(func() {
			if r := w.berth("down", "-v", "--remove-orphans", "-t", "0"); r.code != 0 {
				t.Errorf("clean up: %s", r)
			}
		})
	}
	return w
}

func (w *world) write(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// result is what a command printed and how it ended.
type result struct {
	args     []string
	out, err string
	code     int
}

func (r result) String() string {
	return fmt.Sprintf("berth %s: exit code %d\nstdout:\n%s\nstderr:\n%s", strings.Join(r.args, " "), r.code, r.out, r.err)
}

func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	w.homes = nil // whatever it does
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	return cmd
}

// berth runs one command to its end.
func (w *world) berth(args ...string) result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := w.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	err := cmd.Run()
	tellSlow(w.t, began, "for berth "+strings.Join(args, " "))
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("berth %v: %v", args, err)
	}
	if ctx.Err() != nil {
		w.t.Fatalf("berth %v did not end within %s\n%s\n%s", args, commandTime, out.String(), errs.String())
	}
	return result{args: args, out: out.String(), err: errs.String(), code: cmd.ProcessState.ExitCode()}
}

// must runs a command that has to succeed.
func (w *world) must(args ...string) result {
	w.t.Helper()
	r := w.berth(args...)
	if r.code != 0 {
		w.t.Fatal(r)
	}
	return r
}

// refused runs a command that has to fail with every one of the texts on standard error, and with one sentence: no
// stack, no second "berth:".
func (w *world) refused(texts []string, args ...string) result {
	w.t.Helper()
	r := w.berth(args...)
	if r.code == 0 {
		w.t.Fatalf("succeeded, but should not have: %s", r)
	}
	for _, text := range texts {
		if !strings.Contains(r.err, text) {
			w.t.Errorf("stderr does not say %q: %s", text, r)
		}
	}
	if strings.Count(r.err, "berth:") != 1 || strings.Contains(r.err, "goroutine ") {
		w.t.Errorf("want one sentence after \"berth:\": %s", r)
	}
	return r
}

// row is one line of `ps --format json`.
type row struct {
	ID, Name, Host, Service, State, Health, Status string
	ExitCode                                       int
}

// ps lists all containers of the project by name.
func (w *world) ps() map[string]row {
	w.t.Helper()
	rows, homes := map[string]row{}, map[string]string{}
	for line := range strings.Lines(w.must("ps", "-a", "--format", "json").out) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			w.t.Fatalf("ps: %v in %s", err, line)
		}
		if _, dup := rows[r.Name]; dup {
			w.t.Errorf("container %s is there twice", r.Name)
		}
		rows[r.Name] = r
		homes[r.Name] = r.Host
	}
	w.homes = homes
	return rows
}

// hostsOf lists the hosts of a service's running containers, sorted, one entry a container.
func (w *world) hostsOf(service string) []string {
	w.t.Helper()
	var hosts []string
	for _, r := range w.ps() {
		if r.Service == service && r.State == "running" {
			hosts = append(hosts, r.Host)
		}
	}
	slices.Sort(hosts)
	return hosts
}

// ids maps container names to IDs.
func ids(rows map[string]row) map[string]string {
	m := map[string]string{}
	for n, r := range rows {
		m[n] = r.ID
	}
	return m
}

// container is the name of a service's n-th container.
func (w *world) container(service string, n int) string {
	return fmt.Sprintf("%s-%s-%d", w.project, service, n)
}

// exec runs a command in a container, wherever it is, and returns its output; the error holds it too.
func (w *world) exec(name string, args ...string) (string, error) {
	w.t.Helper()
	if w.homes == nil {
		w.ps()
	}
	h, err := w.lab.Host(w.homes[name])
	if err != nil {
		w.t.Fatal(err)
	}
	return h.Run(w.t.Context(), append([]string{"docker", "exec", name}, args...)...)
}

// resolve asks for a name in a container and returns the addresses, sorted; none when the name is not known.
func (w *world) resolve(from, name string) []string {
	w.t.Helper()
	out, _ := w.exec(from, "nslookup", name) // fails for unknown names
	_, answer, ok := strings.Cut(out, "\n\n")
	if !ok {
		return nil
	}
	var addrs []string
	for line := range strings.Lines(answer) {
		if a, ok := strings.CutPrefix(strings.TrimSpace(line), "Address: "); ok {
			addrs = append(addrs, a)
		}
	}
	slices.Sort(addrs)
	return addrs
}

// onHosts runs a command on every host and returns the outputs by host.
func (w *world) onHosts(args ...string) map[string]string {
	w.t.Helper()
	outs := map[string]string{}
	for _, h := range w.lab.Hosts() {
		out, err := h.Run(w.t.Context(), args...)
		if err != nil {
			w.t.Fatalf("%s: %v: %v", h.Name(), args, err)
		}
		outs[h.Name()] = out
	}
	return outs
}

// eventually waits until cond is true; it says what it waited for when that does not come.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	began := time.Now()
	if !lab.Happens(cond) {
		t.Fatalf("did not happen within %s: %s", lab.Patience, what)
	}
	tellSlow(t, began, "until "+what)
}

// tellSlow logs what took long, for whoever looks where a test's time goes.
func tellSlow(t *testing.T, began time.Time, what string) {
	t.Helper()
	if took := time.Since(began); took > 2*time.Second {
		t.Logf("%.1f s %s", took.Seconds(), what)
	}
}
