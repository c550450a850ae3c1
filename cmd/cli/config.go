package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"berth/loader"
	"berth/placement"
)

func configCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "print the compose file as berth understands it", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "yaml", Usage: "yaml or json"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "check only, print nothing"},
			&cli.BoolFlag{Name: "services", Usage: "service names"},
			&cli.BoolFlag{Name: "volumes", Usage: "volume names"},
			&cli.BoolFlag{Name: "networks", Usage: "network names"},
			&cli.BoolFlag{Name: "profiles", Usage: "profile names"},
			&cli.BoolFlag{Name: "images", Usage: "image names"},
			&cli.BoolFlag{Name: "environment", Usage: "the environment that variables were taken from"},
			&cli.StringFlag{Name: "hash", Usage: "config hashes of `SERVICES` (comma-separated), or * for all"},
			&cli.BoolFlag{Name: "no-interpolate", Usage: "leave ${VARIABLES} as they are"},
			&cli.BoolFlag{Name: "no-normalize", Usage: "leave out what the file implies"},
			&cli.BoolFlag{Name: "no-path-resolution", Usage: "leave relative paths relative"},
			&cli.BoolFlag{Name: "no-consistency", Usage: "do not check that what is referred to exists"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"},
		},
		Action: func(c *cli.Context) error {
			out, err := renderConfig(s, c)
			if err != nil || c.Bool("quiet") {
				return err
			}
			if file := c.String("output"); file != "" {
				if err := os.WriteFile(file, out, 0o666); err != nil {
					return fmt.Errorf("config: %w", err)
				}
				return nil
			}
			_, err = s.env.Stdout.Write(out)
			return err
		},
	}
}

func renderConfig(s *settings, c *cli.Context) ([]byte, error) {
	opts := s.loadOptions(c, c.Args().Slice())
	opts.NoInterpolate = c.Bool("no-interpolate")
	opts.NoNormalize = c.Bool("no-normalize")
	opts.NoPathResolution = c.Bool("no-path-resolution")
	opts.NoConsistency = c.Bool("no-consistency")
	if opts.NoInterpolate {
		model, err := loader.LoadModel(c.Context, opts)
		if err != nil {
			return nil, err
		}
		return loader.RenderModel(model, c.String("format"))
	}
	p, err := loader.Load(c.Context, opts)
	if err != nil {
		return nil, err
	}
	for _, w := range p.Warnings {
		fmt.Fprintln(s.env.Stderr, "warning:", w)
	}
	list := func(names []string) []byte {
		var b bytes.Buffer
		for _, n := range names {
			fmt.Fprintln(&b, n)
		}
		return b.Bytes()
	}
	switch {
	case c.Bool("services"):
		return list(loader.ServiceNames(p)), nil
	case c.Bool("volumes"):
		return list(loader.VolumeNames(p)), nil
	case c.Bool("networks"):
		return list(loader.NetworkNames(p)), nil
	case c.Bool("profiles"):
		return list(loader.Profiles(p)), nil
	case c.Bool("images"):
		return list(loader.Images(p)), nil
	case c.Bool("environment"):
		return list(loader.Environment(p)), nil
	case c.String("hash") != "":
		return hashes(p, c.String("hash"), list)
	}
	return loader.Render(p, c.String("format"))
}

func hashes(p *placement.Project, which string, list func([]string) []byte) ([]byte, error) {
	var names []string
	if which != "*" {
		names = strings.Split(which, ",")
	}
	lines, err := loader.Hashes(p, names)
	if err != nil {
		return nil, err
	}
	return list(lines), nil
}
