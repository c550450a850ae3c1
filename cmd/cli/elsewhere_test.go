package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestUsersOfSwarmsAreToldWhereThingsAre(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for typed, want := range map[string]string{
		"node ls":                                 "unknown command \"node\"; \"berth hosts\" lists the hosts",
		"node update --label-add a=b host1":       "their labels and availability are in hosts.yml",
		"service scale web=3":                     "\"berth scale web=3\"",
		"stack deploy -c compose.yml shop":        "\"berth up -d\" brings a project up",
		"up -d --reserve-cpu 1":                   "up: flag provided but not defined: -reserve-cpu; reservations are in the compose file",
		"up -d --cluster-store=consul://lan:8500": "store: consul://",
		"--cluster-store consul://lan:8500 up":    "store: consul://",
	} {
		var out strings.Builder
		code := Main(append([]string{"berth"}, strings.Fields(typed)...), Env{Stdout: &out, Stderr: &out, Dir: t.TempDir()})
		if code != 1 || !strings.HasPrefix(out.String(), "berth: ") || !strings.Contains(out.String(), want) {
			t.Errorf("%s: code %d, want %q, got %q", typed, code, want, out.String())
		}
	}
	app := newApp(&settings{})
	for word := range commandsElsewhere {
		if app.Command(word) != nil {
			t.Errorf("berth has a command %s itself", word)
		}
	}
	for _, elsewhere := range []map[string]string{commandsElsewhere, flagsElsewhere} {
		for word, hint := range elsewhere {
			for _, m := range regexp.MustCompile(`"berth (?:-\S+ \S+ )?(\w+)`).FindAllStringSubmatch(hint, -1) {
				if app.Command(m[1]) == nil {
					t.Errorf("%s: %q names a command that berth has not", word, hint)
				}
			}
		}
	}
}

func TestWithoutAnEngineHereItIsSaidHowOthersAreNamed(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var out strings.Builder
	code := Main([]string{"berth", "hosts"}, Env{Stdout: &out, Stderr: &out, Dir: t.TempDir(), Environ: []string{"DOCKER_HOST=unix:///nosuch.sock"}})
	const want = "berth: Cannot connect to the Docker daemon at unix:///nosuch.sock. Is the docker daemon running? The hosts of a cluster are named by -i FILE"
	if code != 1 || !strings.HasPrefix(out.String(), want) {
		t.Errorf("code %d, %s", code, out.String())
	}
}

func TestHostsSaysOfEachWhyItDoesNotAnswer(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	inventory := "hosts: {east: {address: tcp://127.0.0.1:1}, west: {address: 'unix:///nosuch.sock'}}"
	if err := os.WriteFile(filepath.Join(dir, "hosts.yml"), []byte(inventory), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, said strings.Builder
	code := Main([]string{"berth", "hosts"}, Env{Stdout: &out, Stderr: &said, Dir: dir})
	if code != 1 || said.String() != "berth: hosts: 2 of 2 do not answer\n" {
		t.Errorf("code %d, %s", code, said.String())
	}
	if strings.Contains(out.String(), "agent") {
		t.Errorf("what is not known of agents is said in\n%s", out.String())
	}
	for _, row := range []string{`(?m)^east +unreachable: .*127\.0\.0\.1:1`, `(?m)^west +unreachable: .*/nosuch\.sock`} {
		if !regexp.MustCompile(row).MatchString(out.String()) {
			t.Errorf("no row %s in\n%s", row, out.String())
		}
	}
}
