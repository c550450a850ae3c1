package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompletionOffersWhatCanStandAtTheCursor(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"compose.yml": "services: {web: {image: a}, worker: {image: a}, tools: {image: a, profiles: [debug]}}",
		"other.yml":   "services: {second: {image: a}}",
		"broken.yml":  "services: [",
		"hosts.yml":   "hosts: {east: {address: tcp://10.0.0.1:2375}, west: {address: tcp://10.0.0.2:2375}}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, c := range []struct{ typed, want string }{
		{"st", "start stop stats store :4"},
		{"ps w", "web worker :4"},
		{"ps ", "tools web worker :4"},
		{"ps web ", "tools worker :4"},
		{"-f other.yml ps ", "second :4"},
		{"--file=other.yml ps ", "second :4"},
		{"-f broken.yml ps ", ":4"},
		{"-f ", ":0"},
		{"--project-directory ", ":20"},
		{"--ansi a", "auto always :4"},
		{"--ansi=n", "--ansi=never :4"},
		{"--profile ", "debug :4"},
		{"ps --status pa", "paused :4"},
		{"ps --status=pa", "--status=paused :4"},
		{"ps --filter ", "status= :6"},
		{"ps --no", "--no-trunc :4"},
		{"ps -a --orph", "--orphans :4"},
		{"up --scale ", "tools= web= worker= :6"},
		{"up --scale web=", ":4"},
		{"up --pull m", "missing :4"},
		{"version --format ", "pretty json :4"},
		{"config --format ", "yaml json :4"},
		{"scale we", "web= :6"},
		{"rebalance w", "web worker :4"},
		{"port web ", ":4"},
		{"exec w", "web worker :4"},
		{"exec web ls -", ":0"},
		{"completion ", "bash zsh fish :4"},
		{"store ", "status dump backup restore recover migrate rotate-keys :4"},
		{"store dump ", ":4"},
		{"help store", "store :4"},
		{"build --host ", "east west :4"},
		{"-f other.yml build --host=w", "--host=west :4"},
		{"nosuch ", ":0"},
	} {
		var out strings.Builder
		env := Env{Stdout: &out, Stderr: os.Stderr, Dir: dir, Environ: []string{"PATH=/bin"}}
		if code := Main(append([]string{"berth", completeWord}, strings.Split(c.typed, " ")...), env); code != 0 {
			t.Errorf("%s: code %d", c.typed, code)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			got = append(got, word)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.typed, diff)
		}
	}
}
