package loader

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// unhonoured is a compose key that berth reads but does not act on. The warnings are made from the list below; README.md
// lists these keys, and all others, with the same reasons (a test compares them).
type unhonoured struct {
	key     string // below services.<name>, unless it starts at the top: "jobs"
	reason  string
	cluster bool // on a cluster only
	in      func(*types.ServiceConfig) bool
	project func(*types.Project) bool // for keys at the top
}

func deployed(f func(*types.DeployConfig) bool) func(*types.ServiceConfig) bool {
	return func(s *types.ServiceConfig) bool { return s.Deploy != nil && f(s.Deploy) }
}

func built(f func(*types.BuildConfig) bool) func(*types.ServiceConfig) bool {
	return func(s *types.ServiceConfig) bool { return s.Build != nil && f(s.Build) }
}

var unhonouredKeys = []unhonoured{
	{key: "build.cache_to", reason: "the engine's own builder writes its own cache only",
		in: built(func(b *types.BuildConfig) bool { return len(b.CacheTo) > 0 })},
	{key: "build.no_cache_filter", reason: "the engine's own builder builds all stages without its cache or none; write no_cache",
		in: built(func(b *types.BuildConfig) bool { return len(b.NoCacheFilter) > 0 })},
	{key: "build.provenance", reason: "the engine's own builder attests nothing",
		in: built(func(b *types.BuildConfig) bool { return b.Provenance != "" && b.Provenance != "false" })},
	{key: "build.sbom", reason: "the engine's own builder lists nothing",
		in: built(func(b *types.BuildConfig) bool { return b.SBOM != "" && b.SBOM != "false" })},
	{key: "deploy.update_config", reason: "a changed service is replaced task by task without its delays, order and rollback",
		in: deployed(func(d *types.DeployConfig) bool { return d.UpdateConfig != nil })},
	{key: "deploy.rollback_config", reason: "there is no rollback",
		in: deployed(func(d *types.DeployConfig) bool { return d.RollbackConfig != nil })},
	{key: "deploy.endpoint_mode", reason: "vip is answered like dnsrr, with the addresses of the tasks",
		in: deployed(func(d *types.DeployConfig) bool { return d.EndpointMode != "" && d.EndpointMode != "dnsrr" })},
	{key: "deploy.restart_policy.delay", reason: "the engine decides how long it waits between two starts",
		in: restarting(func(r *types.RestartPolicy) bool { return r.Delay != nil && *r.Delay > 0 })},
	{key: "deploy.restart_policy.window", reason: "the engine counts attempts in a row, over any time",
		in: restarting(func(r *types.RestartPolicy) bool { return r.Window != nil && *r.Window > 0 })},
	{key: "credential_spec", reason: "it is for Windows containers",
		in: func(s *types.ServiceConfig) bool { return s.CredentialSpec != nil }},
	{key: "models", reason: "no model runner is called",
		in: func(s *types.ServiceConfig) bool { return len(s.Models) > 0 }},
	{key: "pre_start", reason: "its hooks are not run",
		in: func(s *types.ServiceConfig) bool { return len(s.PreStart) > 0 }},
	{key: "umask", reason: "engines have no setting for it",
		in: func(s *types.ServiceConfig) bool { return s.Umask != nil }},
	{key: "jobs", reason: "jobs are not run",
		project: func(p *types.Project) bool { return len(p.Jobs) > 0 }},
}

func restarting(f func(*types.RestartPolicy) bool) func(*types.ServiceConfig) bool {
	return deployed(func(d *types.DeployConfig) bool { return d.RestartPolicy != nil && f(d.RestartPolicy) })
}

// keyWarnings says one sentence for each key that the project uses and berth does not honour.
func keyWarnings(p *types.Project, cluster bool) []string {
	var warnings []string
	for _, k := range unhonouredKeys {
		if k.cluster && !cluster {
			continue
		}
		if k.project != nil {
			if k.project(p) {
				warnings = append(warnings, fmt.Sprintf("key %q is not honoured by berth yet: %s", k.key, k.reason))
			}
			continue
		}
		var users []string
		for name, s := range p.Services {
			if k.in(&s) {
				users = append(users, name)
			}
		}
		if len(users) == 0 {
			continue
		}
		slices.Sort(users)
		noun := "service"
		if len(users) > 1 {
			noun = "services"
		}
		warnings = append(warnings, fmt.Sprintf("%s %s: key %q is not honoured by berth yet: %s",
			noun, strings.Join(users, ", "), k.key, k.reason))
	}
	return warnings
}
