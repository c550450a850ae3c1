package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/moby/buildkit/session"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"
)

// BuildSpec is one image to build.
type BuildSpec struct {
	// Context holds the files of the build; nil with Remote. Dockerfile is where the Dockerfile is read from, Context
	// when it is nil.
	Context, Dockerfile fsutil.FS
	Remote              string // a git repository or an archive that the engine fetches; "" with Context
	File                string // the Dockerfile's path in Dockerfile or Remote
	SharedKey           string // the same for builds of the same folder: only what changed since is sent

	Tags       []string // names of the image; the first is the one messages use
	Labels     map[string]string
	Args       map[string]*string
	Target     string
	CacheFrom  []string
	NoCache    bool
	Pull       bool // ask registries for newer base images
	Network    string
	ShmSize    int64 // bytes
	Memory     int64 // bytes; the classic builder's only
	ExtraHosts []string
	Ulimits    map[string][2]int64 // soft and hard
	Isolation  string
	Platform   string // os/arch[/variant]; "" is the engine's own

	Secrets map[string][]byte    // by id
	SSH     []session.Attachable // agents to forward
	Classic bool                 // the engine's first builder: no secrets, no ssh, no progress by step
}

// BuildNews is news of a build: a step began or ended, or printed a line.
type BuildNews struct {
	Number int    // of the step, from 1, in the order that steps were heard of
	Step   string // "[2/3] RUN make"
	Line   string // what the step printed
	Began  bool
	Ended  bool
	Cached bool
	Failed string  // why the step failed
	Took   float64 // seconds, of a step that ended
	Note   string  // what of the spec this engine's builder leaves out
}

// BuildError is a failed build: the step and the last lines it printed.
type BuildError struct {
	Step  string // "" when it failed outside of any step
	Lines []string
	Cause error
}

// Error is one sentence, and the last lines of output indented below it.
func (e *BuildError) Error() string {
	var b strings.Builder
	text := buildCause(e.Cause)
	if base := baseImage(e.Step); base != "" {
		fmt.Fprintf(&b, "base image %s cannot be had: %s; correct FROM, or bring it to the host that builds", base, text)
	} else if e.Step != "" {
		fmt.Fprintf(&b, "step %q failed: %s", e.Step, text)
	} else {
		b.WriteString(text)
	}
	if len(e.Lines) > 0 {
		b.WriteString("; it printed last:")
		for _, l := range e.Lines {
			b.WriteString("\n    " + l)
		}
	}
	return b.String()
}

// Unwrap gives the builder's own error.
func (e *BuildError) Unwrap() error { return e.Cause }

// lastLines is how many lines of a failed step's output its error repeats.
const lastLines = 10

// Build builds an image and gives its ID. news, which may be nil, is told how it goes. On failure no image is left and no
// name moved.
func (e *Engine) Build(ctx context.Context, spec BuildSpec, news func(BuildNews)) (string, error) {
	id, err := e.build(ctx, spec, news)
	if failed := (*BuildError)(nil); errors.As(err, &failed) {
		// What a step printed may look like anything: it is not for the engine's rules to explain.
		return "", &Error{Host: e.host.Name, Op: "build image", Subject: spec.Tags[0], Cause: err, Text: failed.Error()}
	}
	if err != nil {
		return "", e.fail("build image", spec.Tags[0], err)
	}
	for _, tag := range spec.Tags {
		// BuildKit moves names without noting when, and that is how the newest of several hosts' images is told.
		if err := e.TagImage(ctx, id, tag); err != nil {
			return "", err
		}
	}
	return id, nil
}

func (e *Engine) build(ctx context.Context, spec BuildSpec, news func(BuildNews)) (string, error) {
	log := &buildLog{news: news, steps: map[string]*buildStep{}}
	if spec.Classic {
		return e.buildClassic(ctx, spec, log)
	}
	if err := e.leavesOut(ctx, &spec, news); err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := e.buildSession(ctx, spec)
	if err != nil {
		return "", err
	}
	// The session is a server of this process that the engine calls: for files, credentials, secrets, agents.
	var serving errgroup.Group
	serving.Go(func() error {
		return s.Run(ctx, func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return e.api.DialHijack(ctx, "/session", proto, meta)
		})
	})
	opts := spec.options()
	opts.Version, opts.SessionID = build.BuilderBuildKit, s.ID()
	if spec.Context != nil {
		opts.RemoteContext = "client-session"
	}
	id, err := e.request(ctx, nil, opts, log)
	cancel()
	_ = s.Close()
	if served := serving.Wait(); err == nil && id == "" {
		err = errors.Join(errors.New("the engine reported no image ID"), served)
	}
	return id, err
}

// knowsLimits is the API version of Docker 23, whose BuildKit was the first to be told of shm_size and ulimits.
const knowsLimits = "1.42"

// leavesOut tells what of a build an old engine's BuildKit ignores without a word.
func (e *Engine) leavesOut(ctx context.Context, spec *BuildSpec, news func(BuildNews)) error {
	api, err := e.version(ctx)
	if err != nil || atLeast(api, knowsLimits) || news == nil {
		return err
	}
	leave := func(key string) {
		news(BuildNews{Note: key + " is left out: it needs Docker 23 on the host, or its first builder, which DOCKER_BUILDKIT=0 chooses"})
	}
	if spec.ShmSize != 0 {
		leave("build.shm_size")
	}
	if len(spec.Ulimits) > 0 {
		leave("build.ulimits")
	}
	return nil
}

// request sends the build and follows it.
func (e *Engine) request(ctx context.Context, body io.Reader, opts build.ImageBuildOptions, log *buildLog) (string, error) {
	res, err := e.api.ImageBuild(ctx, body, opts)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	return log.follow(res.Body)
}

// options are what both builders take.
func (s *BuildSpec) options() build.ImageBuildOptions {
	o := build.ImageBuildOptions{
		Tags: s.Tags, Labels: s.Labels, BuildArgs: s.Args, Target: s.Target, CacheFrom: s.CacheFrom, NoCache: s.NoCache,
		PullParent: s.Pull, NetworkMode: s.Network, ShmSize: s.ShmSize, Memory: s.Memory, ExtraHosts: s.ExtraHosts,
		Isolation: container.Isolation(s.Isolation), Platform: s.Platform, Dockerfile: s.File, RemoteContext: s.Remote,
		Remove: true, ForceRemove: true,
	}
	for name, limit := range s.Ulimits {
		o.Ulimits = append(o.Ulimits, &container.Ulimit{Name: name, Soft: limit[0], Hard: limit[1]})
	}
	return o
}

// buildMessage is one line of a build's answer.
type buildMessage struct {
	ID     string          `json:"id"`
	Stream string          `json:"stream"`
	Error  string          `json:"error"`
	Aux    json.RawMessage `json:"aux"`
}

// follow reads a build's answer to its end and gives the image's ID.
func (l *buildLog) follow(r io.Reader) (string, error) {
	id := ""
	dec := json.NewDecoder(r)
	for {
		var m buildMessage
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return id, nil
		} else if err != nil {
			return "", err
		}
		switch {
		case m.Error != "":
			return "", l.failed(errors.New(m.Error))
		case m.ID == "moby.buildkit.trace":
			l.trace(m.Aux)
		case m.Aux != nil: // moby.image.id, and the classic builder's without a name
			var made build.Result
			if json.Unmarshal(m.Aux, &made) == nil && made.ID != "" {
				id = made.ID
			}
		case m.Stream != "":
			l.classic(m.Stream)
		}
	}
}
