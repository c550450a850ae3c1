package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"berth/cmd/progress"
	"berth/loader"
	"berth/placement"
	"berth/runtime/cluster"
	"berth/runtime/engine"
)

// settings are the global flags and what the system gave; one value serves one run.
type settings struct {
	env       Env
	call      invocation
	oneEngine bool // --host or --context said which
	signalling
}

func (s *settings) globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "file", Aliases: []string{"f"}, Usage: "compose `FILE`, repeatable; - is standard input"},
		&cli.StringFlag{Name: "inventory", Aliases: []string{"i"}, Usage: "hosts `FILE` (default: $BERTH_INVENTORY, or hosts.yml beside the compose file)"},
		&cli.StringFlag{Name: "project-name", Aliases: []string{"p"}, Usage: "project `NAME`"},
		&cli.StringFlag{Name: "project-directory", Usage: "`FOLDER` that relative paths start from"},
		&cli.StringSliceFlag{Name: "profile", Usage: "switch profile `NAME` on, repeatable"},
		&cli.StringSliceFlag{Name: "env-file", Usage: "environment `FILE`, repeatable"},
		&cli.StringFlag{Name: "progress", Usage: "how progress is shown: auto, tty, plain, json or quiet"},
		&cli.StringFlag{Name: "ansi", Usage: "control characters and colours: auto, always or never"},
		&cli.BoolFlag{Name: "all-resources", Usage: "networks and volumes that no service uses, too"},
		&cli.BoolFlag{Name: "compatibility", Usage: "container names with underscores"},
		&cli.BoolFlag{Name: "dry-run", Usage: "print what would be done, do nothing"},
		&cli.IntFlag{Name: "parallel", Usage: "engine calls in flight on one host (default 8)"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress"},
		// docker compose's old ones, which scripts still have.
		&cli.StringFlag{Name: "workdir", Hidden: true},
		&cli.BoolFlag{Name: "no-ansi", Hidden: true},
		&cli.BoolFlag{Name: "verbose", Hidden: true},
	}
}

// global is the context of the flags before the command's name: a command may have a flag of the same name.
func global(c *cli.Context) *cli.Context {
	all := c.Lineage() // the command, what it is part of, the program, and the empty one that the program was run in
	return all[max(len(all)-2, 0)]
}

// dryRun reports whether --dry-run was given, before the command or after it.
func dryRun(c *cli.Context) bool {
	for _, l := range c.Lineage() {
		if l.Bool("dry-run") {
			return true
		}
	}
	return false
}

// cacheDir is berth's folder in the user's cache; "" when there is none.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "berth")
}

// obeyVariables completes the environment by what the project's .env file says of COMPOSE_* variables, and by docker's
// flags, which beat it.
func (s *settings) obeyVariables(c *cli.Context) error {
	s.env.Environ = loader.WithComposeVariables(s.loadOptions(c, nil))
	return s.obeyDocker(c)
}

// loadOptions are the loader's options from the global flags.
func (s *settings) loadOptions(c *cli.Context, services []string) loader.Options {
	opts := loader.Options{
		Files: c.StringSlice("file"), ProjectName: c.String("project-name"), ProjectDir: cmp.Or(c.String("project-directory"), global(c).String("workdir")),
		Profiles: c.StringSlice("profile"), EnvFiles: c.StringSlice("env-file"), Services: services,
		Environ: s.env.Environ, Stdin: s.env.Stdin, WorkingDir: s.env.Dir,
		AllResources:  c.Bool("all-resources"),
		Compatibility: c.Bool("compatibility") || truthy(s.env.Getenv("COMPOSE_COMPATIBILITY")),
	}
	if dir := cacheDir(); dir != "" {
		opts.Seen = seen{filepath.Join(dir, "checked")}
	}
	return opts
}

// truthy reads a COMPOSE_* switch.
func truthy(v string) bool {
	if strings.EqualFold(strings.TrimSpace(v), "y") {
		return true
	}
	b, err := strconv.ParseBool(v)
	return err == nil && b
}

// inventory finds the hosts: -i, $BERTH_INVENTORY, hosts.yml beside the compose file, else the one local engine.
func (s *settings) inventory(c *cli.Context, opts loader.Options) (*placement.Inventory, error) {
	dir, err := loader.Dir(opts)
	if errors.Is(err, loader.ErrNoFile) {
		dir, err = s.env.Dir, nil
	}
	if err != nil {
		return nil, err
	}
	flag := c.String("inventory")
	if s.oneEngine {
		return s.localInventory()
	}
	if flag != "" {
		flag = s.path(flag)
	}
	if path, ok := loader.FindInventory(flag, s.env.Getenv("BERTH_INVENTORY"), dir); ok {
		return loader.LoadInventory(path)
	}
	return s.localInventory()
}

// localInventory is the one engine of DOCKER_HOST or of docker's current context.
func (s *settings) localInventory() (*placement.Inventory, error) {
	local, err := engine.Local(s.env.Getenv)
	if err != nil {
		return nil, err
	}
	return &placement.Inventory{Hosts: []placement.InventoryHost{local}}, nil
}

// path is a path of the command line, from the folder that the command was started in.
func (s *settings) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(s.env.Dir, p)
}

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
	opts.Cluster, opts.Whole, opts.NoContents = inv.Cluster(), w.whole, !makesContainers(c.Command.Name)
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

// makesContainers reports whether a command may make containers, whose contents then count: reading the project's
// folders is not for free.
func makesContainers(command string) bool {
	return slices.Contains([]string{"up", "create", "run", "scale", "plan", "watch", "config"}, command)
}

// connect begins to reach the hosts and loads the project meanwhile.
func (ss *session) connect(opts loader.Options, w what) error {
	var err error
	ss.cluster, err = cluster.Connect(ss.inv, cluster.Options{CacheDir: cacheDir(), Notify: ss.display.Warn})
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
		if ss.project.Service(n) == nil {
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
	if !ok || opts.ProjectName != "" && cause != nil || errors.Is(cause, loader.ErrNoService) {
		return cause
	}
	if cause != nil && !errors.Is(cause, loader.ErrNoFile) {
		ss.display.Warn(fmt.Sprintf("%v; going by the name %s that COMPOSE_PROJECT_NAME says", cause, name))
	}
	ss.project, ss.name, ss.services = nil, name, w.services
	return nil
}

// displayMode is the way to show progress that flags and environment ask for. own says that -q is the command's own.
func (s *settings) displayMode(c *cli.Context, own bool) (progress.Mode, error) {
	mode := c.String("progress")
	if mode == "" {
		mode = s.env.Getenv("COMPOSE_PROGRESS")
	}
	if c.Bool("quiet") && !own {
		mode = string(progress.Quiet)
	}
	return progress.ParseMode(mode, s.ansi(c))
}

// newDisplay makes the display that the global flags ask for.
func (s *settings) newDisplay(c *cli.Context, hosts, own bool) (progress.Display, error) {
	ansi := s.ansi(c)
	parsed, err := s.displayMode(c, own)
	if err != nil {
		return nil, err
	}
	out := s.env.Stderr
	if truthy(s.env.Getenv("COMPOSE_STATUS_STDOUT")) {
		out = s.env.Stdout
	}
	tty, size := terminal(out)
	return spoken{s.call, progress.New(progress.Options{
		Out: out, Terminal: tty, Size: size, Mode: parsed, Hosts: hosts, DryRun: dryRun(c),
		Color: progress.Color(ansi, tty, s.env.Getenv("NO_COLOR") != ""),
	})}, nil
}

// amongOutput makes a display like newDisplay's for while containers write too: a line an event, none rewritten.
func (ss *session) amongOutput() (progress.Display, error) {
	mode, err := ss.displayMode(ss.c, false)
	if err != nil {
		return nil, err
	}
	if mode == progress.Auto || mode == progress.TTY {
		mode = progress.Plain
	}
	return progress.New(progress.Options{Out: ss.env.Stderr, Mode: mode, Hosts: ss.inv.Cluster()}), nil
}

// ansi is --ansi, or what COMPOSE_ANSI says.
func (s *settings) ansi(c *cli.Context) string {
	if a := c.String("ansi"); a != "" {
		return a
	}
	if c.Bool("no-ansi") {
		return "never"
	}
	return s.env.Getenv("COMPOSE_ANSI")
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
	return names
}

// lock opens the store of a cluster and takes the project's lock; on one host it does nothing.
func (ss *session) lock(ctx context.Context, bootstrap bool) error {
	if err := ss.cluster.Open(ctx, bootstrap); err != nil {
		return err
	}
	return ss.cluster.Lock(ctx, ss.name, "berth "+ss.c.Command.Name)
}
