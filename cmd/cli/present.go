package cli

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"berth/runtime/provider"
	"berth/scheduler"
)

// existing is what the commands need that act on containers that are there.
var existing = what{words: true, fileOptional: true, silent: true}

// act plans for the project's containers that are there, and carries out. It takes no lock and needs no store: these
// commands change nothing that `up` records, and have to work while another command waits or the store is away.
func (ss *session) act(ctx context.Context, plan func(*scheduler.Present) (*scheduler.Plan, error)) (*scheduler.Plan, error) {
	o, err := ss.cluster.Glance(ctx, ss.name)
	if err != nil {
		return nil, err
	}
	p, err := plan(scheduler.NewPresent(ss.name, ss.project, o, ss.services))
	if err != nil {
		return nil, err
	}
	ss.warn(p)
	return p, ss.carry(ctx, p)
}

func startCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "start", Usage: "start containers that are there, and those they depend on", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "wait", Usage: "wait until the services are running or healthy"},
			&cli.IntFlag{Name: "wait-timeout", Usage: "`SECONDS` that --wait may take"},
		},
		Action: s.with(existing, func(ss *session) error {
			wait := ss.c.Bool("wait")
			ctx, cancel := ss.waitContext(wait)
			defer cancel()
			_, err := ss.act(ctx, func(x *scheduler.Present) (*scheduler.Plan, error) { return x.Start(wait) })
			return err
		}),
	}
}

// waitContext ends after --wait-timeout when the command waits.
func (ss *session) waitContext(wait bool) (context.Context, context.CancelFunc) {
	n := ss.c.Int("wait-timeout")
	if n <= 0 || !wait {
		return context.WithCancel(ss.c.Context)
	}
	return context.WithTimeoutCause(ss.c.Context, time.Duration(n)*time.Second,
		fmt.Errorf("%s: the services were not running or healthy within %d s; \"berth ps\" shows which", ss.c.Command.Name, n))
}

func stopCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "stop", Usage: "stop containers, dependents first", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{timeoutFlag()},
		Action: s.with(existing, func(ss *session) error {
			_, err := ss.stop(ss.c.Context, "")
			return err
		}),
	}
}

// stop plans a stop; the providers are asked before which of them can be halted.
func (ss *session) stop(ctx context.Context, why string) (*scheduler.Plan, error) {
	if ss.project != nil {
		var asked sync.WaitGroup
		for _, p := range ss.project.Providers {
			if len(ss.services) == 0 || slices.Contains(ss.services, p.Name) {
				asked.Go(func() { p.Stops = provider.Of(ss.project, p).Stops(ctx) })
			}
		}
		asked.Wait()
	}
	return ss.act(ctx, func(x *scheduler.Present) (*scheduler.Plan, error) { return x.Stop(timeout(ss.c), why), nil })
}

func restartCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "restart", Usage: "stop and start containers", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-deps", Usage: "leave out the services that depend on those named with restart: true"},
			timeoutFlag(),
		},
		Action: s.with(what{words: true, whole: true, fileOptional: true, silent: true}, func(ss *session) error {
			_, err := ss.act(ss.c.Context, func(x *scheduler.Present) (*scheduler.Plan, error) {
				return x.Restart(ss.c.Bool("no-deps"), timeout(ss.c)), nil
			})
			return err
		}),
	}
}

func killCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "kill", Usage: "send a signal to containers, SIGKILL if none is given", ArgsUsage: "[SERVICE…]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "signal", Aliases: []string{"s"}, Value: "SIGKILL", Usage: "`SIGNAL` to send"},
			&cli.BoolFlag{Name: "remove-orphans", Usage: "kill and remove containers of services the file does not have"},
		},
		Action: s.with(existing, func(ss *session) error {
			p, err := ss.act(ss.c.Context, func(x *scheduler.Present) (*scheduler.Plan, error) {
				return x.Kill(scheduler.KillOptions{Signal: ss.c.String("signal"), RemoveOrphans: ss.removeOrphans()}), nil
			})
			if err == nil && p.Empty() {
				ss.display.Warn("no container to kill")
			}
			return err
		}),
	}
}

func pauseCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "pause", Usage: "freeze containers", ArgsUsage: "[SERVICE…]",
		Action: s.with(existing, func(ss *session) error {
			_, err := ss.act(ss.c.Context, func(x *scheduler.Present) (*scheduler.Plan, error) { return x.Pause(), nil })
			return err
		}),
	}
}

func unpauseCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "unpause", Usage: "let frozen containers go on", ArgsUsage: "[SERVICE…]",
		Action: s.with(existing, func(ss *session) error {
			_, err := ss.act(ss.c.Context, func(x *scheduler.Present) (*scheduler.Plan, error) { return x.Unpause(), nil })
			return err
		}),
	}
}

func timeoutFlag() cli.Flag {
	return &cli.IntFlag{Name: "timeout", Aliases: []string{"t"}, Usage: "`SECONDS` a container has to stop"}
}

// removeOrphans is --remove-orphans, or COMPOSE_REMOVE_ORPHANS.
func (ss *session) removeOrphans() bool {
	return ss.c.Bool("remove-orphans") || truthy(ss.env.Getenv("COMPOSE_REMOVE_ORPHANS"))
}
