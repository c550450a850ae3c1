package cli

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"berth/cmd/progress"
	"berth/loader"
	"berth/placement"
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
	s.call.json = s.progress(c) == string(progress.JSON)
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
