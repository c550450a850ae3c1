package execute

import (
	"context"
	"slices"
	"strings"

	"berth/runtime/provider"
	"berth/scheduler"
)

// reexec is the variable by which docker tells its plugins that it started them: a provider that is a plugin, too, is not
// to think so.
const reexec = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND="

// provider calls the program of a service that runs outside the engines.
func (r *runner) provider(ctx context.Context, s *scheduler.Step) error {
	c := provider.Call{
		Project: r.plan.Project, Service: s.Name, Type: s.Provider.Type, Options: s.Provider.Options, Folders: provider.Folders(),
		Env:  slices.DeleteFunc(r.world.Project.Compose.Environment.Values(), func(v string) bool { return strings.HasPrefix(v, reexec) }),
		Info: func(says string) { r.report(Report{Step: s, Phase: Working, Says: says}) },
		Note: func(sentence string) { r.note(s, []string{sentence}) },
	}
	if s.Kind == scheduler.Release {
		return c.Down(ctx)
	}
	variables, err := c.Up(ctx)
	if err == nil && r.world.Provided != nil {
		r.world.Provided(s.Name, variables)
	}
	return err
}
