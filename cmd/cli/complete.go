package cli

import (
	"context"
	"flag"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// What a shell does beside offering the candidates (cobra's directives, which add up).
const (
	files   = 0  // offers files when there are no candidates
	noSpace = 2  // puts none behind the word: more comes
	nothing = 4  // offers nothing else
	folders = 16 // offers folders
)

// answer is what can stand at the cursor.
type answer struct {
	candidates []string // "word\tmeaning"
	then       int
}

// completer finds out what the words before the cursor leave open.
type completer struct {
	s   *settings
	ctx context.Context
	app *cli.App

	globals []string     // the global flags among the words, as --name=value
	cmd     *cli.Command // nil before the command
	args    []string     // its words, without flags
	open    cli.Flag     // the last word is this flag and wants its value; nil
	foreign bool         // what is typed belongs to a command in a container
}

func (c *completer) complete(before []string, typed string) answer {
	c.read(before)
	name, value, assigned := strings.Cut(typed, "=")
	switch {
	case c.foreign:
		return answer{then: files}
	case c.open != nil:
		return c.value(c.open, typed).from(typed)
	case strings.HasPrefix(typed, "--") && assigned:
		f := find(c.flags(), name)
		if f == nil {
			return answer{then: nothing}
		}
		return c.value(f, value).from(value).after(name + "=")
	case strings.HasPrefix(typed, "-"):
		return c.flagNames().from(typed)
	case c.cmd == nil:
		return commandNames(c.app.Commands).from(typed)
	case len(c.cmd.Subcommands) > 0:
		return commandNames(c.cmd.Subcommands).from(typed)
	}
	return c.argument().from(typed)
}

// read sorts the words before the cursor.
func (c *completer) read(words []string) {
	for _, w := range words {
		switch f := find(c.flags(), w); {
		case c.foreign:
		case c.open != nil:
			c.global(c.open, w)
			c.open = nil
		case f != nil && strings.Contains(w, "="):
			_, value, _ := strings.Cut(w, "=")
			c.global(f, value)
		case f != nil && takesValue([]cli.Flag{f}, w):
			c.open = f
		case strings.HasPrefix(w, "-"):
		case c.cmd == nil:
			c.cmd = c.app.Command(w)
			c.foreign = c.cmd == nil
		case len(c.cmd.Subcommands) > 0:
			at := slices.IndexFunc(c.cmd.Subcommands, func(sub *cli.Command) bool { return sub.HasName(w) })
			if c.foreign = at < 0; !c.foreign {
				c.cmd = c.cmd.Subcommands[at]
			}
		default:
			c.args = append(c.args, w)
			c.foreign = len(c.args) == 1 && strings.Contains(c.cmd.ArgsUsage, "COMMAND") && strings.Contains(c.cmd.ArgsUsage, "SERVICE")
		}
	}
}

// global remembers a global flag that says which project and which hosts.
func (c *completer) global(f cli.Flag, value string) {
	if c.cmd == nil || find(c.cmd.Flags, "--"+f.Names()[0]) == nil {
		c.globals = append(c.globals, "--"+f.Names()[0]+"="+value)
	}
}

// flags are those that may stand where the words end: the command's, then the global ones.
func (c *completer) flags() []cli.Flag {
	if c.cmd == nil {
		return c.app.Flags
	}
	return slices.Concat(c.cmd.Flags, c.app.Flags)
}

// find looks a flag up as it is written.
func find(flags []cli.Flag, written string) cli.Flag {
	if !strings.HasPrefix(written, "-") {
		return nil
	}
	for _, f := range flags {
		if defines([]cli.Flag{f}, written) {
			return f
		}
	}
	return nil
}

func (c *completer) flagNames() answer {
	flags := c.app.Flags
	if c.cmd != nil {
		flags = c.cmd.Flags
	}
	a := answer{then: nothing}
	for _, f := range visible(flags) {
		for _, n := range f.Names() {
			if len(n) > 1 {
				a.candidates = append(a.candidates, "--"+n+"\t"+strings.ReplaceAll(f.GetUsage(), "`", ""))
			}
		}
	}
	a.candidates = append(a.candidates, "--help\tShow the options")
	return a
}

func commandNames(commands []*cli.Command) answer {
	a := answer{then: nothing}
	for _, c := range commands {
		if !c.Hidden {
			a.candidates = append(a.candidates, c.Name+"\t"+sentence(c.Usage))
		}
	}
	return a
}

// from keeps the candidates that begin as the typed word does.
func (a answer) from(typed string) answer {
	a.candidates = slices.DeleteFunc(a.candidates, func(c string) bool { return !strings.HasPrefix(c, typed) })
	return a
}

// after puts what is typed already before the candidates.
func (a answer) after(prefix string) answer {
	for i := range a.candidates {
		a.candidates[i] = prefix + a.candidates[i]
	}
	return a
}

// globalContext is a context with the global flags among the words, for what reads project and inventory.
func (c *completer) globalContext() (*cli.Context, error) {
	set := flag.NewFlagSet("globals", flag.ContinueOnError)
	for _, f := range slices.Concat(c.s.globalFlags(), dockerFlags()) {
		if err := f.Apply(set); err != nil {
			return nil, err
		}
	}
	if err := set.Parse(c.globals); err != nil {
		return nil, err
	}
	ctx := cli.NewContext(c.app, set, nil)
	ctx.Context = c.ctx
	return ctx, c.s.obeyVariables(ctx)
}
