package loader

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProjectNameFollowsFlagThenVariableThenFileThenFolder(t *testing.T) {
	const unnamed = "-- compose.yaml --\nservices: {web: {image: app}}\n"
	const inFile = "-- compose.yaml --\nname: from-file\nservices: {web: {image: app}}\n"
	const dotEnv = "-- .env --\nCOMPOSE_PROJECT_NAME=from-dotenv\n"
	flag := func(w *world) { w.opts.ProjectName = "from-flag" }
	for _, c := range []struct {
		name, files string
		options     []func(*world)
		want        string
	}{
		{"flag", inFile + dotEnv, []func(*world){flag, env("COMPOSE_PROJECT_NAME=from-env")}, "from-flag"},
		{"environment", inFile + dotEnv, []func(*world){env("COMPOSE_PROJECT_NAME=from-env")}, "from-env"},
		{".env", inFile + dotEnv, nil, "from-dotenv"},
		{"file", inFile, nil, "from-file"},
		{"file with variable", "-- compose.yaml --\nname: a-${STAGE}\nservices: {web: {image: app}}\n", []func(*world){env("STAGE=b")}, "a-b"},
		{"folder", unnamed, nil, "shop"},
		{"folder is normalised", "-- _My.Shop/compose.yaml --\nservices: {web: {image: app}}\n", []func(*world){cwd("_My.Shop")}, "myshop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := newWorld(t, c.files, c.options...).mustLoad().Name; got != c.want {
				t.Errorf("name is %q, want %q", got, c.want)
			}
		})
	}
}

func TestFilesAreFoundAndMergedAsComposeDoes(t *testing.T) {
	const all = `
-- compose.yaml --
services: {web: {image: yaml}}
-- docker-compose.yml --
services: {web: {image: old}}
-- compose.override.yml --
services: {web: {command: override}}
-- sub/deep/x --
-- other.yml --
services: {web: {image: other}}
-- extra.yml --
services: {web: {command: extra}, db: {image: db}}
-- env/.env --
COMPOSE_FILE=../other.yml
-- env/x --
`
	for _, c := range []struct {
		name    string
		options []func(*world)
		want    string // image and command of web
		files   []string
	}{
		{"the first name wins and its override is merged", nil, "yaml override", []string{"compose.yaml", "compose.override.yml"}},
		{"the search goes upward", []func(*world){cwd("sub/deep")}, "yaml override", []string{"compose.yaml", "compose.override.yml"}},
		{"-f leaves the override out", []func(*world){files("compose.yaml")}, "yaml ", []string{"compose.yaml"}},
		{"-f repeats", []func(*world){files("other.yml", "extra.yml")}, "other extra", []string{"other.yml", "extra.yml"}},
		{"-f beats COMPOSE_FILE", []func(*world){files("other.yml"), env("COMPOSE_FILE=extra.yml")}, "other ", []string{"other.yml"}},
		{"COMPOSE_FILE", []func(*world){env("COMPOSE_FILE=other.yml:extra.yml")}, "other extra", []string{"other.yml", "extra.yml"}},
		{"COMPOSE_PATH_SEPARATOR", []func(*world){env("COMPOSE_FILE=other.yml;extra.yml", "COMPOSE_PATH_SEPARATOR=;")}, "other extra", []string{"other.yml", "extra.yml"}},
		{"COMPOSE_FILE in .env", []func(*world){cwd("env")}, "other ", []string{"other.yml"}},
		{"standard input", []func(*world){files("-"), stdin("services: {web: {image: piped}}")}, "piped ", []string{"-"}},
		{"standard input and a file", []func(*world){files("other.yml", "-"), stdin("services: {web: {command: piped}}")}, "other piped", []string{"other.yml", "-"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, all, c.options...)
			p := w.mustLoad()
			web := p.Service("web")
			if got := web.Image + " " + strings.Join(web.Spec.Command, " "); got != c.want {
				t.Errorf("image and command are %q, want %q", got, c.want)
			}
			var got []string
			for _, f := range p.Compose.ComposeFiles {
				if rel, err := filepath.Rel(w.dir, f); err == nil && f != "-" {
					f = rel
				}
				got = append(got, f)
			}
			if diff := cmp.Diff(c.files, got); diff != "" {
				t.Error("files", diff)
			}
		})
	}
}

func TestTheProjectFolderIsThatOfTheFirstFileUnlessTold(t *testing.T) {
	const archive = "-- sub/c.yml --\nservices: {web: {image: app, volumes: ['./data:/data']}}\n-- else/x --\n"
	w := newWorld(t, archive, files("sub/c.yml"))
	if got, want := w.mustLoad().Service("web").Mounts[0].Source, filepath.Join(w.dir, "sub/data"); got != want {
		t.Errorf("bind is %s, want %s", got, want)
	}
	w = newWorld(t, archive, files("sub/c.yml"), func(w *world) { w.opts.ProjectDir = "else" })
	p := w.mustLoad()
	if got, want := p.Service("web").Mounts[0].Source, filepath.Join(w.dir, "else/data"); got != want {
		t.Errorf("bind is %s, want %s", got, want)
	}
	if p.Name != "else" || p.Dir != filepath.Join(w.dir, "else") {
		t.Errorf("name %q dir %q are not those of --project-directory", p.Name, p.Dir)
	}
}

func TestTheEnvironmentBeatsEnvFilesAndTheLastEnvFileWins(t *testing.T) {
	const archive = `
-- compose.yaml --
services: {web: {image: "app:${TAG-none}", environment: [TAG, OTHER]}}
-- .env --
TAG=dotenv
-- a.env --
TAG=a
OTHER=a
-- b.env --
TAG=b
`
	envFiles := func(names ...string) func(*world) { return func(w *world) { w.opts.EnvFiles = names } }
	for _, c := range []struct {
		name    string
		options []func(*world)
		want    string
		labels  int // env files for the label
	}{
		{".env", nil, "app:dotenv", 0},
		{"environment", []func(*world){env("TAG=env")}, "app:env", 0},
		{"--env-file replaces .env", []func(*world){envFiles("a.env")}, "app:a", 1},
		{"the last --env-file wins", []func(*world){envFiles("a.env", "b.env")}, "app:b", 2},
		{"the environment beats --env-file", []func(*world){envFiles("a.env"), env("TAG=env")}, "app:env", 1},
		{"COMPOSE_ENV_FILES", []func(*world){env("COMPOSE_ENV_FILES=a.env,b.env")}, "app:b", 2},
		{"COMPOSE_DISABLE_ENV_FILE", []func(*world){env("COMPOSE_DISABLE_ENV_FILE=1")}, "app:none", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newWorld(t, archive, c.options...).mustLoad()
			if got := p.Service("web").Image; got != c.want {
				t.Errorf("image is %s, want %s", got, c.want)
			}
			if len(p.EnvFiles) != c.labels || slices.ContainsFunc(p.EnvFiles, func(f string) bool { return !filepath.IsAbs(f) }) {
				t.Errorf("EnvFiles are %q, want %d absolute ones", p.EnvFiles, c.labels)
			}
		})
	}
}

func TestContainerEnvironmentComesFromEnvFilesBelowEnvironment(t *testing.T) {
	s := newWorld(t, `
-- compose.yaml --
services:
  web:
    image: app
    environment: {A: here, FROM_SHELL: }
    env_file:
      - web.env
      - {path: raw.env, format: raw}
      - {path: gone.env, required: false}
-- web.env --
A=file
B="quoted ${FROM_SHELL}"
-- raw.env --
# comment
C="kept" $FROM_SHELL
FROM_SHELL
`, env("FROM_SHELL=shell")).mustLoad().Service("web").Spec
	got := map[string]string{}
	for k, v := range s.Environment {
		got[k] = *v
	}
	want := map[string]string{"A": "here", "B": "quoted shell", "C": `"kept" $FROM_SHELL`, "FROM_SHELL": "shell"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(s.EnvFiles) > 0 {
		t.Error("env_file is still there after it was read")
	}
}

const profiled = `
-- compose.yaml --
services:
  web: {image: app, depends_on: [db]}
  db: {image: db, volumes: ["data:/data"]}
  debug: {image: debug, profiles: [debug], depends_on: [db], env_file: missing.env}
  tool: {image: tool, profiles: [tools]}
volumes: {data: {}, unused: {}}
networks: {unused: {}}
`

func TestProfilesAndNamedServicesDecideWhatRuns(t *testing.T) {
	for _, c := range []struct {
		name           string
		options        []func(*world)
		runs, disabled []string
	}{
		{"no profile", nil, []string{"db", "web"}, []string{"debug", "tool"}},
		{"--profile", []func(*world){profiles("tools")}, []string{"db", "tool", "web"}, []string{"debug"}},
		{"COMPOSE_PROFILES", []func(*world){env("COMPOSE_PROFILES=none, tools")}, []string{"db", "tool", "web"}, []string{"debug"}},
		{"--profile beats COMPOSE_PROFILES", []func(*world){profiles("none"), env("COMPOSE_PROFILES=tools")}, []string{"db", "web"}, []string{"debug", "tool"}},
		{"a named service activates its profile and brings its dependencies", []func(*world){named("tool")}, []string{"tool"}, []string{"db", "debug", "web"}},
		{"a named service brings its dependencies", []func(*world){named("web")}, []string{"db", "web"}, []string{"debug", "tool"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newWorld(t, profiled, c.options...).mustLoad()
			if diff := cmp.Diff(c.runs, serviceNames(p)); diff != "" {
				t.Error("services", diff)
			}
			if diff := cmp.Diff(c.disabled, p.Disabled); diff != "" {
				t.Error("disabled", diff)
			}
		})
	}
}

func TestOnlyUsedResourcesAreKeptUnlessAllAreWanted(t *testing.T) {
	p := newWorld(t, profiled).mustLoad()
	if len(p.Volumes) != 1 || p.Volumes[0].Key != "data" || len(p.Networks) != 1 || p.Networks[0].Key != "default" {
		t.Errorf("volumes %v networks %v", VolumeNames(p), NetworkNames(p))
	}
	p = newWorld(t, profiled, func(w *world) { w.opts.AllResources = true }).mustLoad()
	if len(p.Volumes) != 2 || len(p.Networks) != 2 {
		t.Errorf("all resources: volumes %v networks %v", VolumeNames(p), NetworkNames(p))
	}
}

func TestIncludeAndExtendsAreFollowed(t *testing.T) {
	p := newWorld(t, `
-- compose.yaml --
include: [db/compose.yaml]
services:
  web: {extends: {file: base/common.yml, service: base}, depends_on: [db]}
-- db/compose.yaml --
services: {db: {image: "db:${DB_TAG}", volumes: ["./data:/data"]}}
-- db/.env --
DB_TAG=7
-- base/common.yml --
services: {base: {image: base, volumes: ["./conf:/conf"]}}
`).mustLoad()
	if got := p.Service("db").Image; got != "db:7" {
		t.Errorf("image of the included service is %s", got)
	}
	for service, want := range map[string]string{"db": "db/data", "web": "base/conf"} {
		if got := p.Service(service).Mounts[0].Source; got != filepath.Join(p.Dir, want) {
			t.Errorf("bind of %s is %s, want %s", service, got, want)
		}
	}
}

func TestCompatibilityComesFromFlagOrVariable(t *testing.T) {
	const one = "-- compose.yaml --\nservices: {web: {image: app}}\n"
	for _, c := range []struct {
		name   string
		option func(*world)
		want   bool
	}{
		{"none", env(), false},
		{"flag", func(w *world) { w.opts.Compatibility = true }, true},
		{"variable", env("COMPOSE_COMPATIBILITY=true"), true},
		{"variable off", env("COMPOSE_COMPATIBILITY=0"), false},
	} {
		if got := newWorld(t, one, c.option).mustLoad().Separator == "_"; got != c.want {
			t.Errorf("%s: Compatibility is %t", c.name, got)
		}
	}
}

// bare is a folder where nobody puts a compose file. Above a temporary folder somebody may have one.
const bare = "/proc/self"

func TestNoFileIsASentinel(t *testing.T) {
	_, err := Load(t.Context(), Options{WorkingDir: bare})
	if !errors.Is(err, ErrNoFile) {
		t.Fatalf("error is %v", err)
	}
	if want := "load: no compose file found in " + bare + " or any parent folder; write one or pass -f FILE"; err.Error() != want {
		t.Errorf("error is %q, want %q", err, want)
	}
}

func TestAMissingNamedFileIsNotErrNoFile(t *testing.T) {
	_, err := newWorld(t, "-- x --\n", files("gone.yml")).load()
	if errors.Is(err, ErrNoFile) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestWarningsReachTheProjectAndNotStandardError(t *testing.T) {
	w := newWorld(t, `
-- compose.yaml --
version: "3"
services: {web: {image: "app:${TAG}", labels: {a: "${TAG}", b: "${OTHER}"}}}
-- compose.yml --
services: {}
`)
	for range 2 { // the second load of a process warns as the first does
		want := []string{
			"Found multiple config files with supported names: DIR/compose.yaml, DIR/compose.yml; using DIR/compose.yaml",
			"DIR/compose.yaml: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion",
			`The "OTHER" variable is not set. Defaulting to a blank string.`,
			`The "TAG" variable is not set. Defaulting to a blank string.`,
		}
		var got []string
		for _, s := range w.mustLoad().Warnings {
			got = append(got, strings.ReplaceAll(s, w.dir, "DIR"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNameWithoutFileIsThatOfFlagOrVariable(t *testing.T) {
	for _, c := range []struct {
		o    Options
		name string
		ok   bool
		bad  bool
	}{
		{Options{}, "", false, false},
		{Options{ProjectName: "a", Environ: []string{"COMPOSE_PROJECT_NAME=b"}}, "a", true, false},
		{Options{Environ: []string{"COMPOSE_PROJECT_NAME=b"}}, "b", true, false},
		{Options{ProjectName: "No Good"}, "", false, true},
	} {
		name, ok, err := NameWithoutFile(c.o)
		if name != c.name || ok != c.ok || (err != nil) != c.bad {
			t.Errorf("%+v: %q %t %v", c.o, name, ok, err)
		}
	}
}

func TestLoadLeavesTheHandedInEnvironmentAlone(t *testing.T) {
	environ := []string{"TAG=1"}
	w := newWorld(t, "-- compose.yaml --\nservices: {web: {image: 'app:${TAG}'}}\n-- .env --\nX=1\n", env(environ...))
	w.mustLoad()
	if diff := cmp.Diff([]string{"TAG=1"}, environ); diff != "" {
		t.Error(diff)
	}
}

func TestDirIsTheFolderThatLoadUses(t *testing.T) {
	const archive = "-- compose.yaml --\nservices: {web: {image: app}}\n-- sub/deep/x --\n-- else/c.yml --\nservices: {web: {image: app}}\n"
	for _, options := range [][]func(*world){
		{cwd("sub/deep")},
		{files("else/c.yml")},
		{env("COMPOSE_FILE=else/c.yml")},
		{func(w *world) { w.opts.ProjectDir = "else" }, files("compose.yaml")},
	} {
		w := newWorld(t, archive, options...)
		dir, err := Dir(w.opts)
		if want := w.mustLoad().Dir; err != nil || dir != want {
			t.Errorf("Dir is %s (%v), want %s", dir, err, want)
		}
	}
	if _, err := Dir(Options{WorkingDir: bare}); !errors.Is(err, ErrNoFile) {
		t.Errorf("error is %v", err)
	}
}

func TestAProjectThatHasItsNameOfASymbolicLinkIsWarnedOf(t *testing.T) {
	const want = `project has been loaded without an explicit name from a symlink. Using name "link"`
	for _, c := range []struct {
		file    string
		options []func(*world)
		warned  bool
	}{
		{file: "services: {web: {image: a}}", warned: true},
		{file: "name: shop\nservices: {web: {image: a}}"},
		{file: "services: {web: {image: a}}", options: []func(*world){env("COMPOSE_PROJECT_NAME=link")}},
		{file: "services: {web: {image: a}}", options: []func(*world){cwd(".")}},
	} {
		w := newWorld(t, "-- compose.yaml --\n"+c.file+"\n", append([]func(*world){cwd("../link")}, c.options...)...)
		if err := os.Symlink(w.dir, filepath.Join(w.dir, "../link")); err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(w.mustLoad().Warnings, want); got != c.warned {
			t.Errorf("%q: warned %v, want %v", c.file, got, c.warned)
		}
	}
}
