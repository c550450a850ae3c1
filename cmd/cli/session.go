package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"berth/cmd/progress"
	"berth/loader"
	"berth/placement"
	"berth/runtime/cluster"
	"berth/runtime/engine"
)

// session is a command's project, hosts and display. Close it.
type session struct {
	*settings
	c        *cli.Context
	name     string             // project name
	project  *placement.Project // nil when the command works without a file
	services []string           // named on the command line; empty is all
	inv      *placement.Inventory
	cluster  *cluster.Cluster
	display  progress.Display
	attached *attached // of an up that shows what the containers write; else nil
	memory   int64     // of builds, bytes

	listing    func() ([]engine.Snapshot, error) // of all containers, begun before the files were read; nil when it was not
	endListing func()

	mu   sync.Mutex
	hubs map[string]*engine.Events // by host; see events
}

// what says which parts of a session a command needs.
type what struct {
	services     []string // named on the command line, checked to exist
	words        bool     // the command's arguments are those services
	whole        bool     // the services that are not named too
	fileOptional bool     // the project's name alone will do (ps, logs, down)
	hostsOnly    bool     // no project at all
	silent       bool     // no compose warnings (the command prints data, and -q of its own chooses of it)
	store        bool     // of a cluster, the store too
	list         bool     // the hosts' containers, which are asked for while the files are read
}

// open finds the hosts and loads the files, while connections to the hosts are being made. The caller closes what it
// returns.
func (s *settings) open(c *cli.Context, w what) (*session, error) {
	opts := s.loadOptions(c, w.services)
	inv, err := s.inventory(c, opts)
	if err != nil {
		return nil, err
	}
	opts.Cluster, opts.Whole = inv.Cluster(), w.whole
	opts.NoContents = !makesContainers(c.Command.Name)
	opts.NoEnvResolution = opts.NoContents
	ss := &session{settings: s, c: c, inv: inv}
	if ss.display, err = s.newDisplay(c, inv.Cluster(), w.silent); err != nil {
		return nil, err
	}
	if err := ss.connect(opts, w); err != nil {
		ss.close()
		return nil, err
	}
	return ss, nil
}

// makesContainers reports whether a command may make containers, whose contents and environment then count: reading the
// project's folders is not for free, and a file that env_file names may be gone since the containers were made.
func makesContainers(command string) bool {
	return slices.Contains([]string{"up", "create", "run", "scale", "rebalance", "plan", "watch", "config"}, command)
}

// connect begins to reach the hosts and loads the project meanwhile.
func (ss *session) connect(opts loader.Options, w what) error {
	life, err := ss.certLife()
	if err != nil {
		return err
	}
	ss.cluster, err = cluster.Connect(ss.inv, cluster.Options{CacheDir: cacheDir(), Notify: ss.display.Warn, CertLife: life})
	if err != nil {
		return err
	}
	ss.cluster.Warm(ss.c.Context, w.store)
	if w.list {
		ss.list(ss.c.Context)
	}
	if w.hostsOnly {
		return nil
	}
	return ss.load(opts, w)
}

// certLife is how long the certificates are good that this command makes, and the agents that it makes: BERTH_CERT_LIFE,
// in Go's notation (2160h), or 0 for the default.
func (ss *session) certLife() (time.Duration, error) {
	word := ss.env.Getenv("BERTH_CERT_LIFE")
	if word == "" {
		return 0, nil
	}
	life, err := time.ParseDuration(word)
	if err != nil || life < 10*time.Second {
		return 0, fmt.Errorf("BERTH_CERT_LIFE is %q; want a time of 10s or more, like 2160h", word)
	}
	return life, nil
}

// list begins to list the containers of all projects: which one it is about is known when the files have been read.
func (ss *session) list(ctx context.Context) {
	type answer struct {
		snaps []engine.Snapshot
		err   error
	}
	came := make(chan answer, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		snaps, err := ss.cluster.Snapshots(ctx, engine.Query{Light: true}, nil)
		came <- answer{snaps, err}
	}()
	ss.listing = sync.OnceValues(func() ([]engine.Snapshot, error) {
		a := <-came
		return a.snaps, a.err
	})
	ss.endListing = func() {
		cancel()
		_, _ = ss.listing() // waits for the goroutine
	}
}

// with makes a command's action: it opens a session, runs the command in it, and closes it.
func (s *settings) with(w what, run func(*session) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		w := w
		if w.words {
			w.services = c.Args().Slice()
		}
		ss, err := s.open(c, w)
		if err != nil {
			return err
		}
		defer ss.close()
		return run(ss)
	}
}

// load reads the project's files. A command that needs no more than the project's name does without them where -p gives
// it and -f names no files (`berth -p shop down` is about shop, whatever file lies here), and where they cannot be loaded
// but COMPOSE_PROJECT_NAME is set.
func (ss *session) load(opts loader.Options, w what) error {
	if w.fileOptional && opts.ProjectName != "" && len(opts.Files) == 0 {
		return ss.byName(opts, w, nil)
	}
	var err error
	ss.project, err = loader.Load(ss.c.Context, opts)
	if err != nil && w.fileOptional {
		return ss.byName(opts, w, err)
	}
	if err != nil {
		return err
	}
	ss.name, ss.services = ss.project.Name, w.services
	for _, n := range w.services {
		if !ss.project.Has(n) {
			return fmt.Errorf("%s: no such service: %s; the project has %s", ss.c.Command.Name, n, strings.Join(serviceNames(ss.project), ", "))
		}
	}
	if !w.silent {
		for _, sentence := range ss.project.Warnings {
			ss.display.Warn(sentence)
		}
	}
	return nil
}

// byName makes it a session about the project of a name, without its files; cause is why they are not there, if they
// should be.
func (ss *session) byName(opts loader.Options, w what, cause error) error {
	name, ok, err := loader.NameWithoutFile(opts)
	if err != nil {
		return err
	}
	if !ok || opts.ProjectName != "" && cause != nil {
		return cause
	}
	if cause != nil && !errors.Is(cause, loader.ErrNoFile) {
		ss.display.Warn(fmt.Sprintf("%v; going by the name %s that COMPOSE_PROJECT_NAME says", cause, name))
	}
	ss.project, ss.name, ss.services = nil, name, w.services
	return nil
}

// events is a host's event stream, one for all that the session waits for there.
func (ss *session) events(host string) *engine.Events {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.hubs == nil {
		ss.hubs = map[string]*engine.Events{}
	}
	if ss.hubs[host] == nil {
		ss.hubs[host] = ss.cluster.Engines()[host].Events(context.Background())
	}
	return ss.hubs[host]
}

// close ends the display and the connections.
func (ss *session) close() {
	ss.display.Close()
	if ss.listing != nil {
		ss.endListing()
	}
	for _, h := range ss.hubs {
		_ = h.Close()
	}
	if ss.cluster != nil {
		ss.cluster.Close()
	}
}

func serviceNames(p *placement.Project) []string {
	var names []string
	for _, s := range p.Services {
		names = append(names, s.Name)
	}
	for _, s := range p.Providers {
		names = append(names, s.Name)
	}
	return names
}

// lock opens the store of a cluster and takes the project's lock; on one host it does nothing.
func (ss *session) lock(ctx context.Context, bootstrap bool) error {
	if err := ss.cluster.Open(ctx, bootstrap); err != nil {
		return err
	}
	return ss.cluster.Lock(ctx, ss.name, "berth "+ss.c.Command.Name)
}
