package cli

import (
	"embed"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// scripts make shells ask berth what can stand at the cursor. In them, PROGRAM is the program's file name, and FUNCTION
// the same as a name for functions.
//
//go:embed completion/bash completion/zsh completion/fish
var scripts embed.FS

var shells = []string{"bash", "zsh", "fish"}

func completionCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a script that makes a shell complete commands, flags, services, projects and hosts",
		ArgsUsage: strings.Join(shells, "|"),
		Description: `For bash, in ~/.bashrc:   source <(berth completion bash)
For zsh, in ~/.zshrc:     source <(berth completion zsh)
For fish, in ~/.config/fish/config.fish:
                          berth completion fish | source`,
		Action: func(c *cli.Context) error {
			script, err := scripts.ReadFile("completion/" + c.Args().First())
			if err != nil || c.NArg() != 1 {
				return fmt.Errorf("completion: which shell? \"berth completion %s\"", strings.Join(shells, "|"))
			}
			name := strings.NewReplacer("PROGRAM", s.call.program, "FUNCTION", strings.ReplaceAll(s.call.program, "-", "_"))
			_, err = name.WriteString(s.env.Stdout, string(script))
			return err
		},
	}
}

// completeCommand answers the scripts, and docker when berth is its plugin: the words up to the cursor, the last of which
// is the one that is being typed, maybe empty. An answer is cobra's: candidates, one a line, each with a tab and what it
// means, and a line ":N" of what else the shell should do.
func completeCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: completeWord, Hidden: true, SkipFlagParsing: true, Usage: "answer a shell's request for completion",
		Action: func(c *cli.Context) error {
			words := c.Args().Slice()
			if len(words) == 0 {
				words = []string{""}
			}
			a := (&completer{s: s, ctx: c.Context, app: c.App}).complete(words[:len(words)-1], words[len(words)-1])
			_, err := fmt.Fprintf(s.env.Stdout, "%s:%d\n", strings.Join(append(a.candidates, ""), "\n"), a.then)
			return err
		},
	}
}
