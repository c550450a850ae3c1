package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// wrappers are the commands whose words end with a command for a container: what follows the service is that
// command's own, flags and all ("exec web ls -la").
var wrappers = []string{"exec", "run"}

// arrange moves a command's flags before its positional arguments, which is where the flag library wants them and
// where docker compose users write them ("up web -d"). What follows "--" stays as it is.
func arrange(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	out := []string{args[0]}
	rest := args[1:]
	// The global flags, up to the command's name.
	for len(rest) > 0 && strings.HasPrefix(rest[0], "-") && rest[0] != "--" {
		out, rest = take(app.Flags, out, rest)
	}
	if len(rest) == 0 {
		return out
	}
	// The command's name, and that of the one below it ("store backup").
	cmd := app.Command(rest[0])
	globals, names, rest := out, rest[:1:1], rest[1:]
	for cmd != nil && len(cmd.Subcommands) > 0 {
		for len(rest) > 0 && strings.HasPrefix(rest[0], "-") && defines(app.Flags, rest[0]) {
			globals, rest = take(app.Flags, globals, rest)
		}
		at := -1
		if len(rest) > 0 {
			at = slices.IndexFunc(cmd.Subcommands, func(sub *cli.Command) bool { return sub.HasName(rest[0]) })
		}
		if at < 0 {
			cmd = nil
			break
		}
		cmd = cmd.Subcommands[at]
		names, rest = append(names, rest[0]), rest[1:]
	}
	if cmd == nil || cmd.SkipFlagParsing {
		return slices.Concat(globals, names, rest)
	}
	var flags, words []string
	wraps := slices.Contains(wrappers, names[0])
	for len(rest) > 0 {
		a := rest[0]
		switch {
		case a == "--":
			words, rest = append(words, rest[1:]...), nil
			continue
		case len(a) < 2 || a[0] != '-':
			if wraps {
				words, rest = append(words, rest...), nil
				continue
			}
			words, rest = append(words, a), rest[1:]
			continue
		}
		if !defines(cmd.Flags, a) && defines(app.Flags, a) && !defines([]cli.Flag{cli.HelpFlag}, a) {
			globals, rest = take(app.Flags, globals, rest)
			continue
		}
		flags, rest = take(cmd.Flags, flags, rest)
	}
	out = slices.Concat(globals, names, flags)
	if len(words) > 0 && (wraps || strings.HasPrefix(words[0], "-")) {
		out = append(out, "--")
	}
	return append(out, words...)
}

// take moves the flag that rest begins with to the end of list, with its value.
func take(flags []cli.Flag, list, rest []string) (longer, shorter []string) {
	spelt := spell(flags, rest[0])
	for i, written := range spelt {
		spelt[i] = asBefore(flags, list, written)
	}
	list, rest = append(list, spelt...), rest[1:]
	if takesValue(flags, spelt[len(spelt)-1]) && len(rest) > 0 {
		list, rest = append(list, rest[0]), rest[1:]
	}
	return list, rest
}

// defines reports whether the flag as written, --name or --name=value, is one of flags.
func defines(flags []cli.Flag, written string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(written, "-"), "=")
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return true
		}
	}
	return false
}

// asBefore writes a flag by the name that it has in list already: the flag library takes a flag under one of its names
// only, and users mix them (-e A=B --env C=D).
func asBefore(flags []cli.Flag, list []string, written string) string {
	name, value, joined := strings.Cut(strings.TrimLeft(written, "-"), "=")
	i := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return written
	}
	for _, before := range list {
		form, _, _ := strings.Cut(before, "=")
		if !strings.HasPrefix(form, "-") || !defines(flags[i:i+1], form) {
			continue
		}
		if joined {
			return form + "=" + value
		}
		return form
	}
	return written
}

// spell writes joined short flags one by one, the way the flag library knows them: -it is -i -t, -t5 is -t=5, -itu is
// -i -t -u. What is none of these stays as it is.
func spell(flags []cli.Flag, written string) []string {
	if strings.HasPrefix(written, "--") || len(written) < 3 || defines(flags, written) {
		return []string{written}
	}
	var out []string
	for i, c := range written[1:] {
		one := "-" + string(c)
		if !defines(flags, one) {
			return []string{written}
		}
		if after := written[i+1+len(string(c)):]; takesValue(flags, one) && after != "" {
			return append(out, one+"="+strings.TrimPrefix(after, "="))
		}
		out = append(out, one)
	}
	return out
}

// takesValue reports whether the flag as written (-f, --file) consumes the next argument.
func takesValue(flags []cli.Flag, written string) bool {
	name := strings.TrimLeft(written, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			_, boolean := f.(*cli.BoolFlag)
			return !boolean
		}
	}
	return false
}
