package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const stackCompose = `
services:
  app:
    image: berth-lab/busybox:1
    command: sleep 1000
    stop_grace_period: 0s
    secrets: [{source: file, uid: "1000", gid: "5", mode: 0400}, env, kept]
    configs: [{source: settings, target: /etc/app.conf, mode: 0440}]
    volumes: ["./conf:/conf:ro", "./app.ini:/etc/app.ini:ro"]
    labels: {berth.placement.constraint: "node.name == ${APP:-host1}"}
  db:
    image: berth-lab/busybox:1
    command: sleep 1000
    stop_grace_period: 0s
    secrets: [kept]
    volumes: ["./begin:/begin", "data:/data"]
    labels: {berth.placement.constraint: "node.name == ${DB:-host1}"}
secrets:
  file: {file: ./password}
  env: {environment: TOKEN}
  kept: {external: true, name: stack-kept}
configs:
  settings: {content: "colour=blue"}
volumes: {data: }
`

// stack is the world of a project with all that compose takes to be local: what is seen in its containers must not
// depend on the host.
type stack struct {
	*world
	said []string // all that berth printed
}

var secretWords = []string{"pA55-of-file", "pA55-of-env", "pA55-that-is-kept"}

func newStack(t *testing.T) *stack {
	w := threeHosts(t, stackCompose)
	s := &stack{world: w}
	for name, content := range map[string]string{"conf/sub/f": "one\n", "conf/run.sh": "echo\n", "app.ini": "ini\n", "begin/f": "begun\n", "password": secretWords[0], "kept": secretWords[2]} {
		s.write(name, content)
	}
	for _, err := range []error{os.Chmod(filepath.Join(s.dir, "conf/run.sh"), 0o750), os.Chmod(filepath.Join(s.dir, "password"), 0o600),
		os.Symlink("sub/f", filepath.Join(s.dir, "conf/link")), os.Mkdir(filepath.Join(s.dir, "conf/empty"), 0o700)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.env = append(s.env, "TOKEN="+secretWords[1])
	return s
}

func (s *stack) run(args ...string) {
	s.t.Helper()
	r := s.must(args...)
	s.said = append(s.said, r.out, r.err)
}

// sees is what a script prints in a service's container.
func (s *stack) sees(service, script string) string {
	s.t.Helper()
	out, err := s.exec(s.container(service, 1), "sh", "-c", script)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// app is all that the app's container has from outside.
func (s *stack) app() string {
	return s.sees("app", `cd /run/secrets; for f in *; do echo $f $(cat $f) $(stat -c '%a %u %g' $f); done
echo $(cat /etc/app.conf) $(stat -c %a /etc/app.conf); cat /etc/app.ini /conf/link; cd /conf; find . | sort | xargs stat -c '%a %n'`)
}

func TestAStackIsTheSameOnWhateverHostAndItsDataIsNeverLost(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.run("secret", "create", "stack-kept", "kept")
	t.Cleanup(func() { s.berth("secret", "rm", "stack-kept") })
	s.run("up", "-d")
	first := s.app()
	if !strings.Contains(first, "file pA55-of-file 400 1000 5") || !strings.Contains(first, "kept pA55-that-is-kept 444 0 0") ||
		!strings.Contains(first, "colour=blue 440") || !strings.Contains(first, "750 ./run.sh") || !strings.Contains(first, "ini\none\n") {
		t.Fatalf("the app sees\n%s", first)
	}
	s.sees("db", "echo row > /data/row; echo more > /begin/more; rm /begin/f")

	s.env = append(s.env, "APP=host3")
	s.run("up", "-d")
	if diff := cmp.Diff([]string{"host3"}, s.hostsOf("app")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(first, s.app()); diff != "" {
		t.Errorf("on another host the app sees something else: %s", diff)
	}

	before := s.ps()
	s.env = append(s.env, "DB=host2")
	r := s.refused([]string{"db.1 cannot be placed", "has its data on host1", "nothing was changed"}, "up", "-d")
	s.said = append(s.said, r.out, r.err)
	if diff := cmp.Diff(before, s.ps(), cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Status" }, cmp.Ignore())); diff != "" {
		t.Errorf("a refused up changed something: %s", diff)
	}
	s.env = append(s.env, "DB=host1")
	s.run("up", "-d", "--force-recreate")
	s.run("down")
	s.run("up", "-d")
	if got := s.sees("db", "cat /data/row /begin/more; ls /begin"); got != "row\nmore\nmore" {
		t.Errorf("the database's data is %q", got)
	}
	s.run("plan", "--force-recreate")
	s.nowhere(secretWords)
	s.run("down", "-v")
	for host, out := range s.onHosts("docker", "volume", "ls", "-q", "--filter", "label=com.docker.compose.project="+s.project) {
		if out != "" {
			t.Errorf("left on %s: %s", host, out)
		}
	}
}

// nowhere looks for words wherever berth or an engine could have written them.
func (s *stack) nowhere(words []string) {
	s.t.Helper()
	found := func(where, text string) {
		s.t.Helper()
		for _, word := range words {
			if strings.Contains(text, word) {
				s.t.Errorf("%s shows %s", where, word)
			}
		}
	}
	found("berth's output", strings.Join(s.said, "\n"))
	found("the store's dump", s.must("store", "dump").out)
	everything := `docker inspect $(docker ps -aq) && docker image inspect $(docker image ls -q) && docker network inspect $(docker network ls -q) &&
docker volume inspect $(docker volume ls -q) && docker logs berth-agent 2>&1 && docker history --no-trunc $(docker image ls -q | head -1)`
	for host, out := range s.onHosts("sh", "-c", everything) {
		if !strings.Contains(out, s.container("db", 1)) && !strings.Contains(out, "berth-agent") {
			s.t.Fatalf("%s: nothing was inspected", host)
		}
		found("docker inspect on "+host, out)
	}
	// What the store and the agent keep on disk.
	for _, word := range words {
		for host, out := range s.onHosts("sh", "-c", `grep -rlF "`+word+`" "$(docker volume inspect -f '{{.Mountpoint}}' berth-agent)" || test $? = 1`) {
			if out != "" {
				s.t.Errorf("%s: %s has %s", host, out, word)
			}
		}
	}
	for _, h := range s.lab.Hosts() {
		log, err := os.ReadFile(h.EngineLog())
		if err != nil {
			s.t.Fatal(err)
		}
		found("the engine's log on "+h.Name(), string(log))
	}
}
