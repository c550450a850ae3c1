package cli

import (
	"fmt"

	units "github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"berth/placement"
	"berth/scheduler"
)

func buildCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "build", Usage: "build the images of services", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "build-arg", Usage: "`KEY=VALUE` for the Dockerfile's ARG, repeatable"},
			&cli.StringFlag{Name: "builder", Usage: "ignored: the engine's own builder is used"},
			&cli.StringFlag{Name: "host", Usage: "build on host `NAME` of the inventory"},
			&cli.StringFlag{Name: "memory", Aliases: []string{"m"}, Usage: "memory of the classic builder's containers"},
			&cli.BoolFlag{Name: "no-cache", Usage: "use nothing of earlier builds"},
			&cli.BoolFlag{Name: "pull", Usage: "ask registries for newer base images"},
			&cli.BoolFlag{Name: "push", Usage: "push the images"},
			&cli.StringFlag{Name: "provenance", Usage: "ignored: the engine's own builder attests nothing"},
			&cli.StringFlag{Name: "sbom", Usage: "ignored: the engine's own builder attests nothing"},
			&cli.StringSliceFlag{Name: "ssh", Usage: "`ID[=PATH]` of an agent or key for the build, repeatable; \"default\" is your agent"},
			&cli.BoolFlag{Name: "with-dependencies", Usage: "build what the services depend on, too"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "do not show what builds print"},
			// docker compose's old ones, which scripts still have and it heeds no more. --parallel has no number here.
			&cli.BoolFlag{Name: "parallel", Hidden: true},
			&cli.BoolFlag{Name: "compress", Hidden: true},
			&cli.BoolFlag{Name: "force-rm", Hidden: true},
			&cli.BoolFlag{Name: "no-rm", Hidden: true},
		},
		Action: s.with(what{words: true, store: true}, build),
	}
}

func build(ss *session) error {
	c := ss.c
	for _, flag := range []string{"builder", "provenance", "sbom"} {
		if c.String(flag) != "" {
			ss.display.Warn(fmt.Sprintf("--%s is ignored: images are built by the engine's own builder", flag))
		}
	}
	if m := c.String("memory"); m != "" {
		var err error
		if ss.memory, err = units.RAMInBytes(m); err != nil {
			return fmt.Errorf("build: --memory is %q; want a size such as 512m", m)
		}
		ss.display.Warn("--memory is not supported by BuildKit; only the classic builder heeds it")
	}
	if h := c.String("host"); h != "" && !ss.hasHost(h) {
		return fmt.Errorf("build: --host %s: the inventory has no such host", h)
	}
	plan, err := ss.images(c.Context, func(o *placement.Observation) (*scheduler.Plan, error) {
		return scheduler.BuildImages(ss.project, o, scheduler.BuildOptions{
			Services: ss.services, Deps: c.Bool("with-dependencies"), Push: c.Bool("push"), Host: c.String("host"),
		})
	})
	if err == nil && plan.Empty() {
		ss.display.Warn("No services to build")
	}
	return err
}

// hasHost reports whether the inventory has a host of that name.
func (ss *session) hasHost(name string) bool {
	for _, h := range ss.inv.Hosts {
		if h.Name == name {
			return true
		}
	}
	return false
}
