package loader

import (
	"os"
	"slices"
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
    build: .
    develop: {watch: [{path: ., action: rebuild}]}
    deploy:
      mode: replicated-job
      endpoint_mode: vip
      update_config: {parallelism: 1}
      rollback_config: {parallelism: 1}
      resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: ssd, value: 1}}], devices: [{capabilities: [gpu], count: 1}]}}
    gpus: all
    credential_spec: {file: x}
    use_api_socket: true
    pre_start: [{command: x}]
    post_start: [{command: x}]
    pre_stop: [{command: x}]
    umask: "022"
    models: [llm]
    labels: {berth.placement.affinity: service == cache}
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
	want := map[string]string{"jobs": "", "build": "services db, web", "provider": "service cloud"}
	for _, k := range []string{"develop", "deploy.mode", "deploy.endpoint_mode", "deploy.update_config", "deploy.rollback_config",
		"deploy.resources.reservations.generic_resources", "credential_spec", "use_api_socket", "pre_start", "umask", "models", "labels.berth.placement.affinity"} {
		want[k] = "service web"
	}
	if diff := cmp.Diff(want, warned()); diff != "" {
		t.Error("one host", diff)
	}
	want["gpus"], want["deploy.resources.reservations.devices"] = "service web", "service web"
	if diff := cmp.Diff(want, warned(cluster)); diff != "" {
		t.Error("cluster", diff)
	}
}

func TestAPlainProjectHasNoWarnings(t *testing.T) {
	if w := newWorld(t, web("ports: ['80:80']")).mustLoad().Warnings; len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
}

// honoured are the keys of a service that the loader itself, placement or the engine adapter acts on.
var honoured = strings.Fields(`
	annotations attach blkio_config cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_count
	cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset depends_on deploy deploy.labels
	deploy.mode deploy.placement deploy.replicas deploy.resources deploy.restart_policy device_cgroup_rules devices dns
	dns_opt dns_search domainname entrypoint env_file environment expose extends external_links extra_hosts group_add
	healthcheck hostname image init ipc isolation label_file labels links logging mac_address mem_limit mem_reservation
	mem_swappiness memswap_limit network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_stop
	privileged profiles pull_policy read_only restart runtime scale secrets security_opt shm_size stdin_open
	stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits user userns_mode uts volumes volumes_from
	working_dir`)

// A compose-go that knows more keys must not make berth ignore them in silence.
func TestEveryServiceKeyOfTheSchemaIsHonouredOrNamed(t *testing.T) {
	known := slices.Clone(honoured)
	for _, k := range unhonouredKeys {
		known = append(known, k.key)
	}
	for _, k := range schemaKeys([]string{"services", "web"}) {
		if !slices.Contains(known, k) {
			t.Errorf("key %s of the schema is neither honoured nor in unhonouredKeys", k)
		}
	}
	for _, k := range schemaKeys([]string{"services", "web", "deploy"}) {
		if !slices.Contains(known, "deploy."+k) {
			t.Errorf("key deploy.%s of the schema is neither honoured nor in unhonouredKeys", k)
		}
	}
}

func TestTheReadmeListsTheKeysOfTheTable(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "<!-- keys -->\n")
	table, _, _ = strings.Cut(table, "<!-- /keys -->")
	want := "| key | why |\n| --- | --- |\n"
	for _, k := range unhonouredKeys {
		where := ""
		if k.cluster {
			where = " (on a cluster)"
		}
		want += "| `" + k.key + "`" + where + " | " + k.reason + " |\n"
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("README.md, between <!-- keys --> and <!-- /keys -->: %s", diff)
	}
}
