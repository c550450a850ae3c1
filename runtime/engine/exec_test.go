package engine

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
)

// echo writes through a connection to `cat`, reads it back, and ends it from the writing side.
func echo(t *testing.T, conn net.Conn) {
	t.Helper()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<14) // more than any buffer on the way
	go func() {
		_, _ = conn.Write(sent)
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("got %d of %d bytes back: %v", len(got), len(sent), err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestExecStreamIsAConnectionToTheCommandsInputAndOutput(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), "services: {web: {image: \"berth-lab/busybox:1\", command: sleep 600}}")
	id := b.up(p)["web"]
	conn, err := b.ExecStream(b.ctx, id, []string{"cat"})
	if err != nil {
		t.Fatal(err)
	}
	echo(t, conn)
	conn, err = b.ExecStream(b.ctx, id, []string{"sh", "-c", "echo no store here >&2"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err == nil || !strings.Contains(err.Error(), "no store here") {
		t.Errorf("the command's complaint is lost: %v", err)
	}
	conn.Close()
	if _, err := b.ExecStream(b.ctx, "nobody", []string{"cat"}); !IsNotFound(err) {
		t.Errorf("absent container: %v", err)
	}
}

func TestExecKeepsStreamsApartAndPassesTheExitCode(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), "services: {web: {image: \"berth-lab/busybox:1\", command: sleep 600}}")
	id := b.up(p)["web"]
	var out, errs bytes.Buffer
	size := make(chan [2]uint, 1)
	code, err := b.Exec(b.ctx, id, ExecSpec{Cmd: []string{"sh", "-c", "cat; echo $X >&2; exit 5"}, Env: []string{"X=y"},
		Stdin: strings.NewReader("in"), Stdout: &out, Stderr: &errs})
	if err != nil || code != 5 || out.String() != "in" || errs.String() != "y\n" {
		t.Errorf("code %d, out %q, err %q, %v", code, out.String(), errs.String(), err)
	}
	out.Reset()
	size <- [2]uint{80, 25}
	code, err = b.Exec(b.ctx, id, ExecSpec{Cmd: []string{"sh", "-c", "test -t 1 && echo terminal"}, Tty: true, Stdout: &out, Resize: size})
	if err != nil || code != 0 || strings.TrimSpace(out.String()) != "terminal" {
		t.Errorf("tty: code %d, %q, %v", code, out.String(), err)
	}
}

func TestAttachedBeforeTheStartNothingOfTheOutputIsLost(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  ask:
    image: berth-lab/busybox:1
    stdin_open: true
    command: sh -c "read name; echo hello $$name; echo bye >&2"
`)
	b.prepare(p)
	s := spec(p, "ask")
	s.OneOff, s.Name, s.Task.Number, s.Slug = true, "shop-ask-run-0123456789ab", 0, "0123456789abcdef"
	id := b.create(s)
	var out, errs bytes.Buffer
	wait, err := b.Attach(b.ctx, id, AttachSpec{Stdin: strings.NewReader("world\n"), Stdout: &out, Stderr: &errs})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(b.ctx, id); err != nil {
		t.Fatal(err)
	}
	if err := wait(); err != nil || out.String() != "hello world\n" || errs.String() != "bye\n" {
		t.Errorf("out %q, err %q, %v", out.String(), errs.String(), err)
	}
	c := b.observe(p).Containers[0]
	if !c.OneOff || c.Task.Number != 0 || c.Labels[labelSlug] != "0123456789abcdef" || c.Labels[labelNumber] != "" {
		t.Errorf("one-off: %+v", c)
	}
}

func TestHooksRunInTheContainerAndTheirFailureIsTold(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  web:
    image: berth-lab/busybox:1
    command: sleep 600
    post_start:
      - {command: ["sh", "-c", "echo $$WHO > /made"], environment: [WHO=hook]}
    pre_stop:
      - {command: ["sh", "-c", "echo cannot flush >&2; exit 3"]}
`)
	id := b.up(p)["web"]
	s := p.Service("web")
	if err := b.PostStart(b.ctx, id, s, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got := b.sh(id, "cat /made"); got != "hook" {
		t.Errorf("post_start made %q", got)
	}
	if err := b.PreStop(b.ctx, id, s, io.Discard); err == nil || !strings.Contains(err.Error(), "exited with status 3: cannot flush") {
		t.Errorf("pre_stop: %v", err)
	}
	if err := b.Kill(b.ctx, id, ""); err != nil {
		t.Fatal(err)
	}
	b.awaitExit(id)
	if err := b.PreStop(b.ctx, id, s, io.Discard); err != nil {
		t.Errorf("pre_stop of a container that does not run: %v", err)
	}
}

func TestTheAgentsContainerTakesFilesBeforeItStartsAndIsRecognised(t *testing.T) {
	b := onEngine(t)
	img, err := b.raw.ImageInspect(b.ctx, "berth-lab/busybox:1")
	if err != nil {
		t.Fatal(err)
	}
	id, err := b.CreateAgent(b.ctx, AgentSpec{Name: "berth-agent", Image: img.ID, Cluster: "c1", Version: "v9", Cmd: []string{"sleep", "600"},
		Volume: "berth-agent", Dir: "/var/lib/berth", Socket: "/var/run/docker.sock", SocketTarget: "/run/engine/docker.sock"})
	if err != nil {
		t.Fatal(err)
	}
	archives, err := pack([]injected{{Target: "/var/lib/berth/agent.json", Content: "{}", Mode: 0o600}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.CopyTo(b.ctx, id, "/", archives["/"]); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(b.ctx, id); err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]string{
		"cat /var/lib/berth/agent.json; stat -c %a /var/lib/berth/agent.json": "{}600",
		"test -S /run/engine/docker.sock && echo socket":                      "socket",
		"ip link add bt9 type bridge && ip link del bt9 && echo links":        "links",
		"echo 1 > /proc/sys/net/ipv4/ip_forward && echo switches":             "switches",
	} {
		if got := b.sh(id, script); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
	s, err := b.Observe(b.ctx, Query{Light: true})
	if err != nil || s.Agent == nil || *s.Agent != (AgentContainer{ID: id, State: "running", Cluster: "c1", Version: "v9"}) || len(s.Containers) != 0 {
		t.Errorf("agent %+v, %v", s.Agent, err)
	}
	r, err := b.CopyFrom(b.ctx, id, "/var/lib/berth/agent.json")
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}
