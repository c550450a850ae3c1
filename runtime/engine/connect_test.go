package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dockercontext "github.com/docker/cli/cli/context"
	"github.com/docker/cli/cli/context/store"
	"github.com/google/go-cmp/cmp"

	"berth/fixtures/lab/lab"
	"berth/placement"
)

func environ(m map[string]string) func(string) string { return func(k string) string { return m[k] } }

func TestLocalFollowsDockersOwnRules(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"currentContext":"staging"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for _, c := range []struct {
		name string
		env  map[string]string
		want placement.InventoryHost
	}{
		{"nothing set", map[string]string{"DOCKER_CONFIG": empty}, placement.InventoryHost{Address: "unix:///var/run/docker.sock"}},
		{"docker context use", map[string]string{"DOCKER_CONFIG": dir}, placement.InventoryHost{Context: "staging"}},
		{"DOCKER_CONTEXT beats it", map[string]string{"DOCKER_CONFIG": dir, "DOCKER_CONTEXT": "live"}, placement.InventoryHost{Context: "live"}},
		{"the default context is the local socket", map[string]string{"DOCKER_CONFIG": dir, "DOCKER_CONTEXT": "default"},
			placement.InventoryHost{Address: "unix:///var/run/docker.sock"}},
		{"DOCKER_HOST beats all", map[string]string{"DOCKER_CONFIG": dir, "DOCKER_CONTEXT": "live", "DOCKER_HOST": "tcp://10.0.0.1:2375"},
			placement.InventoryHost{Address: "tcp://10.0.0.1:2375"}},
		{"TLS", map[string]string{"DOCKER_HOST": "tcp://10.0.0.1:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"},
			placement.InventoryHost{Address: "tcp://10.0.0.1:2376", TLS: "/certs"}},
		{"TLS without a folder", map[string]string{"DOCKER_CONFIG": empty, "DOCKER_HOST": "tcp://10.0.0.1:2376", "DOCKER_TLS_VERIFY": "1"},
			placement.InventoryHost{Address: "tcp://10.0.0.1:2376", TLS: empty}},
	} {
		c.want.Name = "local"
		got, err := Local(environ(c.env))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
	if _, err := Local(environ(map[string]string{"DOCKER_HOST": "nonsense"})); err == nil || !strings.Contains(err.Error(), "DOCKER_HOST") {
		t.Errorf("a broken DOCKER_HOST: %v", err)
	}
}

func TestConnectSaysWhatIsWrongWithAHost(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for want, h := range map[string]placement.InventoryHost{
		`docker context "nobody"`: {Name: "a", Context: "nobody"},
		"ca.pem is missing":       {Name: "a", Address: "tcp://10.0.0.1:2376", TLS: t.TempDir()},
		"unix://, tcp:// or ssh":  {Name: "a", Address: "10.0.0.1"},
		"ssh host connection":     {Name: "a", Address: "ssh://user:secret@10.0.0.1"},
	} {
		if _, err := Connect(h); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "host a:") {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

func TestEnginesAreReachedThroughADockerContext(t *testing.T) {
	l := lab.Start(t)
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	type endpoint = dockercontext.EndpointMetaBase
	contexts := store.New(filepath.Join(dir, "contexts"), store.NewConfig(func() any { return &map[string]any{} },
		store.EndpointTypeGetter(dockerEndpoint, func() any { return &endpoint{} })))
	if err := contexts.CreateOrUpdate(store.Metadata{Name: "staging",
		Endpoints: map[string]any{dockerEndpoint: endpoint{Host: l.Hosts()[0].EngineURL()}}}); err != nil {
		t.Fatal(err)
	}
	reach(t, placement.InventoryHost{Name: "s", Context: "staging"})
}

func TestEnginesAreReachedOverTLS(t *testing.T) {
	l := lab.Start(t, lab.TLS())
	h := inventory(t, l)[l.Hosts()[0].Name()]
	reach(t, h)
	h.TLS = ""
	e, err := Connect(h)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := e.Observe(within(t, time.Minute), Query{})
	if err != nil || s.Host.State != placement.Unreachable || !strings.Contains(s.Host.Problem, "set tls:") {
		t.Errorf("without a certificate: %+v, %v", s.Host, err)
	}
}

func TestEnginesAreReachedOverSSHWithOneHandshake(t *testing.T) {
	b := onEngine(t, lab.SSH())
	p := project(t, t.TempDir(), "services: {web: {image: \"berth-lab/busybox:1\", command: sleep 600}}")
	start := time.Now()
	id := b.up(p)["web"]
	t.Logf("network, container, start over ssh: %v", time.Since(start))
	if got := b.sh(id, "echo hello"); got != "hello" {
		t.Errorf("exec over ssh: %q", got)
	}
	forward := filepath.Join(controlDir(os.Getenv, os.Getuid()), socketName(b.address, b.host, "/var/run/docker.sock")+forwardName)
	if _, err := os.Stat(forward); err != nil {
		t.Errorf("the engine's socket is not forwarded: %v", err)
	}
	conn, err := b.ExecStream(b.ctx, id, []string{"cat"})
	if err != nil {
		t.Fatal(err)
	}
	echo(t, conn)
	start = time.Now()
	other, err := Connect(b.host)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.State(b.ctx, id); err != nil {
		t.Fatal(err)
	}
	t.Logf("second connection: %v", time.Since(start))
	start = time.Now()
	const many = 24 // more than sshd lets share one session
	errs := make(chan error, many)
	for range many {
		go func() {
			_, err := other.Exec(b.ctx, id, ExecSpec{Cmd: []string{"true"}})
			errs <- err
		}()
	}
	for range many {
		if err := <-errs; err != nil {
			t.Errorf("one of many at once: %v", err)
		}
	}
	t.Logf("%d execs at once: %v", many, time.Since(start))
	wrong := b.host
	wrong.Identity = filepath.Join(t.TempDir(), "none")
	wrong.KnownHosts = wrong.Identity
	w, err := Connect(wrong)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s, err := w.Observe(b.ctx, Query{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Host.State != placement.Unreachable || !strings.HasPrefix(s.Host.Problem, "ssh to ssh://") || strings.Contains(s.Host.Problem, "ControlPath") {
		t.Errorf("with host keys that are not the host's: %s: %s", s.Host.State, s.Host.Problem)
	}
	t.Log(s.Host.Problem)
}

func TestEnginesAreReachedOverSSHWhereTheirSocketCannotBeForwarded(t *testing.T) {
	b := onEngine(t, lab.SSH())
	h := b.host
	h.Socket = "/nowhere/docker.sock" // docker system dial-stdio knows better
	reach(t, h)
}

// reach asks a host's engine something.
func reach(t *testing.T, h placement.InventoryHost) {
	t.Helper()
	e, err := Connect(h)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := e.Observe(within(t, time.Minute), Query{})
	if err != nil || s.Host.State != placement.Ready || s.Host.EngineID == "" {
		t.Errorf("host %+v, %v", s.Host, err)
	}
}

func TestSSHControlSocketsLieInAPrivateFolderThatIsShortEnough(t *testing.T) {
	base := t.TempDir()
	long := filepath.Join(base, strings.Repeat("x", 90))
	if d := controlDir(environ(map[string]string{"XDG_RUNTIME_DIR": long}), os.Getuid()); len(d) > maxControlDir {
		t.Errorf("%s is too long for a socket", d)
	}
	short, err := os.MkdirTemp("/tmp", "b")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	if d := controlDir(environ(map[string]string{"XDG_RUNTIME_DIR": short}), os.Getuid()); d != filepath.Join(short, "berth-ssh") {
		t.Errorf("chose %q", d)
	}
	open := filepath.Join(short, "open")
	if err := os.Mkdir(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if privateDir(open) == nil {
		t.Error("a folder that others may write to is taken for private")
	}
	flags := strings.Join(sshFlags("ssh://a", placement.InventoryHost{Identity: "/k", KnownHosts: "/h"}, "/c", 0), " ")
	for _, want := range []string{"-i /k", "UserKnownHostsFile=/h", "StrictHostKeyChecking=yes", "ControlMaster=auto", "ControlPath=/c/"} {
		if !strings.Contains(flags, want) {
			t.Errorf("%q lacks %q", flags, want)
		}
	}
	if other := sshFlags("ssh://a", placement.InventoryHost{Identity: "/k", KnownHosts: "/other"}, "/c", 0); slices.Contains(other, sshControlPath(strings.Fields(flags))) {
		t.Error("a session is shared with one that trusts other host keys")
	}
	if flags := sshFlags("ssh://a", placement.InventoryHost{}, "", 0); len(flags) != 0 {
		t.Errorf("flags that nobody asked for: %v", flags)
	}
}

func sshControlPath(flags []string) string {
	return flags[slices.IndexFunc(flags, func(f string) bool { return strings.HasPrefix(f, "ControlPath=") })]
}
