// Package images makes images and brings them to the hosts that need them: it builds a service's image on one engine,
// and carries images from engine to engine.
//
// Where to look: build.go turns `build:` into what an engine's builder takes, folder.go and dockerfile.go its files;
// transfer.go carries an image to several hosts at once, archive.go reads what an engine saves, feed.go writes what one
// loads.
package images

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/session/sshforward/sshprovider"

	"berth/placement"
	"berth/runtime/engine"
)

// BuildOptions are what the command line adds to the file's `build:` sections.
type BuildOptions struct {
	Args    []string // KEY=value, or KEY for the environment's value
	SSH     []string // ID[=PATH[,PATH]]
	NoCache bool
	Pull    bool  // ask registries for newer base images
	Memory  int64 // bytes
	Classic bool  // the engine's first builder instead of BuildKit
	Quiet   bool  // do not show what steps print
}

// Build builds a service's image on an engine and gives its ID. news is told how it goes. The error names the service
// and its Dockerfile.
func Build(ctx context.Context, e *engine.Engine, p *placement.Project, s *placement.Service, o BuildOptions, news func(engine.BuildNews)) (string, error) {
	fail := func(err error) error {
		return fmt.Errorf("build service %s (%s): %w", s.Name, dockerfileOf(p, s.Spec.Build), err)
	}
	b := &builder{project: p, service: s, build: s.Spec.Build, options: o}
	spec, err := b.spec()
	if err != nil {
		return "", fail(err)
	}
	id, err := b.run(ctx, e, spec, news)
	if err != nil {
		return "", fail(err)
	}
	return id, nil
}

// dockerfileOf is a build's Dockerfile as its user knows it: relative to the project.
func dockerfileOf(p *placement.Project, b *types.BuildConfig) string {
	if b.DockerfileInline != "" {
		return "dockerfile_inline"
	}
	file := cmp.Or(b.Dockerfile, "Dockerfile")
	if remote(b.Context) {
		return file + " in " + b.Context
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(b.Context, file)
	}
	if rel, err := filepath.Rel(p.Dir, file); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return file
}

// builder is one build on its way to an engine.
type builder struct {
	project *placement.Project
	service *placement.Service
	build   *types.BuildConfig
	options BuildOptions
	folders []folder // additional contexts that become images of their own
}

// run builds the folders that the Dockerfile names as contexts, then the image.
func (b *builder) run(ctx context.Context, e *engine.Engine, spec engine.BuildSpec, news func(engine.BuildNews)) (id string, err error) {
	for _, f := range b.folders {
		helper := engine.BuildSpec{
			Context: f.files, Dockerfile: memory{"Dockerfile": []byte("FROM scratch\nCOPY . /\n")}, File: "Dockerfile",
			SharedKey: f.key, Tags: []string{f.image}, Platform: spec.Platform, Classic: spec.Classic,
		}
		if _, err := e.Build(ctx, helper, nil); err != nil {
			return "", fmt.Errorf("additional context %s: %w", f.name, err)
		}
		defer func() {
			err = errors.Join(err, e.RemoveImage(context.WithoutCancel(ctx), f.image))
		}()
	}
	return e.Build(ctx, spec, news)
}

// spec is what the engine's builder takes.
func (b *builder) spec() (engine.BuildSpec, error) {
	c := b.build
	if err := b.refuse(); err != nil {
		return engine.BuildSpec{}, err
	}
	image := b.project.ImageName(b.service)
	spec := engine.BuildSpec{
		Tags: slices.Compact(append([]string{image}, c.Tags...)), Labels: maps.Clone(c.Labels), Args: b.args(), Target: c.Target,
		CacheFrom: c.CacheFrom, NoCache: c.NoCache || b.options.NoCache, Pull: c.Pull || b.options.Pull, Network: c.Network,
		ShmSize: int64(c.ShmSize), Memory: b.options.Memory, ExtraHosts: c.ExtraHosts.AsList(":"), Isolation: c.Isolation,
		Platform: b.platform(), Classic: b.options.Classic,
	}
	if spec.Labels == nil {
		spec.Labels = map[string]string{}
	}
	maps.Copy(spec.Labels, engine.ImageLabels(b.project.Name, b.service.Name, spec.Classic))
	for name, u := range c.Ulimits {
		limit := [2]int64{int64(u.Soft), int64(u.Hard)}
		if u.Single != 0 {
			limit = [2]int64{int64(u.Single), int64(u.Single)}
		}
		if spec.Ulimits == nil {
			spec.Ulimits = map[string][2]int64{}
		}
		spec.Ulimits[name] = limit
	}
	if err := b.files(&spec); err != nil {
		return spec, err
	}
	if err := b.secrets(&spec); err != nil {
		return spec, err
	}
	return spec, b.ssh(&spec)
}

// refuse names what the engine's own builder cannot do, instead of leaving it out.
func (b *builder) refuse() error {
	c := b.build
	switch {
	case c.Privileged:
		return errors.New("privileged: the engine's builder runs no privileged builds")
	case len(c.Entitlements) > 0:
		return fmt.Errorf("entitlements: the engine's builder grants none (%s)", strings.Join(c.Entitlements, ", "))
	case b.service.Platform != "" && len(c.Platforms) > 0 && !slices.Contains(c.Platforms, b.service.Platform):
		return fmt.Errorf("platforms: [%s] must include the service's platform %s", strings.Join(c.Platforms, ", "), b.service.Platform)
	}
	return nil
}

// platform is the one platform to build for: the service's, or the only one of the list. Of several the engine builds
// its own, which the plan has seen to be among them.
func (b *builder) platform() string {
	if b.service.Platform == "" && len(b.build.Platforms) == 1 {
		return b.build.Platforms[0]
	}
	return b.service.Platform
}

// args are the build arguments: the command line's over the file's, and those without a value from the environment.
func (b *builder) args() map[string]*string {
	args := maps.Clone(b.build.Args)
	if args == nil {
		args = types.MappingWithEquals{}
	}
	maps.Copy(args, types.NewMappingWithEquals(b.options.Args))
	all := map[string]*string{}
	for k, v := range args {
		if v == nil {
			if value, ok := b.environment(k); ok {
				v = &value
			}
		}
		if v != nil {
			all[k] = v
		}
	}
	return all
}

func (b *builder) environment(key string) (string, bool) {
	if b.project.Compose == nil {
		return "", false
	}
	v, ok := b.project.Compose.Environment[key]
	return v, ok
}

// secrets reads the build's secrets; the builder asks for them by their target.
func (b *builder) secrets(spec *engine.BuildSpec) error {
	for _, ref := range b.build.Secrets {
		def, ok := b.project.Compose.Secrets[ref.Source]
		var content []byte
		var err error
		switch {
		case !ok:
			return fmt.Errorf("secret %s is not defined in the project", ref.Source)
		case bool(def.External):
			return fmt.Errorf("secret %s: external secrets need a swarm; use file: or environment:", ref.Source)
		case def.File != "":
			if content, err = os.ReadFile(def.File); err != nil {
				return fmt.Errorf("secret %s: %w", ref.Source, err)
			}
		case def.Environment != "":
			v, ok := b.environment(def.Environment)
			if !ok {
				return fmt.Errorf("secret %s: the environment variable %s is not set", ref.Source, def.Environment)
			}
			content = []byte(v)
		default:
			content = []byte(def.Content)
		}
		if spec.Secrets == nil {
			spec.Secrets = map[string][]byte{}
		}
		spec.Secrets[cmp.Or(ref.Target, ref.Source)] = content
	}
	return nil
}

// ssh makes the agents that steps with --mount=type=ssh talk to.
func (b *builder) ssh(spec *engine.BuildSpec) error {
	byID := map[string]sshprovider.AgentConfig{}
	for _, k := range b.build.SSH {
		byID[k.ID] = sshprovider.AgentConfig{ID: k.ID, Paths: nonEmpty(k.Path)}
	}
	for _, word := range b.options.SSH {
		id, paths, _ := strings.Cut(word, "=")
		byID[id] = sshprovider.AgentConfig{ID: id, Paths: nonEmpty(strings.Split(paths, ",")...)}
	}
	if len(byID) == 0 {
		return nil
	}
	var agents []sshprovider.AgentConfig
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		agents = append(agents, byID[id])
	}
	a, err := sshprovider.NewSSHAgentProvider(agents)
	if err != nil {
		return fmt.Errorf("ssh: %w", err)
	}
	spec.SSH = append(spec.SSH, a)
	return nil
}

func nonEmpty(words ...string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return w == "" })
}

// sharedKey is the same for every build of a folder from this machine.
func sharedKey(dir string) string {
	name, _ := os.Hostname()
	sum := sha256.Sum256([]byte(name + "\x00" + dir))
	return hex.EncodeToString(sum[:])
}
