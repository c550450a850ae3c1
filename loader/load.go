// Package loader reads compose files, env files and inventories into placement's types. It reads files and nothing
// else: no engine, no store; environment, folder and standard input are handed in.
//
// Load does what docker compose does up to the point where it would talk to an engine, with compose-go as the reader
// of the files, and then translates the result into placement.Project. README.md lists the labels and keys.
package loader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// Load loads the project that the options name. Its Services are those that run: profiles applied, and cut down to
// Options.Services and their dependencies when some are named. Errors are *Error; ErrNoFile is under the one for no
// compose file at all.
func Load(ctx context.Context, o Options) (*placement.Project, error) {
	if o.NoInterpolate {
		return nil, &Error{Err: errors.New("a project needs its variables filled in; use LoadModel to leave them")}
	}
	s, err := gather(&o)
	if err != nil {
		return nil, err
	}
	var compose *types.Project
	var written asWritten
	logged, err := withWarnings(func() error {
		if compose, err = s.load(ctx); err != nil || !o.Cluster {
			return err
		}
		written, err = s.asWritten(ctx)
		return err
	})
	if err != nil {
		return nil, s.explain(err)
	}
	p, err := s.translate(compose)
	if err != nil {
		return nil, err
	}
	if err := s.checkDevices(compose, written.binds); err != nil {
		return nil, err
	}
	p.Warnings = slices.Concat(s.warnings, s.versionWarnings(), s.linkWarning(p.Name), logged, keyWarnings(compose, o.Cluster))
	if o.Cluster {
		var unhonoured []string
		if unhonoured, err = classicRules(p); err == nil {
			p.Warnings = append(p.Warnings, unhonoured...)
			if err = ingress(p, written.modes); err == nil {
				err = s.ship(p, written.binds)
			}
		}
		p.KeepApart()
	} else {
		err = countCopies(p)
	}
	if err != nil {
		return nil, s.locate(err)
	}
	markProvided(p)
	return p, nil
}

// LoadModel loads the merged files as a plain tree, which needs no variable to be filled in: what
// `config --no-interpolate` and `config --variables` show. It does not apply profiles or check references. Errors are
// *Error.
func LoadModel(ctx context.Context, o Options) (map[string]any, error) {
	s, err := gather(&o)
	if err != nil {
		return nil, err
	}
	var model map[string]any
	_, err = withWarnings(func() error {
		model, err = loader.LoadModelWithContext(ctx, s.details(), s.settings)
		return err
	})
	if err != nil {
		return nil, s.explain(err)
	}
	return model, nil
}

// details is the input of compose-go, which writes the project name into the environment it gets. Where variables are
// left as they are, `environment: [TOKEN]` and a secret's `environment: TOKEN` are, too: there is none.
func (s *sources) details() types.ConfigDetails {
	env := types.Mapping{}
	if !s.opts.NoInterpolate {
		maps.Copy(env, s.env)
	}
	return types.ConfigDetails{WorkingDir: s.dir, ConfigFiles: slices.Clone(s.files), Environment: env}
}

// settings are the options of compose-go, the same as those of docker compose's commands.
func (s *sources) settings(l *loader.Options) {
	l.SetProjectName(s.name, s.explicit)
	l.Profiles = s.profiles
	l.ResourceLoaders = []loader.ResourceLoader{refuseRemote{}}
	l.SkipInterpolation = s.opts.NoInterpolate
	l.SkipNormalization = s.opts.NoNormalize
	l.SkipConsistencyCheck = s.opts.NoConsistency
	l.ResolvePaths = !s.opts.NoPathResolution
	l.ConvertWindowsPaths = l.ResolvePaths && boolean(s.env["COMPOSE_CONVERT_WINDOWS_PATHS"])
	s.trim(l)
	l.SkipResolveEnvironment = true // after selection only: an env_file of a service that does not run may be missing
}

// load follows docker compose's ToProject and WithServices: load, enable, select, drop what is unused, resolve the
// environment, drop env_file.
func (s *sources) load(ctx context.Context) (*types.Project, error) {
	settings, key := s.settings, s.seenKey()
	known := key != "" && s.opts.Seen.Has(key)
	if known {
		settings = s.unchecked
	}
	p, err := loader.LoadWithContext(ctx, s.details(), settings)
	if err != nil {
		return nil, err
	}
	if key != "" && !known {
		s.opts.Seen.Add(key)
	}
	for _, f := range s.files {
		p.ComposeFiles = append(p.ComposeFiles, f.Filename)
	}
	if p.Name == "" {
		return nil, errors.New("project name must not be empty")
	}
	if err := checkNames(p, s.opts.Services); err != nil {
		return nil, err
	}
	if p, err = p.WithServicesEnabled(s.opts.Services...); err != nil {
		return nil, err
	}
	if !s.opts.Whole {
		if p, err = p.WithSelectedServices(s.opts.Services); err != nil {
			return nil, err
		}
	}
	if !s.opts.AllResources {
		p = p.WithoutUnnecessaryResources()
	}
	if !s.opts.NoDefaultPlatform {
		if err := defaultPlatform(p); err != nil {
			return nil, err
		}
	}
	if s.opts.NoEnvResolution {
		return p, nil
	}
	return p.WithServicesEnvironmentResolved(true)
}

// checkNames refuses services that the project does not have, before they are looked for in profiles.
func checkNames(p *types.Project, names []string) error {
	all := p.AllServices()
	for _, n := range names {
		if _, ok := all[n]; !ok {
			return &Error{Err: noService(n, slices.Sorted(maps.Keys(all)))}
		}
	}
	return nil
}

// ErrNoService is under the error about a service on the command line that the project does not have.
var ErrNoService = errors.New("no such service")

func noService(name string, known []string) error {
	if dot := strings.LastIndexByte(name, '.'); dot > 0 && slices.Contains(known, name[:dot]) {
		if n, err := strconv.Atoi(name[dot+1:]); err == nil {
			return fmt.Errorf("%w: %s; the service is %s, and its tasks are no services (logs takes --index %d, exec, attach, cp and port take %s)",
				ErrNoService, name, name[:dot], n, name)
		}
	}
	if hint := didYouMean(name, known); hint != "" {
		return fmt.Errorf("%w: %s%s", ErrNoService, name, hint)
	}
	return fmt.Errorf("%w: %s; the project has %s", ErrNoService, name, strings.Join(known, ", "))
}

// defaultPlatform gives services with a build section the platform of DOCKER_DEFAULT_PLATFORM, which docker compose
// does before it takes the config hash. (For the others it counts at pull time only: see Service.Platform.)
func defaultPlatform(p *types.Project) error {
	platform := p.Environment["DOCKER_DEFAULT_PLATFORM"]
	if platform == "" {
		return nil
	}
	for name, service := range p.Services {
		if service.Build == nil || service.Platform != "" {
			continue
		}
		if len(service.Build.Platforms) > 0 && !slices.Contains(service.Build.Platforms, platform) {
			return &Error{Key: "services." + name + ".build.platforms", Err: fmt.Errorf(
				"service %q build.platforms does not support value set by DOCKER_DEFAULT_PLATFORM: %s; add it or unset the variable", name, platform)}
		}
		service.Platform = platform
		p.Services[name] = service
	}
	return nil
}

// translate makes placement's project of compose-go's.
func (s *sources) translate(compose *types.Project) (*placement.Project, error) {
	p, err := convert(compose, s.opts.Cluster)
	if err != nil {
		return nil, s.locate(err)
	}
	p.EnvFiles = s.envFiles
	if s.opts.Compatibility || boolean(s.env["COMPOSE_COMPATIBILITY"]) {
		p.Separator = "_"
	}
	useBuilt(p)
	if err := s.locate(addBases(p)); err != nil {
		return nil, err
	}
	return p, nil
}

// locate adds file and line to an error that has a key only.
func (s *sources) locate(err error) error {
	var e *Error
	if errors.As(err, &e) && e.File == "" && e.Key != "" {
		if at := find(s.documents(), e.Key); at.node != nil {
			e.File, e.Line = s.opts.shown(at.file), at.line
		}
	}
	return err
}

// linkWarning is docker compose's about a project that has its name of a symbolic link: by its other path, the folder is
// another project.
func (s *sources) linkWarning(name string) []string {
	info, err := os.Lstat(s.dir)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 || s.explicit || name != s.name {
		return nil
	}
	return []string{fmt.Sprintf("project has been loaded without an explicit name from a symlink. Using name %q", name)}
}

const obsoleteVersion = "the attribute `version` is obsolete"

var (
	versionKey     = regexp.MustCompile(`(?m)^["']?version["']?[ \t]*:`)
	versionKeyFlow = regexp.MustCompile(`"version"[ \t]*:`)
)

// versionWarnings says docker compose's sentence about `version:` for each file that has it. compose-go's own comes
// once per file and process, which a second load in one process would miss.
func (s *sources) versionWarnings() []string {
	var warnings []string
	for _, f := range s.files {
		has := versionKey.Match(f.Content)
		if !has && versionKeyFlow.Match(f.Content) { // JSON, perhaps indented
			for _, root := range parse(f.Content) {
				key, _ := field(root, "version")
				has = has || key != nil
			}
		}
		if has {
			warnings = append(warnings, f.Filename+": "+obsoleteVersion+
				", it will be ignored, please remove it to avoid potential confusion")
		}
	}
	return warnings
}
