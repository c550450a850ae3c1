package cli

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
	"go.uber.org/goleak"

	"berth/cmd/progress"
)

func TestTheNameItIsCalledByIsTakenFromProgramAndDocker(t *testing.T) {
	const docker = pluginCaller + "=docker"
	for _, c := range []struct {
		args, environ string
		name          string
		compose       bool
		left          string
	}{
		{"berth ps -a", "", "berth", false, "berth ps -a"},
		{"/usr/bin/berth ps", docker, "berth", false, "/usr/bin/berth ps"},
		{"docker-compose ps", "", "docker-compose", true, "docker-compose ps"},
		{"/plugins/docker-berth berth ps -a", docker, "docker berth", false, "/plugins/docker-berth ps -a"},
		{"docker-compose compose -f x.yml ps", docker, "docker compose", true, "docker-compose -f x.yml ps"},
		{"docker-compose --context far -D compose -p x up -d", docker, "docker compose", true, "docker-compose --context far -D -p x up -d"},
		{"docker-compose -H=unix:///x --tlscacert ca.pem compose ps", docker, "docker compose", true, "docker-compose -H=unix:///x --tlscacert ca.pem ps"},
		{"docker-compose help compose ps", docker, "docker compose", true, "docker-compose help ps"},
		{"docker-compose --help compose", docker, "docker compose", true, "docker-compose --help"},
		{"docker-compose __complete compose ps w", docker, "docker compose", true, "docker-compose __complete ps w"},
		{"docker-compose " + pluginMetadata, docker, "docker-compose", true, "docker-compose " + pluginMetadata},
		// A program that docker has started may call docker-compose itself.
		{"docker-compose up -d", docker, "docker-compose", true, "docker-compose up -d"},
		{"docker-compose -p compose up", docker, "docker-compose", true, "docker-compose -p compose up"},
	} {
		s := &settings{}
		env := Env{Environ: strings.Fields(c.environ)}
		call, left := invoked(strings.Fields(c.args), env, slices.Concat(s.globalFlags(), dockerFlags()))
		if call.name != c.name || call.compose != c.compose || strings.Join(left, " ") != c.left {
			t.Errorf("%s: %+v, left %q; want %s, %q", c.args, call, left, c.name, c.left)
		}
	}
}

func TestSentencesQuoteCommandsAsTheUserTypesThem(t *testing.T) {
	const sentence = `no berth agent yet; "berth up" puts one there, "berth ps" shows it`
	for name, want := range map[string]string{
		"berth":          sentence,
		"docker compose": `no berth agent yet; "docker compose up" puts one there, "docker compose ps" shows it`,
	} {
		var b strings.Builder
		code := report(&b, invocation{name: name}, errors.New(sentence))
		if diff := cmp.Diff(name+": "+want+"\n", b.String()); diff != "" || code != 1 {
			t.Errorf("code %d, %s", code, diff)
		}
	}
}

func TestDockerEndsItsPluginByClosingASocket(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "docker.sock")
	docker, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	env := Env{Environ: []string{pluginSocket + "=" + path}}
	accept := func() net.Conn {
		t.Helper()
		conn, err := docker.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}

	interrupted := make(chan struct{})
	stop := followDocker(env, func() { close(interrupted) })
	conn := accept()
	if _, err := io.WriteString(conn, "what docker writes is not the end"); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	<-interrupted
	stop()

	stop = followDocker(env, func() { t.Error("interrupted, though docker is there") })
	conn = accept()
	stop()
	conn.Close()
}

func TestWhatFailedAfterTheProcessIsSaidBesideItsExitCode(t *testing.T) {
	leftover := errors.New("remove container p-web-run-1: no space left on device")
	for _, c := range []struct {
		err  error
		said string
	}{
		{&exitError{code: 3}, ""},
		{errors.Join(&exitError{code: 3}, leftover), "berth: " + leftover.Error() + "\n"},
		{errors.Join(leftover, fmt.Errorf("run: %w", &exitError{code: 3})), "berth: " + leftover.Error() + "\n"},
		{&exitError{code: 3, err: leftover}, "berth: " + leftover.Error() + "\n"},
	} {
		var said strings.Builder
		if code := report(&said, invocation{name: "berth"}, c.err); code != 3 || said.String() != c.said {
			t.Errorf("%v: code %d, said %q, want %q", c.err, code, said.String(), c.said)
		}
	}
}

func TestQuietBeforeTheCommandQuietensItWhateverItsOwnQuietIs(t *testing.T) {
	for args, want := range map[string]progress.Mode{
		"-q build": progress.Quiet, "build -q": progress.Quiet, "-q down": progress.Quiet, "down -q": progress.Quiet,
		"-q pull": progress.Quiet, "ps -q": progress.Plain, "down": progress.Plain,
	} {
		s := &settings{env: Env{Stdout: io.Discard, Stderr: io.Discard}}
		app := newApp(s)
		app.Before = nil
		var got progress.Mode
		for _, c := range app.Commands {
			own := c.Name == "ps" || c.Name == "down" // see what.silent
			c.Action = func(c *cli.Context) (err error) {
				got, err = s.displayMode(c, own)
				return err
			}
		}
		words := append([]string{"berth", "--progress", "plain"}, strings.Fields(args)...)
		if err := app.Run(arrange(app, words)); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", args, got, err, want)
		}
	}
}
