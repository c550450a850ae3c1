package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"berth/loader"
	"berth/placement"
	"berth/runtime/cluster"
	"berth/runtime/engine"
)

// choices are the values of flags that have few, by flag or by "command flag".
var choices = map[string]string{
	"progress": "auto tty plain json quiet", "ansi": "auto always never", "format": "table json", "config format": "yaml json",
	"version format": "pretty json", "status": "created running paused restarting removing exited dead",
	"ps filter": "status=", "ls filter": "name=", "protocol": "tcp udp", "rmi": "local all", "pull": "always missing never build",
	"signal": "SIGHUP SIGINT SIGQUIT SIGKILL SIGUSR1 SIGUSR2 SIGTERM", "tail": "all",
}

// value is what a flag may be set to.
func (c *completer) value(f cli.Flag, typed string) answer {
	names := f.Names()
	is := func(wanted ...string) bool { return slices.Contains(wanted, names[0]) }
	command := ""
	if c.cmd != nil {
		command = c.cmd.Name + " "
	}
	own := c.cmd != nil && find(c.cmd.Flags, "--"+names[0]) != nil
	list := choices[command+names[0]]
	if list == "" {
		list = choices[names[0]]
	}
	switch {
	case list != "":
		a := answer{candidates: strings.Fields(list), then: nothing}
		if strings.HasSuffix(list, "=") {
			a.then |= noSpace
		}
		return a
	case is("file", "inventory", "env-file", "output", "tlscacert", "tlscert", "tlskey"):
		return answer{then: files}
	case is("project-directory", "config"):
		return answer{then: nothing | folders}
	case is("project-name"):
		return answer{candidates: c.projects(), then: nothing}
	case is("profile"):
		return answer{candidates: c.profiles(), then: nothing}
	case is("scale") && !strings.Contains(typed, "="):
		return answer{candidates: suffixed(c.services(), "="), then: nothing | noSpace}
	case is("attach", "no-attach", "exit-code-from", "hash"):
		return answer{candidates: c.services(), then: nothing}
	case is("host") && own:
		return answer{candidates: c.hosts(), then: nothing}
	}
	return answer{then: nothing}
}

// argument is what the command's next word may be, by what its usage says: "[SERVICE…]", "SERVICE PORT", "a|b".
func (c *completer) argument() answer {
	words := strings.Fields(strings.NewReplacer("[.N]", "", "[", " ", "]", " ").Replace(c.cmd.ArgsUsage))
	if len(words) == 0 {
		return answer{then: nothing}
	}
	at := len(c.args)
	if last := words[len(words)-1]; at >= len(words) && (strings.HasSuffix(last, "…") || strings.HasSuffix(last, "...")) {
		at = len(words) - 1
	}
	if at >= len(words) {
		return answer{then: nothing}
	}
	switch word := words[at]; {
	case strings.HasPrefix(word, "SERVICE="):
		return answer{candidates: suffixed(c.services(), "="), then: nothing | noSpace}
	case strings.Contains(word, "SERVICE:"):
		return answer{candidates: suffixed(c.services(), ":"), then: files | noSpace}
	case strings.HasPrefix(word, "SERVICE"):
		rest := slices.DeleteFunc(c.services(), func(name string) bool { return slices.Contains(c.args, name) })
		return answer{candidates: rest, then: nothing}
	case strings.HasPrefix(word, "HOST"):
		return answer{candidates: c.hosts(), then: nothing}
	case word == "COMMAND":
		return commandNames(c.app.Commands)
	case strings.Contains(word, "|"):
		return answer{candidates: strings.Split(word, "|"), then: nothing}
	case strings.Contains(word, "PATH"), strings.Contains(word, "FILE"):
		return answer{then: files}
	}
	return answer{then: nothing}
}

func suffixed(words []string, suffix string) []string {
	for i := range words {
		words[i] += suffix
	}
	return words
}

// project is the compose file's, with every profile; nil when it cannot be read: completion is no place to complain.
func (c *completer) project() *placement.Project {
	ctx, err := c.globalContext()
	if err != nil {
		return nil
	}
	opts := c.s.loadOptions(ctx, nil)
	opts.Profiles = []string{"*"}
	p, err := loader.Load(c.ctx, opts)
	if err != nil {
		return nil
	}
	return p
}

func (c *completer) services() []string {
	p := c.project()
	if p == nil {
		return nil
	}
	names := slices.Concat(serviceNames(p), p.Disabled)
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *completer) profiles() []string {
	p := c.project()
	if p == nil {
		return nil
	}
	return loader.Profiles(p)
}

func (c *completer) inventory() *placement.Inventory {
	ctx, err := c.globalContext()
	if err != nil {
		return nil
	}
	inv, err := c.s.inventory(ctx, c.s.loadOptions(ctx, nil))
	if err != nil {
		return nil
	}
	return inv
}

func (c *completer) hosts() []string {
	inv := c.inventory()
	if inv == nil || inv.Path == "" {
		return nil
	}
	var names []string
	for _, h := range inv.Hosts {
		names = append(names, h.Name)
	}
	return names
}

// answerTime is how long hosts may take to name their projects: whoever types does not wait longer.
const answerTime = time.Second

func (c *completer) projects() []string {
	inv := c.inventory()
	if inv == nil {
		return nil
	}
	cl, err := cluster.Connect(inv, cluster.Options{Timeout: answerTime})
	if err != nil {
		return nil
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(c.ctx, answerTime)
	defer cancel()
	snaps, err := cl.Snapshots(ctx, engine.Query{Light: true}, nil)
	if err != nil {
		return nil
	}
	found := map[string]bool{}
	for _, s := range snaps {
		for _, ct := range s.Containers {
			found[ct.Labels[engine.ProjectLabel]] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
