package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"berth/fixtures/lab/lab"
	"berth/loader"
	"berth/runtime/cluster"
	"berth/runtime/ledger"
)

// commandTime bounds one berth command; nothing here takes a tenth of it.
const commandTime = 2 * time.Minute

// user is somebody with berth, a compose file and the lab's hosts.
type user struct {
	t       *testing.T
	lab     *lab.Lab
	project string
	dir     string
	env     []string
}

func newUser(t *testing.T, l *lab.Lab, project, compose string) *user {
	t.Helper()
	u := &user{t: t, lab: l, project: project, dir: t.TempDir()}
	u.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + u.dir, "XDG_CACHE_HOME=" + filepath.Join(filepath.Dir(program), "cache"),
		"COMPOSE_PROJECT_NAME=" + project, "BERTH_INVENTORY=" + l.Inventory(),
	}
	u.write(compose)
	return u
}

func (u *user) write(compose string) {
	u.t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, "compose.yml"), []byte(compose), 0o644); err != nil {
		u.t.Fatal(err)
	}
}

// command prepares a berth command.
func (u *user) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = u.dir, u.env
	return cmd
}

// berth runs a command and returns what it printed on standard output; the error holds both outputs.
func (u *user) berth(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := u.command(ctx, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("berth %s: %w\n%s%s", strings.Join(args, " "), errors.Join(err, ctx.Err()), out.String(), said.String())
	}
	return out.String(), err
}

// must runs a command that has to succeed.
func (u *user) must(args ...string) string {
	u.t.Helper()
	out, err := u.berth(args...)
	if err != nil {
		u.t.Fatal(err)
	}
	return out
}

// openStore connects to the store of a cluster that is up, as the command line does.
func openStore(t *testing.T, l *lab.Lab) *cluster.Cluster {
	t.Helper()
	inv, err := loader.LoadInventory(l.Inventory())
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Connect(inv, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Open(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	return c
}

// leases is the revision at which each host's lease was granted.
func leases(ctx context.Context, c *cluster.Cluster) (map[string]int64, error) {
	snap, err := c.Dump(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, p := range snap.Pairs {
		if k := ledger.Split(p.Key, ledger.Alive); len(k) == 1 {
			out[k[0]] = p.Created
		}
	}
	return out, nil
}

// tellAll shows in the end of a failed test what the hosts' engines and agents say.
func tellAll(t *testing.T, l *lab.Lab) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, h := range l.Hosts() {
			out, err := h.Run(context.Background(), "sh", "-c", "docker ps -a; ip addr; docker logs --tail 60 "+cluster.AgentName+" 2>&1")
			t.Logf("%s (%v):\n%s", h.Name(), err, out)
		}
	})
}

// run runs a command on a host, which has to succeed.
func run(t *testing.T, h *lab.Host, args ...string) string {
	t.Helper()
	out, err := h.Run(context.Background(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// kill9 kills a container's first process behind the engine's back, and waits until the engine has started it again.
func kill9(t *testing.T, h *lab.Host, name string) {
	t.Helper()
	before := inspect(t, h, name)
	run(t, h, "kill", "-KILL", fmt.Sprint(before.State.Pid))
	if !lab.Happens(func() bool {
		now := inspect(t, h, name)
		return now.State.Running && now.State.StartedAt != before.State.StartedAt
	}) {
		t.Fatalf("%s on %s was not started again", name, h.Name())
	}
}

func inspect(t *testing.T, h *lab.Host, name string) container.InspectResponse {
	t.Helper()
	c, err := h.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	info, err := c.ContainerInspect(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}
