package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"berth/loader"
	"berth/placement"
)

func configCommand(s *settings) *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "format", Usage: "yaml or json"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "check only, do not print the model"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"},
		&cli.BoolFlag{Name: "no-interpolate", Usage: "leave ${VARIABLES} as they are"},
		&cli.BoolFlag{Name: "no-normalize", Usage: "leave out what the file implies"},
		&cli.BoolFlag{Name: "no-path-resolution", Usage: "leave relative paths relative"},
		&cli.BoolFlag{Name: "no-consistency", Usage: "do not check that what is referred to exists"},
		&cli.BoolFlag{Name: "no-env-resolution", Usage: "leave env_file as it is"},
		&cli.BoolFlag{Name: "resolve-image-digests", Usage: "images by the digest that their registry has now"},
		&cli.BoolFlag{Name: "lock-image-digests", Usage: "an override file with the images by digest, and nothing else"},
		&cli.StringFlag{Name: "hash", Usage: "config hashes of `SERVICES` (comma-separated), or * for all"},
	}
	for _, l := range lists {
		flags = append(flags, &cli.BoolFlag{Name: l.flag, Usage: l.usage})
	}
	return &cli.Command{
		Name: "config", Usage: "print the compose file as berth understands it", ArgsUsage: "[SERVICE…]", Flags: flags,
		Action: func(c *cli.Context) error {
			out, whole, err := renderConfig(s, c)
			if err != nil || c.Bool("quiet") && (whole || printsEnvironment(c)) { // the other lists are printed all the same
				return err
			}
			switch file := c.String("output"); {
			case file == "" || !whole:
			case dryRun(c):
				fmt.Fprintf(s.env.Stdout, "write %d bytes to %s\n", len(out), s.path(file))
				return nil
			default:
				if err := os.WriteFile(s.path(file), out, 0o666); err != nil {
					return fmt.Errorf("config: %w", err)
				}
				return nil
			}
			_, err = s.env.Stdout.Write(out)
			return err
		},
	}
}

// list is a flag that prints one thing a line. selected: of the services named on the command line; the others are about
// the whole project. env: env files of services are read, so they have to be there.
type list struct {
	flag, usage   string
	selected, env bool
	of            func(*placement.Project) []string
}

// lists, in the order in which the first that is given counts.
var lists = []list{
	{flag: "services", usage: "service names", of: loader.ServiceNames},
	{flag: "volumes", usage: "volume names", of: loader.VolumeNames},
	{flag: "networks", usage: "network names", of: loader.NetworkNames},
	{flag: "models", usage: "model names", of: loader.ModelNames},
	{flag: "profiles", usage: "profile names", selected: true, of: loader.Profiles},
	{flag: "images", usage: "image names", selected: true, of: loader.Images},
	{flag: "variables", usage: "the variables that the files use, with their defaults"},
	{flag: "environment", usage: "the environment that variables were taken from", selected: true, env: true, of: loader.Environment},
}

// printsEnvironment reports whether --environment is the list that counts.
func printsEnvironment(c *cli.Context) bool {
	i := slices.IndexFunc(lists, func(l list) bool { return c.Bool(l.flag) })
	return i >= 0 && lists[i].env && c.String("hash") == ""
}

// renderConfig is what config prints; whole says that it is the model and not a list.
func renderConfig(s *settings, c *cli.Context) (out []byte, whole bool, err error) {
	opts := s.loadOptions(c, c.Args().Slice())
	opts.NoInterpolate = c.Bool("no-interpolate")
	opts.NoNormalize = c.Bool("no-normalize") || opts.Compatibility
	opts.NoPathResolution = c.Bool("no-path-resolution")
	opts.NoConsistency = c.Bool("no-consistency")
	opts.NoEnvResolution = c.Bool("no-env-resolution")
	for _, l := range lists {
		if c.String("hash") != "" && l.selected {
			break // a hash comes before them
		}
		if c.Bool(l.flag) {
			out, err = s.list(c, opts, l)
			return out, false, err
		}
	}
	if which := c.String("hash"); which != "" {
		out, err = s.hashes(c.Context, opts, which)
		return out, false, err
	}
	opts.NoDefaultPlatform = true
	if opts.NoInterpolate {
		out, err = s.renderModel(c, opts)
	} else {
		out, err = s.renderProject(c, opts)
	}
	return out, true, err
}

func (s *settings) renderProject(c *cli.Context, opts loader.Options) ([]byte, error) {
	p, err := s.loadPrinted(c.Context, opts)
	if err != nil {
		return nil, err
	}
	lock := c.Bool("lock-image-digests")
	if lock || c.Bool("resolve-image-digests") {
		if p.Compose, err = s.withDigests(c, p.Compose); err != nil {
			return nil, err
		}
	}
	if lock {
		return loader.RenderImages(p, c.String("format"))
	}
	return loader.Render(p, c.String("format"))
}

func (s *settings) renderModel(c *cli.Context, opts loader.Options) ([]byte, error) {
	if c.Bool("lock-image-digests") || c.Bool("resolve-image-digests") {
		return nil, errors.New("config: an image's digest is not known while its variables are not; drop --no-interpolate")
	}
	model, err := loader.LoadModel(c.Context, opts)
	if err != nil {
		return nil, err
	}
	return loader.RenderModel(model, c.String("format"))
}

// loadPrinted loads the project and says its warnings.
func (s *settings) loadPrinted(ctx context.Context, opts loader.Options) (*placement.Project, error) {
	p, err := loader.Load(ctx, opts)
	if err != nil {
		return nil, err
	}
	for _, w := range p.Warnings {
		fmt.Fprintln(s.env.Stderr, "warning:", w)
	}
	return p, nil
}

func (s *settings) list(c *cli.Context, opts loader.Options, l list) ([]byte, error) {
	if l.of == nil {
		opts.NoInterpolate = true
		model, err := loader.LoadModel(c.Context, opts)
		if err != nil {
			return nil, err
		}
		return loader.RenderVariables(loader.Variables(model), c.String("format"))
	}
	if !l.selected {
		opts.Services = nil
	}
	opts.NoEnvResolution = !l.env
	if opts.NoInterpolate && l.flag == "services" {
		model, err := loader.LoadModel(c.Context, opts)
		if err != nil {
			return nil, err
		}
		return lines(loader.ModelServices(model)), nil
	}
	opts.NoInterpolate = false
	p, err := s.loadPrinted(c.Context, opts)
	if err != nil {
		return nil, err
	}
	return lines(l.of(p)), nil
}

func (s *settings) hashes(ctx context.Context, opts loader.Options, which string) ([]byte, error) {
	opts.Services, opts.NoInterpolate = nil, false
	p, err := s.loadPrinted(ctx, opts)
	if err != nil {
		return nil, err
	}
	var names []string
	if which != "*" {
		names = strings.Split(which, ",")
	}
	all, err := loader.Hashes(p, names)
	if err != nil {
		return nil, err
	}
	return lines(all), nil
}

func lines(all []string) []byte {
	var b bytes.Buffer
	for _, l := range all {
		fmt.Fprintln(&b, l)
	}
	return b.Bytes()
}
