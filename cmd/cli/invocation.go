package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"berth/cmd/progress"
)

// invocation is how berth was called. Named docker-NAME and lying in docker's folder of plugins it is `docker NAME`; as
// docker-compose, or as docker's plugin compose, it stands in for docker compose.
type invocation struct {
	name    string // what the user types before a command: "berth", "docker berth", "docker-compose", "docker compose"
	program string // file name of the program
	compose bool   // under docker compose's name
	json    bool   // errors are objects, for programs that read the progress as such
}

// What the docker command line and its plugins have agreed on (docker/cli, cli-plugins).
const (
	pluginPrefix   = "docker-"
	pluginMetadata = "docker-cli-plugin-metadata"             // the command that docker asks every plugin
	pluginCaller   = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND" // docker's own name, set for plugins only
	completeWord   = "__complete"                             // what shells are completed by, cobra's protocol
)

// invoked reads program name and environment. It returns the arguments that are left when what docker put in is taken
// out: docker runs its plugins with all that it was given itself, its own flags and the plugin's word included.
func invoked(args []string, env Env, globals []cli.Flag) (invocation, []string) {
	program := strings.TrimSuffix(filepath.Base(cmp.Or(args[0], "berth")), ".exe")
	call := invocation{name: program, program: program, compose: program == pluginPrefix+"compose"}
	word, named := strings.CutPrefix(program, pluginPrefix)
	if !named || env.Getenv(pluginCaller) == "" {
		return call, args
	}
	at := pluginWord(args, globals)
	if at < 0 || args[at] != word {
		return call, args // called by a program that docker called, and not by docker itself
	}
	call.name = "docker " + word
	return call, slices.Delete(slices.Clone(args), at, at+1)
}

// pluginWord finds the plugin's word: the first after docker's flags, and after help or a request for completion.
func pluginWord(args []string, globals []cli.Flag) int {
	for i := 1; i < len(args); i++ {
		switch a := args[i]; {
		case a == "help", a == completeWord, a == completeWord+"NoDesc":
		case strings.HasPrefix(a, "-"):
			if takesValue(globals, a) {
				i++
			}
		default:
			return i
		}
	}
	return -1
}

// say puts the name that the user calls berth by into a sentence: where it quotes a command, and nowhere else.
func (c invocation) say(text string) string {
	if c.name == "berth" || c.name == "" {
		return text
	}
	return strings.ReplaceAll(text, `"berth `, `"`+c.name+" ")
}

// complain prints an error under the name that the user calls berth by.
func (c invocation) complain(w io.Writer, err error) {
	if text := c.say(err.Error()); !c.json {
		fmt.Fprintf(w, "%s: %s\n", c.name, text)
	} else if object, err := json.Marshal(struct { // docker compose's
		Error   bool   `json:"error"`
		Message string `json:"message"`
	}{true, text}); err == nil {
		fmt.Fprintf(w, "%s\n", object)
	}
}

// spoken is a display that warns under the name that the user calls berth by.
type spoken struct {
	call invocation
	progress.Display
}

func (d spoken) Warn(sentence string) { d.Display.Warn(d.call.say(sentence)) }
