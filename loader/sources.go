package loader

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/compose-spec/compose-go/v2/utils"
)

// ErrNoFile is under the error of a load that found no compose file.
var ErrNoFile = errors.New("no compose file found")

// sources is everything a load reads besides included and extended files: the outcome of flags, environment and
// search, in the order docker compose applies them (cmd/compose toProjectOptions).
type sources struct {
	opts     *Options
	dir      string             // absolute project folder
	files    []types.ConfigFile // with content; Filename is absolute or "-"
	env      types.Mapping      // environment, then env files
	envFiles []string           // of --env-file or COMPOSE_ENV_FILES, absolute
	profiles []string
	name     string // project name
	explicit bool   // name was given by -p or COMPOSE_PROJECT_NAME
	warnings []string
}

// Dir is the absolute project folder that Load would use, without reading the compose files. The error is Load's, with
// ErrNoFile under it when there is no compose file.
func Dir(o Options) (string, error) {
	s := &sources{opts: &o, env: types.Mapping{}}
	_, err := s.findFiles()
	return s.dir, err
}

// WithComposeVariables is o.Environ with the COMPOSE_* variables that the env files set and the environment does not:
// they are settings of the command line, too. (COMPOSE_ENV_FILES is not: it says which files these are.) Files that cannot be read are left for Load to complain about.
func WithComposeVariables(o Options) []string {
	s := &sources{opts: &o, env: utils.GetAsEqualsMap(o.Environ)}
	for _, f := range s.envFileNames() {
		s.envFiles = append(s.envFiles, o.abs(f))
	}
	var paths []string
	for _, f := range o.Files {
		if f != "-" && !isRemote(f) {
			paths = append(paths, o.abs(f))
		}
	}
	if s.readEnvFiles(s.folder(paths)) != nil {
		return o.Environ
	}
	set := utils.GetAsEqualsMap(o.Environ)
	all := slices.Clone(o.Environ)
	for _, k := range slices.Sorted(maps.Keys(s.env)) {
		if _, ok := set[k]; !ok && strings.HasPrefix(k, "COMPOSE_") && k != "COMPOSE_ENV_FILES" {
			all = append(all, k+"="+s.env[k])
		}
	}
	return all
}

// gather finds and reads the files and the environment.
func gather(o *Options) (*sources, error) {
	s := &sources{opts: o, env: types.Mapping{}}
	paths, err := s.findFiles()
	if err != nil {
		return nil, err
	}
	s.profiles = o.Profiles
	if len(s.profiles) == 0 {
		for _, p := range strings.Split(s.env[consts.ComposeProfiles], ",") {
			s.profiles = append(s.profiles, strings.TrimSpace(p))
		}
	}
	s.chooseName()
	return s, s.read(paths)
}

// findFiles finds the compose files, the project folder and the environment.
func (s *sources) findFiles() ([]string, error) {
	o := s.opts
	maps.Copy(s.env, utils.GetAsEqualsMap(o.Environ))
	if _, ok := s.env["PWD"]; !ok {
		s.env["PWD"] = o.WorkingDir
	}
	if o.ProjectName != "" && o.ProjectName != loader.NormalizeProjectName(o.ProjectName) {
		return nil, &Error{Err: loader.InvalidProjectNameErr(o.ProjectName)}
	}

	paths := slices.Clone(o.Files)
	for i, p := range paths {
		if p != "-" && !isRemote(p) {
			paths[i] = o.abs(p)
		}
	}
	for _, f := range s.envFileNames() {
		s.envFiles = append(s.envFiles, o.abs(f))
	}

	// .env of the folder known so far may hold COMPOSE_FILE; the folder of the file that it or the search names may
	// have another .env, which fills in what is still unset.
	if err := s.readEnvFiles(s.folder(paths)); err != nil {
		return nil, err
	}
	start := s.folder(paths)
	if len(paths) == 0 {
		paths = s.filesFromEnvironment()
	}
	if len(paths) == 0 {
		paths = s.search(start)
	}
	if len(paths) == 0 {
		return nil, &Error{Err: fmt.Errorf("%w in %s or any parent folder; write one or pass -f FILE", ErrNoFile, start)}
	}
	s.dir = s.folder(paths)
	return paths, s.readEnvFiles(s.dir)
}

// envFileNames are the env files of the command line, else those of COMPOSE_ENV_FILES.
func (s *sources) envFileNames() []string {
	if len(s.opts.EnvFiles) > 0 {
		return s.opts.EnvFiles
	}
	return strings.FieldsFunc(s.env["COMPOSE_ENV_FILES"], func(r rune) bool { return r == ',' })
}

// folder is the project folder while paths are the files known.
func (s *sources) folder(paths []string) string {
	if s.opts.ProjectDir != "" {
		return s.opts.abs(s.opts.ProjectDir)
	}
	for _, p := range paths {
		if p != "-" && !isRemote(p) {
			return filepath.Dir(p)
		}
	}
	return s.opts.WorkingDir
}

// readEnvFiles adds the given env files, or else the folder's .env, to the environment; what is set already stays.
func (s *sources) readEnvFiles(dir string) error {
	files := s.envFiles
	if len(files) == 0 {
		if v, ok := utils.GetAsEqualsMap(s.opts.Environ)[consts.ComposeDisableDefaultEnvFile]; ok {
			off, err := strconv.ParseBool(v)
			if err != nil {
				return &Error{Err: fmt.Errorf("%s is %q; want true or false", consts.ComposeDisableDefaultEnvFile, v)}
			}
			if off {
				return nil
			}
		}
		f := filepath.Join(dir, ".env")
		info, err := os.Stat(f)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case errors.Is(err, fs.ErrPermission):
			s.warnings = append(s.warnings, fmt.Sprintf("cannot access %s, ignoring default env file", f))
			return nil
		case err != nil:
			return &Error{File: s.opts.shown(f), Err: err}
		case info.IsDir():
			return nil
		}
		files = []string{f}
	}
	for _, f := range files {
		if info, err := os.Stat(f); errors.Is(err, fs.ErrNotExist) {
			return &Error{Err: fmt.Errorf("couldn't find env file: %s; check --env-file and COMPOSE_ENV_FILES", f)}
		} else if err == nil && info.IsDir() {
			return &Error{File: s.opts.shown(f), Err: errors.New("this env file is a folder; name a file")}
		}
	}
	var found map[string]string
	logged, err := withWarnings(func() (err error) {
		found, err = dotenv.GetEnvFromFile(s.env, files)
		return err
	})
	if err != nil {
		return dotenvError(s.opts, err)
	}
	for _, w := range logged {
		if !slices.Contains(s.warnings, w) { // a folder's file may be read twice
			s.warnings = append(s.warnings, w)
		}
	}
	s.env.Merge(found)
	return nil
}

// filesFromEnvironment reads COMPOSE_FILE.
func (s *sources) filesFromEnvironment() []string {
	value, ok := s.env[consts.ComposeFilePath]
	if !ok || value == "" {
		return nil
	}
	sep := s.env[consts.ComposePathSeparator]
	if sep == "" {
		sep = string(os.PathListSeparator)
	}
	var paths []string
	for _, p := range strings.Split(value, sep) {
		if p != "-" && !isRemote(p) {
			p = s.opts.abs(p)
		}
		paths = append(paths, p)
	}
	return paths
}

// search looks for a compose file in dir and its parents, and for an override beside it.
func (s *sources) search(dir string) []string {
	for {
		if found := existing(dir, cli.DefaultFileNames); len(found) > 0 {
			s.warnSeveral("config", found)
			if over := existing(dir, cli.DefaultOverrideFileNames); len(over) > 0 {
				s.warnSeveral("override", over)
				return []string{found[0], over[0]}
			}
			return found[:1]
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
	}
}

func (s *sources) warnSeveral(kind string, found []string) {
	if len(found) > 1 {
		s.warnings = append(s.warnings, fmt.Sprintf("Found multiple %s files with supported names: %s; using %s",
			kind, strings.Join(found, ", "), found[0]))
	}
}

func existing(dir string, names []string) []string {
	var found []string
	for _, n := range names {
		f := filepath.Join(dir, n)
		if _, err := os.Stat(f); err == nil {
			found = append(found, f)
		}
	}
	return found
}

// chooseName applies -p > COMPOSE_PROJECT_NAME > (name: in the files, which compose-go reads) > folder.
func (s *sources) chooseName() {
	switch {
	case s.opts.ProjectName != "":
		s.name, s.explicit = s.opts.ProjectName, true
	case s.env[consts.ComposeProjectName] != "":
		s.name, s.explicit = s.env[consts.ComposeProjectName], true
	default:
		s.name = loader.NormalizeProjectName(filepath.Base(s.dir))
	}
}

// read reads the compose files.
func (s *sources) read(paths []string) error {
	for _, p := range paths {
		f := types.ConfigFile{Filename: p}
		var err error
		switch {
		case p == "-" && s.opts.Stdin == nil:
			return &Error{File: p, Err: errors.New("there is no standard input to read here; pass -f FILE")}
		case p == "-":
			f.Content, err = io.ReadAll(s.opts.Stdin)
		case isRemote(p):
			return &Error{File: p, Err: errRemote}
		default:
			if info, e := os.Stat(p); e == nil && info.IsDir() {
				return &Error{File: s.opts.shown(p), Err: errors.New("this compose file is a folder; name the file in it")}
			}
			f.Content, err = os.ReadFile(p)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return &Error{File: s.opts.shown(p), Err: fmt.Errorf("%w; check -f and COMPOSE_FILE", fs.ErrNotExist)}
		}
		if err != nil {
			return &Error{File: s.opts.shown(p), Err: err}
		}
		if f.Content == nil {
			f.Content = []byte{} // nil would make compose-go read "-" as a file
		}
		s.files = append(s.files, f)
	}
	return nil
}

// NameWithoutFile is the project name that -p or COMPOSE_PROJECT_NAME gives, for commands that work on what runs
// when there is no compose file (`down -p shop`). ok is false when neither is set.
func NameWithoutFile(o Options) (name string, ok bool, err error) {
	name = o.ProjectName
	if name == "" {
		name = utils.GetAsEqualsMap(o.Environ)[consts.ComposeProjectName]
	}
	if name == "" {
		return "", false, nil
	}
	if name != loader.NormalizeProjectName(name) {
		return "", false, &Error{Err: loader.InvalidProjectNameErr(name)}
	}
	return name, true, nil
}
