// Package behaviour_test runs the scripts of ../testdata/behaviour. It is a package of its own so that it runs beside the
// other tests of berth, which it shares no lab with.
package behaviour_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"berth/fixtures/lab/lab"
)

// The scripts of ../testdata/behaviour are the specification of what berth does: one behaviour a file, run on one engine as
// docker compose is, and again on a cluster of three. Beside testscript's own commands they have
//
//	berth ARG…          run berth; "! berth" when it has to fail
//	code N ARG…         run berth, which has to end with exit code N
//	docker ARG…         run docker against the hosts in turn; succeeds where one does, with the output of those
//	eventually WORDS    repeat the command until it succeeds (as long as tests have patience)
//
// and those of a user who does something while a command runs (user_test.go),
// and the conditions [cluster] and [onehost]. $PROJECT is the project's name, set in the environment, and
// $BERTH the program's path.

// binary is the berth program under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "berth-behaviour-")
	if err != nil {
		panic(err)
	}
	if binary, err = lab.BuildBerth(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := lab.Main(m)
	os.RemoveAll(dir)
	os.Exit(code)
}

func TestBehaviourOnOneHost(t *testing.T) {
	t.Parallel() // with the cluster
	l := lab.Start(t, lab.Hosts(1), lab.Images("busybox", "web"))
	behave(t, l, "onehost", "DOCKER_HOST=unix://"+l.Hosts()[0].Socket())
}

func TestBehaviourOnThreeHosts(t *testing.T) {
	t.Parallel() // with the one host
	l := lab.Start(t, lab.Hosts(3), lab.KeepAgent(), lab.Images("busybox", "web"))
	behave(t, l, "cluster", "BERTH_INVENTORY="+l.Inventory())
}

func behave(t *testing.T, l *lab.Lab, kind string, environ ...string) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../testdata/behaviour",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "cluster", "onehost":
				return cond == kind, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Setup: func(env *testscript.Env) error {
			project := projectOf(filepath.Base(env.WorkDir)) + kind[:1] // images stay, and are the other kind's no business
			env.Vars = append(env.Vars, environ...)
			env.Vars = append(env.Vars, "PROJECT="+project, "COMPOSE_PROJECT_NAME="+project, "BERTH="+binary,
				"XDG_CACHE_HOME="+filepath.Join(filepath.Dir(binary), "cache"))
			env.Defer(func() { scrap(t, env, project) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"berth": func(ts *testscript.TestScript, neg bool, args []string) {
				if err := ts.Exec(binary, args...); (err != nil) != neg {
					ts.Fatalf("berth %s: error %v, want one: %v", strings.Join(args, " "), err, neg)
				}
			},
			"code":       exitCode,
			"signalled":  signalled,
			"terminal":   onTerminal,
			"docker":     func(ts *testscript.TestScript, neg bool, args []string) { onSomeHost(ts, l, neg, args) },
			"eventually": func(ts *testscript.TestScript, neg bool, args []string) { repeat(ts, l, neg, args) },
		},
	})
}

// projectOf is a project name for a script: its own, without what names do not allow.
func projectOf(script string) string {
	return "b" + regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(strings.TrimPrefix(script, "script-")), "")
}

// scrap takes down what a script left running.
func scrap(t *testing.T, env *testscript.Env, project string) {
	cmd := exec.Command(binary, "-p", project, "down", "-v", "--remove-orphans", "-t", "0")
	cmd.Dir, cmd.Env = os.TempDir(), env.Vars
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("clean up %s: %v\n%s", project, err, out)
	}
}

// exitCode runs berth and compares how it ended.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(binary, args[1:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("berth %s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// onSomeHost runs docker against each host.
func onSomeHost(ts *testscript.TestScript, l *lab.Lab, neg bool, args []string) {
	if succeeded := tryDocker(ts, l, args); succeeded == neg {
		ts.Fatalf("docker %s: succeeded on some host: %v", strings.Join(args, " "), succeeded)
	}
}

func tryDocker(ts *testscript.TestScript, l *lab.Lab, args []string) bool {
	var out strings.Builder
	succeeded := false
	for _, h := range l.Hosts() {
		if ts.Exec("docker", append([]string{"-H", "unix://" + h.Socket()}, args...)...) == nil {
			succeeded = true
			out.WriteString(ts.ReadFile("stdout"))
		}
	}
	fmt.Fprint(ts.Stdout(), out.String())
	return succeeded
}

// repeat runs berth or docker until it succeeds.
func repeat(ts *testscript.TestScript, l *lab.Lab, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually berth|docker|exec ARG…")
	}
	if !lab.Happens(func() bool {
		switch args[0] {
		case "docker":
			return tryDocker(ts, l, args[1:])
		case "exec":
			return ts.Exec(args[1], args[2:]...) == nil
		}
		return ts.Exec(binary, args[1:]...) == nil
	}) {
		ts.Fatalf("did not happen within %s: %s", lab.Patience, strings.Join(args, " "))
	}
}
