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

The options of all commands (-f, -i, -p, --dry-run …) may stand here too.
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

func TestHelpOfACommandOfACommand(t *testing.T) {
	for _, args := range [][]string{{"store", "backup", "--help"}, {"help", "store", "backup"}} {
		var out, said strings.Builder
		if code := Main(append([]string{"berth"}, args...), Env{Stdout: &out, Stderr: &said}); code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, code, said.String())
		}
		if want := "Usage:  berth store backup FILE|-\n\nWrite all that"; !strings.HasPrefix(out.String(), want) {
			t.Errorf("%v prints\n%s", args, out.String())
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"store", "bakup"}, `berth: unknown command "store bakup"; "berth store --help" lists them, did you mean "berth store backup"?`},
		{[]string{"help", "store", "bakup"}, `berth: unknown command "store bakup"; "berth store --help" lists them, did you mean "berth store backup"?`},
		{[]string{"store", "recover", "host1", "-y"}, `berth: store recover takes no arguments, got "host1"`},
		{[]string{"hosts", "ls"}, `berth: hosts takes no arguments, got "ls"`},
		{[]string{"store", "backup", "--far"}, `berth: store backup: flag provided but not defined: -far; "berth store backup --help" lists the options`},
	} {
		var out, said strings.Builder
		code := Main(append([]string{"berth"}, c.args...), Env{Stdout: &out, Stderr: &said})
		if code != 1 || strings.TrimSpace(said.String()) != c.want {
			t.Errorf("%v: exit code %d, %s", c.args, code, said.String())
		}
	}
}

func TestUsageOfTwoLinesNamesTheProgramAsItWasCalled(t *testing.T) {
	var out strings.Builder
	cmd := cpCommand(&settings{})
	printHelp(&out, "docker berth", cmd)
	if !strings.Contains(out.String(), "\n   docker berth cp [OPTIONS] SOURCE|- SERVICE[.N]:TARGET\n") {
		t.Errorf("got\n%s", out.String())
	}
}
