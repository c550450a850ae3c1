package loader

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEachKeyNotHonouredIsNamedOnce(t *testing.T) {
	const text = `
-- compose.yaml --
services:
  web:
    image: app
    develop: {watch: [{path: ., action: rebuild}]}
    deploy:
      mode: replicated-job
      endpoint_mode: vip
      update_config: {parallelism: 1}
      rollback_config: {parallelism: 1}
      restart_policy: {condition: any, delay: 5s, window: 60s}
      resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: ssd, value: 1}}], devices: [{capabilities: [gpu], count: 1}]}}
    build: {context: ., cache_to: [x], no_cache_filter: [x], provenance: "true", sbom: "true"}
    gpus: all
    credential_spec: {file: x}
    use_api_socket: true
    pre_start: [{command: x}]
    post_start: [{command: x}]
    pre_stop: [{command: x}]
    umask: "022"
    models: [llm]
  db: {image: db, build: ., deploy: {endpoint_mode: dnsrr}}
  cloud: {provider: {type: x}}
models: {llm: {model: x}}
jobs: {nightly: {image: x, triggers: {manual: true}}}
`
	warned := func(options ...func(*world)) map[string]string {
		found := map[string]string{}
		for _, w := range newWorld(t, text, options...).mustLoad().Warnings {
			if users, rest, ok := strings.Cut(w, `key "`); ok {
				key, _, _ := strings.Cut(rest, `"`)
				if _, twice := found[key]; twice {
					t.Errorf("key %s is named twice", key)
				}
				found[key] = strings.TrimSuffix(users, ": ")
			}
		}
		return found
	}
	want := map[string]string{"jobs": ""}
	for _, k := range []string{"build.cache_to", "build.no_cache_filter", "build.provenance", "build.sbom", "deploy.endpoint_mode", "deploy.update_config", "deploy.rollback_config",
		"deploy.restart_policy.delay", "deploy.restart_policy.window",
		"credential_spec", "pre_start", "umask", "models"} {
		want[k] = "service web"
	}
	if diff := cmp.Diff(want, warned()); diff != "" {
		t.Error("one host", diff)
	}
	if diff := cmp.Diff(want, warned(cluster)); diff != "" {
		t.Error("cluster", diff)
	}
}

func TestAPlainProjectHasNoWarnings(t *testing.T) {
	if w := newWorld(t, web("ports: ['80:80']")).mustLoad().Warnings; len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
}
