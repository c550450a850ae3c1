package main_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// The archives of testdata/config are compose projects with, in the comment, the command lines to compare, each after
// "$ ": variables, then the arguments, then perhaps "< FILE" for standard input. cd=FOLDER is the folder to be in.

func TestConfigPrintsWhatDockerComposePrintsByteForByte(t *testing.T) {
	t.Parallel()
	peer := compose(t)
	archives, err := filepath.Glob("testdata/config/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, path := range archives {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), name)
			for _, f := range archive.Files {
				file := filepath.Join(dir, f.Name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, f.Data, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			compared := 0
			for line := range strings.Lines(string(archive.Comment)) {
				if words, ok := strings.CutPrefix(line, "$ "); ok {
					compareConfig(t, peer, dir, strings.Fields(words))
					compared++
				}
			}
			if compared == 0 {
				t.Error("the archive has no command line")
			}
		})
	}
}

func TestConfigOfTheSampleProjectsIsDockerComposes(t *testing.T) {
	t.Parallel()
	peer := compose(t)
	projects, err := filepath.Glob(filepath.Join("..", "..", "fixtures", "projects", "*"))
	if err != nil || len(projects) == 0 {
		t.Fatalf("no projects: %v", err)
	}
	for _, dir := range projects {
		for _, args := range []string{"config", "config --format json", "config --no-interpolate", "config --images", "config --variables"} {
			compareConfig(t, peer, dir, strings.Fields(args))
		}
	}
}

// compareConfig runs one command line with both and compares what they print on standard output, and whether they fail.
func compareConfig(t *testing.T, peer, dir string, words []string) {
	t.Helper()
	said := strings.Join(words, " ")
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(dir), "XDG_CACHE_HOME=" + t.TempDir(), "DOCKER_HOST=unix:///nowhere.sock"}
	base := dir
	for len(words) > 0 && strings.Contains(words[0], "=") {
		if to, ok := strings.CutPrefix(words[0], "cd="); ok {
			dir = filepath.Join(base, to)
		} else {
			env = append(env, words[0])
		}
		words = words[1:]
	}
	var stdin []byte
	if i := slices.Index(words, "<"); i >= 0 {
		var err error
		if stdin, err = os.ReadFile(filepath.Join(base, words[i+1])); err != nil {
			t.Fatal(err)
		}
		words = words[:i]
	}
	run := func(program string) (string, bool, string) {
		cmd := exec.CommandContext(t.Context(), program, words...)
		cmd.Dir, cmd.Env, cmd.Stdin = dir, append(slices.Clone(env), "PWD="+dir), bytes.NewReader(stdin)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return inOrder(words, out.String()), err == nil, errs.String()
	}
	want, wantOK, wantErr := run(peer)
	got, gotOK, gotErr := run(binary)
	if wantOK != gotOK {
		t.Errorf("%s: docker compose succeeds: %v, berth: %v\n%s\n%s", said, wantOK, gotOK, wantErr, gotErr)
	} else if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: (-docker compose +berth)\n%s", said, diff)
	}
	if !gotOK && strings.Count(gotErr, "berth:") != 1 {
		t.Errorf("%s: want one sentence after \"berth:\": %s", said, gotErr)
	}
}

// inOrder sorts the lines of what docker compose prints in no order.
func inOrder(words []string, out string) string {
	table := slices.Contains(words, "--variables") && !slices.Contains(words, "--format")
	if !table && !slices.ContainsFunc([]string{"--services", "--images", "--volumes", "--networks", "--environment"},
		func(flag string) bool { return slices.Contains(words, flag) }) {
		return out
	}
	lines := slices.Sorted(strings.Lines(out))
	return strings.Join(lines, "")
}
