// Package provider calls the programs that provide services without containers (`provider:` in a compose file), by the
// protocol of docker compose v2.40 (docker/compose, docs/extension.md): the program is run as
//
//	PROGRAM compose --project-name=NAME up|down|stop --OPTION=VALUE… SERVICE
//
// and writes JSON messages on its standard output. The options that it knows it may say itself, when it is run as
// `PROGRAM compose metadata`.
package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"berth/placement"
)

// Call is one call of a provider.
type Call struct {
	Project string // compose project name
	Service string // that is provided
	Type    string // program: docker-<Type> in Folders, else <Type> in PATH
	Options map[string][]string
	Env     []string // of the program, KEY=VALUE
	Folders []string // of docker's plugins, in the order in which they are searched
	// Info hears what the program is at, Note what the user is to know about the call; nil is nobody.
	Info, Note func(sentence string)
	// Grace is how long a program that is to end has for it, before it is killed; 0 is 10 s.
	Grace time.Duration
}

const grace = 10 * time.Second

// reexec is the variable by which docker tells its plugins that it started them: a provider that is a plugin, too, is not
// to think so.
const reexec = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND="

// Of is a call of one of a project's providers, with the project's environment.
func Of(p *placement.Project, s *placement.Provider) *Call {
	env := slices.DeleteFunc(p.Compose.Environment.Values(), func(v string) bool { return strings.HasPrefix(v, reexec) })
	return &Call{Project: p.Name, Service: s.Name, Type: s.Type, Options: s.Options, Env: env, Folders: Folders()}
}

// Up lets the program provide the service, or see that it does already. The variables are those that services depending
// on it get, under the names that these see. When ctx ends, so does the program, with all that it has started.
//
// Errors are a sentence about the program and the service; they have no value of a variable in them.
func (c *Call) Up(ctx context.Context) (variables map[string]string, err error) {
	return c.call(ctx, "up")
}

// Down lets it take down what it provides.
func (c *Call) Down(ctx context.Context) error {
	_, err := c.call(ctx, "down")
	return err
}

// Stop lets it stop what it provides, which stays there; see Stops.
func (c *Call) Stop(ctx context.Context) error {
	_, err := c.call(ctx, "stop")
	return err
}

// Stops reports whether the program says that Stop is among what it can do. One that is not there says nothing.
func (c *Call) Stops(ctx context.Context) bool {
	path, err := c.find()
	if err != nil {
		return false
	}
	m := c.metadata(ctx, path)
	return m != nil && m.Stop != nil
}

func (c *Call) call(ctx context.Context, action string) (map[string]string, error) {
	failed := func(err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("service %s: provider %s: %s: %w", c.Service, c.Type, action, err)
	}
	path, err := c.find()
	if err != nil {
		return nil, failed(err)
	}
	options, err := c.options(c.metadata(ctx, path), action)
	if err != nil {
		return nil, failed(err)
	}
	args := append([]string{"compose", "--project-name=" + c.Project, action}, options...)
	r := reader{call: c, variables: map[string]string{}}
	if err := c.run(ctx, path, append(args, c.Service), r.read); err != nil {
		return nil, failed(err)
	}
	return r.variables, nil
}

// find gives the program's path.
func (c *Call) find() (string, error) {
	if c.Type == "compose" {
		return "", errors.New("compose is this program itself; name another in provider.type")
	}
	if c.Type == "" || strings.ContainsAny(c.Type, `/\`) {
		return "", fmt.Errorf("%q is no name of a program; name one in provider.type", c.Type)
	}
	for _, folder := range c.Folders {
		if path, err := exec.LookPath(filepath.Join(folder, "docker-"+c.Type)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(c.Type)
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("there is neither a docker plugin docker-%s nor a program %s in PATH on this machine; install it", c.Type, c.Type)
	}
	return path, err
}

// options are the flags of an action, by name: those that the program says it knows, or all when it says nothing.
func (c *Call) options(m *metadata, action string) ([]string, error) {
	known := m.of(action)
	for _, p := range known {
		if _, given := c.Options[p.Name]; p.Required && !given {
			return nil, fmt.Errorf("it requires the option %s; give it in provider.options", p.Name)
		}
	}
	var flags, unknown []string
	for _, name := range slices.Sorted(maps.Keys(c.Options)) {
		switch {
		case m == nil || has(known, name):
			for _, value := range c.Options[name] {
				flags = append(flags, "--"+name+"="+value)
			}
		case !m.knows(name):
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 && c.Note != nil {
		c.Note(fmt.Sprintf("provider %s does not know the option %s; it is left out", c.Type, strings.Join(unknown, ", ")))
	}
	return flags, nil
}
