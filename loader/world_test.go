package loader

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"berth/placement"
)

// world is a folder with the files of a txtar archive, and the options of a command started in it.
type world struct {
	t    *testing.T
	dir  string
	opts Options
}

// newWorld writes the archive into a folder named "shop".
func newWorld(t *testing.T, archive string, options ...func(*world)) *world {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: filepath.Join(root, "shop")}
	w.opts.WorkingDir = w.dir
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range txtar.Parse([]byte(archive)).Files {
		path := filepath.Join(w.dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range options {
		o(w)
	}
	return w
}

func files(names ...string) func(*world) { return func(w *world) { w.opts.Files = names } }
func env(vars ...string) func(*world)    { return func(w *world) { w.opts.Environ = vars } }
func named(names ...string) func(*world) { return func(w *world) { w.opts.Services = names } }
func profiles(p ...string) func(*world)  { return func(w *world) { w.opts.Profiles = p } }
func stdin(text string) func(*world) {
	return func(w *world) { w.opts.Stdin = strings.NewReader(text) }
}
func cluster(w *world) { w.opts.Cluster = true }
func cwd(sub string) func(*world) {
	return func(w *world) { w.opts.WorkingDir = filepath.Join(w.dir, sub) }
}

func (w *world) load() (*placement.Project, error) { return Load(w.t.Context(), w.opts) }

func (w *world) mustLoad() *placement.Project {
	w.t.Helper()
	p, err := w.load()
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// plain is an error's text with the test's own folder cut out.
func (w *world) plain(err error) string {
	return strings.ReplaceAll(err.Error(), w.dir, "DIR")
}

// service loads a file that is one service "web" with these lines below it.
func webService(t *testing.T, lines string, options ...func(*world)) *placement.Service {
	t.Helper()
	return newWorld(t, web(lines), options...).mustLoad().Service("web")
}

// web is an archive with one compose file, which has one service "web" with these lines.
func web(lines string) string {
	return "-- compose.yaml --\nservices:\n  web:\n    image: app\n    " +
		strings.ReplaceAll(strings.TrimSpace(lines), "\n", "\n    ") + "\n"
}

// write puts a file into the folder.
func (w *world) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}
