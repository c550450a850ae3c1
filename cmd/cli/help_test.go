package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

func TestHelpShowsEveryFlagWithItsValueAndDefault(t *testing.T) {
	cmd := &cli.Command{
		Name: "logs", Usage: "show output", ArgsUsage: "[SERVICE…]", Description: "As {{.Name}} has it.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on"},
			&cli.StringFlag{Name: "tail", Aliases: []string{"n"}, Value: "all", Usage: "last `N` lines of each container, however many of them there may be on all hosts"},
			&cli.IntFlag{Name: "index", Usage: "which replica"},
			&cli.StringFlag{Name: "secret", Hidden: true},
		},
	}
	want := `Usage:  docker compose logs [OPTIONS] [SERVICE…]

Show output

As {{.Name}} has it.

Options:
  -f, --follow      Go on
  -n, --tail N      Last N lines of each container, however many of them there
                    may be on all hosts (default "all")
      --index int   Which replica
`
	if diff := cmp.Diff(want, commandHelp("docker compose", cmd)); diff != "" {
		t.Errorf("help (-want +got):\n%s", diff)
	}
}

func TestEveryCommandIsExplainedWithinTheWidthOfATerminal(t *testing.T) {
	app := newApp(&settings{call: invocation{name: "docker compose"}})
	texts := map[string]string{"": appHelp("docker compose", app)}
	for _, c := range app.Commands {
		if c.Hidden {
			continue
		}
		texts[c.Name] = commandHelp("docker compose", c)
		if c.Category == "" || c.Usage == "" || !strings.Contains(texts[""], "\n  "+c.Name+" ") {
			t.Errorf("%s: category %q, usage %q: not in the list of commands", c.Name, c.Category, c.Usage)
		}
	}
	for name, text := range texts {
		for line := range strings.Lines(text) {
			if len([]rune(line)) > helpWidth+1 {
				t.Errorf("help of %q: %d cells: %s", name, len([]rune(line)), line)
			}
		}
	}
}
