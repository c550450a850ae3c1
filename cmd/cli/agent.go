package cli

import (
	"fmt"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"berth/runtime/agent"
)

// agentCommand is what runs in the agent's container; nobody types it.
func agentCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "agent", Hidden: true, Usage: "run the host's agent (berth starts it in a container)",
		Subcommands: []*cli.Command{{
			Name: "relay", Usage: "join standard input and output with a TCP address", ArgsUsage: "HOST:PORT",
			Action: func(c *cli.Context) error {
				return agent.Relay(c.Context, c.Args().First(), s.env.Stdin, s.env.Stdout)
			},
		}, {
			Name: "member", Usage: "print what this host has of the embedded store",
			Action: func(*cli.Context) error { return agent.PrintMember(s.env.Stdout) },
		}, {
			Name: "wireguard", Usage: "be the host's userspace WireGuard device",
			Action: func(c *cli.Context) error {
				debug.SetGCPercent(100) // it lives for months
				return agent.RunWireGuard(c.Context)
			},
		}},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fmt.Errorf("agent: unknown argument %q", c.Args().First())
			}
			debug.SetGCPercent(100) // it lives for months
			cfg, err := agent.ReadConfig(agent.ConfigFile)
			if err != nil {
				return err
			}
			return agent.Run(c.Context, cfg)
		},
	}
}
