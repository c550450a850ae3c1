package watch

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"berth/placement"
	"berth/runtime/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder is a project with files, all with their own names in them, and a service that watches it.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		write(t, filepath.Join(dir, f))
	}
	return dir
}

func write(t *testing.T, file string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(filepath.Base(file)), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func project(s *types.ServiceConfig, mounts ...placement.Mount) *placement.Project {
	return &placement.Project{Services: []*placement.Service{{Name: "web", Spec: s, Mounts: mounts}}}
}

func watching(triggers ...types.Trigger) *types.ServiceConfig {
	return &types.ServiceConfig{Develop: &types.DevelopConfig{Watch: triggers}}
}

func must(t *testing.T, p *placement.Project) []Rule {
	t.Helper()
	rules, notes, err := Rules(p, nil)
	if err != nil || len(notes) > 0 {
		t.Fatal(err, notes)
	}
	return rules
}

func TestARuleConcernsWhatItsPatternsLeave(t *testing.T) {
	dir := folder(t, "src/a.js", "src/vendor/b.js", ".dockerignore")
	if err := os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte("*.secret\nsrc/out\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := watching(types.Trigger{
		Path: filepath.Join(dir, "src"), Action: types.WatchActionSync, Target: "/app",
		Ignore: []string{"vendor", "*.log"}, Include: []string{"*.js", "deep/**", "out/**", "**/*.log", "**/x.js~"},
	})
	s.Build = &types.BuildConfig{Context: dir}
	rule := must(t, project(s))[0]
	for file, want := range map[string]string{
		"src/a.js":           "/app/a.js",
		"src/deep/er/x":      "/app/deep/er/x",
		"src/a.css":          "",
		"src/vendor/b.js":    "",
		"src/vendor":         "",
		"src/a.log":          "",
		"src/deep/.git/HEAD": "",
		"src/deep/x.js~":     "",
		"src/out/main.js":    "",
		"other/a.js":         "",
		"srcs/a.js":          "",
	} {
		if got, ok := rule.Concerns(filepath.Join(dir, file)); got != want || ok != (want != "") {
			t.Errorf("%s is %q, %v in the container, want %q", file, got, ok, want)
		}
	}
}

func TestRulesThatCannotWorkAreRefusedWithTheirPlace(t *testing.T) {
	dir := folder(t, "src/a")
	for want, trigger := range map[string]types.Trigger{
		"services.web.develop.watch.0: action sync+restart needs a target":          {Path: dir, Action: "sync+restart"},
		"services.web.develop.watch.0: action rebuild needs build: in service web":  {Path: dir, Action: "rebuild"},
		"services.web.develop.watch.0: action sync+exec needs exec: with a command": {Path: dir, Action: "sync+exec", Target: "/x"},
		"services.web.develop.watch.0: ignore: syntax error in pattern":             {Path: dir, Action: "restart", Ignore: []string{"[-]"}},
	} {
		if _, _, err := Rules(project(watching(trigger)), nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	rules, notes, err := Rules(project(watching(types.Trigger{Path: dir + "/src", Action: "sync", Target: "/x"}),
		placement.Mount{Type: "bind", Source: dir, Target: "/y"}), nil)
	if err != nil || len(rules) != 0 || len(notes) != 1 || !strings.Contains(notes[0], "bind mount") {
		t.Errorf("a bind mount: %v %v %v", rules, notes, err)
	}
	if rules, _, err := Rules(project(watching(types.Trigger{Path: dir, Action: "restart"})), []string{"db"}); err != nil || len(rules) != 0 {
		t.Errorf("of another service: %v %v", rules, err)
	}
}

func TestWhatIsNotThereYetIsWatched(t *testing.T) {
	dir := folder(t, "beside")
	rules, notes, err := Rules(project(watching(
		types.Trigger{Path: filepath.Join(dir, "later/deep"), Action: "sync", Target: "/app", InitialSync: true},
		types.Trigger{Path: filepath.Join(dir, "beside"), Action: "restart"},
	)), nil)
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], "later/deep is not there") {
		t.Fatal(notes, err)
	}
	if begin, err := Beginning(rules); err != nil || len(begin) != 0 {
		t.Errorf("at the beginning: %v %v", begin, err)
	}
	w, err := New(rules)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	until := func(file string) {
		t.Helper()
		for {
			changed, err := w.Next(ctx)
			if err != nil {
				t.Fatal(file, err)
			}
			if slices.Contains(changed, filepath.Join(dir, file)) {
				return
			}
		}
	}
	write(t, filepath.Join(dir, "later/other"))
	write(t, filepath.Join(dir, "later/deep/file"))
	until("later/deep/file")
	write(t, filepath.Join(dir, "later/deep/more"))
	until("later/deep/more")

	// A folder that is replaced is watched again.
	if err := os.RemoveAll(filepath.Join(dir, "later")); err != nil {
		t.Fatal(err)
	}
	until("later/deep")
	write(t, filepath.Join(dir, "later/deep/again"))
	until("later/deep/again")
}

func TestABurstOfChangesIsOne(t *testing.T) {
	dir := folder(t, "src/a", "src/gone", "src/skip/x", "one", "beside")
	w, err := New(must(t, project(watching(
		types.Trigger{Path: filepath.Join(dir, "src"), Action: "sync", Target: "/app", Ignore: []string{"skip"}},
		types.Trigger{Path: filepath.Join(dir, "one"), Action: "restart"},
	))))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next := func(want ...string) {
		t.Helper()
		got, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i], _ = below(dir, got[i])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	write(t, filepath.Join(dir, "src/a"))
	write(t, filepath.Join(dir, "src/new/deep/file"))
	write(t, filepath.Join(dir, "src/skip/x"))
	write(t, filepath.Join(dir, "beside"))
	if err := os.Remove(filepath.Join(dir, "src/gone")); err != nil {
		t.Fatal(err)
	}
	next("src/a", "src/gone", "src/new", "src/new/deep", "src/new/deep/file")

	// A folder that was made is watched; a file that an editor replaces is still the file.
	write(t, filepath.Join(dir, "src/new/deep/file"))
	write(t, filepath.Join(dir, "other"))
	if err := os.Rename(filepath.Join(dir, "other"), filepath.Join(dir, "one")); err != nil {
		t.Fatal(err)
	}
	next("one", "src/new/deep/file")

	why := errors.New("enough")
	ended, end := context.WithCancelCause(ctx)
	end(why)
	if _, err := w.Next(ended); !errors.Is(err, why) {
		t.Errorf("a watch that is ended: %v", err)
	}
}

// box is a container that keeps what it is sent.
type box struct {
	names   []string
	content map[string]string
	ran     [][]string
	refuse  error
}

func (b *box) CopyTo(_ context.Context, _, dir string, r io.Reader) error {
	if b.refuse != nil {
		return b.refuse
	}
	b.content = map[string]string{}
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		b.names = append(b.names, dir+h.Name)
		b.content[dir+h.Name] = string(text) + h.Linkname
	}
}

func (b *box) Exec(_ context.Context, _ string, x engine.ExecSpec) (int, error) {
	b.ran = append(b.ran, x.Cmd)
	return 0, nil
}

func TestSyncMakesTheContainersFilesWhatTheyAreHere(t *testing.T) {
	dir := folder(t, "src/a", "src/deep/b")
	if err := os.Symlink("a", filepath.Join(dir, "src/link")); err != nil {
		t.Fatal(err)
	}
	rule := must(t, project(watching(types.Trigger{Path: filepath.Join(dir, "src"), Action: "sync", Target: "/app"})))[0]
	files, err := rule.All()
	if err != nil {
		t.Fatal(err)
	}
	b := &box{}
	if err := Sync(t.Context(), b, "id", append(files, File{filepath.Join(dir, "src/gone"), "/app/gone"})); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"/app/a": "a", "/app/deep/": "", "/app/deep/b": "b", "/app/link": "a"}
	if diff := cmp.Diff(want, b.content); diff != "" {
		t.Error(diff)
	}
	if !slices.IsSorted(b.names) {
		t.Errorf("a folder comes after what is in it: %v", b.names)
	}
	if diff := cmp.Diff([][]string{{"rm", "-rf", "--", "/app/gone"}}, b.ran); diff != "" {
		t.Error(diff)
	}
	refused := errors.New("no room")
	if err := Sync(t.Context(), &box{refuse: refused}, "id", files); !errors.Is(err, refused) {
		t.Errorf("a container that takes nothing: %v", err)
	}
}

func TestChangesMeanOneReactionForAService(t *testing.T) {
	dir := folder(t, "web/a", "web/conf/x", "web/Dockerfile", "db/y")
	at := func(f string) string { return filepath.Join(dir, f) }
	hook := types.ServiceHook{Command: types.ShellCommand{"reload"}}
	s := watching(
		types.Trigger{Path: at("web"), Action: "sync", Target: "/app", Ignore: []string{"Dockerfile"}},
		types.Trigger{Path: at("web/conf"), Action: "sync+exec", Target: "/etc", Exec: hook, InitialSync: true},
		types.Trigger{Path: at("web/conf"), Action: "sync+restart", Target: "/etc"},
		types.Trigger{Path: at("web/Dockerfile"), Action: "rebuild"},
		types.Trigger{Path: at("db"), Action: "restart"},
	)
	s.Build = &types.BuildConfig{Context: at("web")}
	rules := must(t, project(s))
	for name, test := range map[string]struct {
		changed []string
		want    []Reaction
	}{
		"nobody's":    {[]string{"elsewhere"}, []Reaction{}},
		"a file":      {[]string{"web/a"}, []Reaction{{Service: "web", Files: []File{{at("web/a"), "/app/a"}}}}},
		"a restart":   {[]string{"db/y"}, []Reaction{{Service: "web", Restart: true}}},
		"a rebuild":   {[]string{"db/y", "web/Dockerfile", "web/a"}, []Reaction{{Service: "web", Rebuild: true}}},
		"all of them": {[]string{"web/conf/x"}, []Reaction{{Service: "web", Restart: true, Hooks: []types.ServiceHook{hook}, Files: []File{{at("web/conf/x"), "/app/conf/x"}, {at("web/conf/x"), "/etc/x"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range test.changed {
				test.changed[i] = at(test.changed[i])
			}
			if diff := cmp.Diff(test.want, React(rules, test.changed)); diff != "" {
				t.Error(diff)
			}
		})
	}
	got, err := Beginning(rules)
	if diff := cmp.Diff([]Reaction{{Service: "web", Files: []File{{at("web/conf/x"), "/etc/x"}}}}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
