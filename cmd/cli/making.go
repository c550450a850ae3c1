package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"berth/scheduler"
)

// makingFlags are those that up and create have in common: how containers are made.
func makingFlags() []cli.Flag {
	return append(imageFlags(), []cli.Flag{
		&cli.StringSliceFlag{Name: "scale", Usage: "`SERVICE=N` replicas, repeatable"},
		&cli.BoolFlag{Name: "force-recreate", Usage: "recreate containers that did not change"},
		&cli.BoolFlag{Name: "no-recreate", Usage: "leave containers that are there as they are"},
		&cli.BoolFlag{Name: "remove-orphans", Usage: "remove containers of services the file does not have"},
		&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "answer every question with yes"},
		&cli.BoolFlag{Name: "partial", Usage: "create what can be placed when not everything can"},
	}...)
}

// making reads them. It sets the replicas and pull policies of the project's services.
func (ss *session) making() (scheduler.UpOptions, error) {
	c := ss.c
	opts := scheduler.UpOptions{
		Command: c.Command.Name, Services: ss.services, ForceRecreate: c.Bool("force-recreate"), NoRecreate: c.Bool("no-recreate"),
		RemoveOrphans: ss.removeOrphans(), IgnoreOrphans: truthy(ss.env.Getenv("COMPOSE_IGNORE_ORPHANS")),
		AllResources: c.Bool("all-resources"), Partial: c.Bool("partial"), RenewVolumes: map[string]bool{},
	}
	if opts.ForceRecreate && opts.NoRecreate {
		return opts, ss.incompatible("--force-recreate", "--no-recreate")
	}
	if err := ss.scale(c.StringSlice("scale")); err != nil {
		return opts, err
	}
	return opts, ss.imagePolicy()
}

// incompatible says that two flags contradict each other.
func (ss *session) incompatible(a, b string) error {
	return fmt.Errorf("%s: %s and %s are incompatible; give one of them", ss.c.Command.Name, a, b)
}

// consentToRenew asks about each volume that is not as the file says, or with --yes does not, and puts the answers into
// opts.
func (ss *session) consentToRenew(opts *scheduler.UpOptions) consent {
	return func(p *scheduler.Plan) (bool, error) {
		for _, v := range p.Differing {
			yes := ss.c.Bool("yes")
			if !yes {
				where := ""
				if ss.inv.Cluster() {
					where = " on " + strings.Join(v.Hosts, ", ")
				}
				var err error
				yes, err = ss.ask(fmt.Sprintf("Volume %q exists%s but doesn't match configuration in compose file. Recreate (data will be lost)? [y/N] ", v.Name, where))
				if err != nil {
					return false, err
				}
			}
			opts.RenewVolumes[v.Name] = yes
		}
		return len(p.Differing) > 0, nil
	}
}
