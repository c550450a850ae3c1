//go:build unix

package provider

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// program is a provider written in shell, called "cloud", and how it is called.
func program(t *testing.T, text string) *Call {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "docker-cloud"), text)
	return &Call{Project: "shop", Service: "my-db", Type: "cloud", Folders: []string{"/nowhere", dir}, Env: []string{"PATH=/usr/bin:/bin", "DIR=" + dir}}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\ncd \"$DIR\"\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestUpGivesTheVariablesUnderTheNamesThatDependentsSee(t *testing.T) {
	c := program(t, `[ "$2" = metadata ] && exit 1
echo "$*" >args
echo '{"type":"info","message":"one"}{"type":"debug","message":"x"}'
printf '{"type":"setenv",\n"message":"URL=http://a?b=c"}'
echo '{"type":"rawsetenv","message":"TOKEN="}'
echo '{"type":"info","message":"two"}'`)
	c.Options = map[string][]string{"size": {"3"}, "zone": {"a", "b"}}
	var heard []string
	c.Info = func(s string) { heard = append(heard, s) }
	got, err := c.Up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"MY-DB_URL": "http://a?b=c", "TOKEN": ""}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"one", "two"}, heard); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("compose --project-name=shop up --size=3 --zone=a --zone=b my-db\n", read(t, c, "args")); diff != "" {
		t.Error(diff)
	}
}

func read(t *testing.T, c *Call, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.Folders[1], name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestMetadataSaysWhichOptionsAnActionTakes(t *testing.T) {
	const metadata = `[ "$2" = metadata ] && exec echo '{"description": "x",
"up": {"parameters": [{"name": "size", "required": true}]}, "down": {"parameters": [{"name": "force"}]}}'
echo "$*" >args`
	c := program(t, metadata)
	c.Options = map[string][]string{"size": {"3"}, "force": {"yes"}, "odd": {"1"}}
	var notes []string
	c.Note = func(s string) { notes = append(notes, s) }
	if _, err := c.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c, "args"); got != "compose --project-name=shop up --size=3 my-db\n" {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"provider cloud does not know the option odd; it is left out"}, notes); diff != "" {
		t.Error(diff)
	}
	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c, "args"); got != "compose --project-name=shop down --force=yes my-db\n" {
		t.Error(got)
	}
	if c.Stops(t.Context()) {
		t.Error("it does not say that it can be stopped")
	}
	c.Options = nil
	_, err := c.Up(t.Context())
	if want := "service my-db: provider cloud: up: it requires the option size; give it in provider.options"; err == nil || err.Error() != want {
		t.Errorf("error is %v", err)
	}
}

func TestWhatSaysSoCanBeStopped(t *testing.T) {
	c := program(t, `[ "$2" = metadata ] && exec echo '{"stop": {}}'
echo "$*" >args`)
	if !c.Stops(t.Context()) {
		t.Error("it says that it can be stopped")
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c, "args"); got != "compose --project-name=shop stop my-db\n" {
		t.Error(got)
	}
	if c.Folders = nil; c.Stops(t.Context()) {
		t.Error("it is not there")
	}
}

func TestAPluginGoesBeforeAProgramInPath(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "cloud"), `echo '{"type":"error","message":"the one in PATH"}'`)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	c := program(t, "exit 0")
	if _, err := c.Up(t.Context()); err != nil {
		t.Error(err)
	}
	c.Folders = nil
	if _, err := c.Up(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "up: the one in PATH") {
		t.Errorf("error is %v", err)
	}
}

func TestWhatGoesWrongIsOneSentenceWithoutValues(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"error":      {`echo '{"type":"error","message":"no credit"}'; exec sleep 1000`, "no credit"},
		"no reason":  {`echo '{"type":"error"}'`, "it failed and did not say why"},
		"code":       {`echo one >&2; echo "two " >&2; exit 4`, "exit status 4: two"},
		"quiet":      {`exit 4`, "exit status 4"},
		"not JSON":   {`echo '{"type":"info"}'; echo s3cret; exec sleep 1000`, "message 2 of its output is not JSON with a type and a message; look what it writes on its standard output"},
		"cut short":  {`printf '{"type":"setenv","message":"A=s3cr'`, "message 1 of its output is not JSON with a type and a message; look what it writes on its standard output"},
		"no value":   {`echo '{"type":"setenv","message":"s3cret"}'`, "message 1 of its output sets no variable; it has to say NAME=VALUE"},
		"no name":    {`echo '{"type":"setenv","message":"=s3cret"}'`, "message 1 of its output sets no variable; it has to say NAME=VALUE"},
		"other type": {`echo '{"type":"odd","message":"s3cret"}'`, `message 1 of its output is of type "odd"; want info, error, setenv or debug`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := program(t, "[ \"$2\" = metadata ] && exit 1\n"+c.text).Up(t.Context())
			if want := "service my-db: provider cloud: up: " + c.want; err == nil || err.Error() != want {
				t.Errorf("error is %v, want %s", err, want)
			}
		})
	}
	for kind, want := range map[string]string{
		"":        `"" is no name of a program; name one in provider.type`,
		"../x":    `"../x" is no name of a program; name one in provider.type`,
		"compose": "compose is this program itself; name another in provider.type",
		"nowhere": "there is neither a docker plugin docker-nowhere nor a program nowhere in PATH on this machine; install it",
	} {
		err := (&Call{Service: "x", Type: kind}).Down(t.Context())
		if want := "service x: provider " + kind + ": down: " + want; err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}

func TestAnInterruptEndsTheProgramAndWhatItStarted(t *testing.T) {
	c := program(t, `[ "$2" = metadata ] && exit 1
trap 'echo ended >>ends; exit 1' TERM
sh -c 'trap "echo child ended >>ends; exit" TERM; echo "{\"type\":\"info\",\"message\":\"ready\"}"; while :; do sleep 0.1; done' &
wait`)
	why := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	c.Info = func(string) { cancel(why) }
	if _, err := c.Up(ctx); !errors.Is(err, why) {
		t.Errorf("error is %v", err)
	}
	ends := strings.Split(read(t, c, "ends"), "\n")
	slices.Sort(ends)
	if diff := cmp.Diff([]string{"", "child ended", "ended"}, ends); diff != "" {
		t.Error(diff)
	}
}

func TestAProgramThatTakesNoNoticeIsKilled(t *testing.T) {
	c := program(t, `[ "$2" = metadata ] && exit 1
trap "" TERM
echo '{"type":"info","message":"ready"}'
while :; do sleep 0.1; done`)
	c.Grace = 1 // nanosecond
	ctx, cancel := context.WithCancel(t.Context())
	c.Info = func(string) { cancel() }
	if _, err := c.Up(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
