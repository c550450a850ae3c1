package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// helpWidth is where help texts are wrapped, in cells: the narrowest terminal in use.
const helpWidth = 80

// The library fills templates. Ours are only the words that were typed before the command's name, and the text is written
// when somebody asks for it.
func init() { cli.HelpPrinter = printHelp }

func printHelp(w io.Writer, called string, of any) {
	switch of := of.(type) {
	case *cli.App:
		_, _ = io.WriteString(w, appHelp(called, of))
	case *cli.Command:
		_, _ = io.WriteString(w, commandHelp(called, of))
	}
}

func helpCommand(s *settings) *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "explain a command", ArgsUsage: "[COMMAND]",
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return cli.ShowAppHelp(c)
			}
			var of []string
			var found *cli.Command
			commands := c.App.Commands
			for _, name := range c.Args().Slice() {
				i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(name) })
				if i < 0 {
					return unknownCommand(strings.Join(of, " "), commands, name)
				}
				found = commands[i]
				of, commands = append(of, found.Name), found.Subcommands
			}
			printHelp(s.env.Stdout, found.CustomHelpTemplate, found)
			return nil
		},
	}
}

// appHelp is what `berth --help` prints.
func appHelp(name string, app *cli.App) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:  %s [OPTIONS] COMMAND\n\n%s\n", name, app.Description)
	writeFlags(&b, "Options", app.Flags)
	var titles []string
	byTitle := map[string][]*cli.Command{}
	for _, c := range app.Commands {
		if c.Hidden {
			continue
		}
		if !slices.Contains(titles, c.Category) {
			titles = append(titles, c.Category)
		}
		byTitle[c.Category] = append(byTitle[c.Category], c)
	}
	for _, t := range titles {
		writeCommands(&b, t, byTitle[t])
	}
	fmt.Fprintf(&b, "\nRun '%s COMMAND --help' for more information on a command.\n", name)
	return b.String()
}

// commandHelp is what `berth COMMAND --help` prints.
func commandHelp(name string, cmd *cli.Command) string {
	var b strings.Builder
	usage := []string{"Usage: ", name, cmd.Name}
	if len(visible(cmd.Flags)) > 0 {
		usage = append(usage, "[OPTIONS]")
	}
	if len(cmd.Subcommands) > 0 {
		usage = append(usage, "COMMAND")
	}
	if cmd.ArgsUsage != "" {
		usage = append(usage, strings.ReplaceAll(cmd.ArgsUsage, "berth "+cmd.Name, name+" "+cmd.Name)) // cp has two lines
	}
	fmt.Fprintf(&b, "%s\n\n%s\n", strings.Join(usage, " "), strings.Join(wrap(sentence(cmd.Usage), helpWidth), "\n"))
	if cmd.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(cmd.Description))
	}
	writeFlags(&b, "Options", cmd.Flags)
	if len(cmd.Subcommands) > 0 {
		writeCommands(&b, "Commands", cmd.Subcommands)
	} else {
		b.WriteString("\nThe options of all commands (-f, -i, -p, --dry-run …) may stand here too.\n")
	}
	return b.String()
}

func writeCommands(b *strings.Builder, title string, commands []*cli.Command) {
	var names, texts []string
	for _, c := range commands {
		if !c.Hidden {
			names, texts = append(names, c.Name), append(texts, sentence(c.Usage))
		}
	}
	writeColumns(b, title, names, texts)
}

func writeFlags(b *strings.Builder, title string, flags []cli.Flag) {
	var names, texts []string
	for _, f := range visible(flags) {
		name, text := flagHelp(f)
		names, texts = append(names, name), append(texts, text)
	}
	writeColumns(b, title, names, texts)
}

// writeColumns writes names and what they mean side by side, under a title.
func writeColumns(b *strings.Builder, title string, names, texts []string) {
	if len(names) == 0 {
		return
	}
	width := 0
	for _, n := range names {
		width = max(width, len(n))
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	for i, n := range names {
		for j, line := range wrap(texts[i], helpWidth-width-5) {
			if j > 0 {
				n = ""
			}
			fmt.Fprintf(b, "  %-*s   %s\n", width, n, line)
		}
	}
}

// visible leaves out hidden flags, and --help, which is how one came here.
func visible(flags []cli.Flag) []cli.DocGenerationFlag {
	var out []cli.DocGenerationFlag
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		v, hides := f.(cli.VisibleFlag)
		if ok && (!hides || v.IsVisible()) && d.Names()[0] != "help" {
			out = append(out, d)
		}
	}
	return out
}

// flagHelp is a flag as it is typed ("-n, --tail N") and what it means, with its default.
func flagHelp(f cli.DocGenerationFlag) (name, text string) {
	short, long := "    ", ""
	for _, n := range f.Names() {
		if len(n) == 1 {
			short = "-" + n + ", "
		} else if long == "" {
			long = "--" + n
		}
	}
	if long == "" {
		short, long = strings.TrimSuffix(short, ", "), ""
	}
	text = f.GetUsage()
	value := "string"
	if before, rest, ok := strings.Cut(text, "`"); ok {
		if word, after, ok := strings.Cut(rest, "`"); ok {
			value, text = word, before+word+after
		}
	} else if _, number := f.(*cli.IntFlag); number {
		value = "int"
	}
	name = short + long
	if f.TakesValue() {
		name += " " + value
	}
	if v := f.GetValue(); v != "" && v != "0" && v != "false" && v != "[]" && !strings.Contains(text, "default") {
		if f.TakesValue() && value != "int" {
			v = `"` + v + `"`
		}
		text += " (default " + v + ")"
	}
	return name, sentence(text)
}

// sentence begins with a capital letter.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// wrap breaks a text into lines of at most width bytes, where it has spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
