package engine

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
)

// adoptable is a service with many keys, each on a line of its own, so that a test can change one.
const adoptable = `
services:
  db:
    image: berth-lab/busybox:1
    command: sleep 600
  side:
    image: berth-lab/busybox:1
    command: sleep 600
    network_mode: service:db
    volumes_from: [db]
  web:
    image: berth-lab/busybox:1
    command: ["sleep", "600"]
    entrypoint: ["env"]
    environment: {COLOUR: blue}
    user: "1000"
    working_dir: /tmp
    hostname: front
    domainname: lan
    labels: {tier: front}
    tty: true
    stdin_open: true
    init: true
    privileged: false
    read_only: true
    stop_signal: SIGKILL
    stop_grace_period: 3s
    expose: ["9000"]
    ports: ["18100:80"]
    volumes: ["data:/data", "/tmp:/host:ro", "/anon"]
    tmpfs: ["/quick:size=64k"]
    networks: {default: {aliases: [www]}, back: {ipv4_address: 10.96.7.9}}
    links: ["db:database"]
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    security_opt: ["no-new-privileges:true"]
    ulimits: {nofile: 1000}
    extra_hosts: ["one:10.0.0.9"]
    dns: [10.0.0.53]
    dns_search: [lan]
    dns_opt: ["ndots:2"]
    sysctls: {net.core.somaxconn: "999"}
    shm_size: 8m
    mem_limit: 32m
    mem_reservation: 16m
    cpus: 0.5
    cpu_shares: 512
    cpuset: "0"
    pids_limit: 40
    group_add: ["7"]
    oom_score_adj: 100
    logging: {driver: json-file, options: {max-size: 1m}}
    restart: unless-stopped
    healthcheck: {test: "true", interval: 1h, retries: 4}
    devices: ["/dev/null:/dev/nothing"]
    device_cgroup_rules: ["c 1:3 mr"]
    ipc: shareable
    pid: host
    cgroup: private
    secrets: [password]
networks: {back: {ipam: {config: [{subnet: 10.96.7.0/24}]}}}
volumes: {data: {}}
secrets: {password: {file: ./password}}
`

// asCompose makes a task's container the way docker compose does where that differs from berth: no labels of berth's,
// another hash, endpoints with empty address settings, OOM killer settings spelt out, secrets bound.
func (b *bench) asCompose(s CreateSpec) string {
	b.t.Helper()
	by, err := b.surroundings(b.ctx, &s)
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := convert(&s, by)
	if err != nil {
		b.t.Fatal(err)
	}
	maps.DeleteFunc(c.Config.Labels, func(k, _ string) bool { return strings.HasPrefix(k, berthPrefix) })
	c.Config.Labels[labelConfigHash] = "of-another-version"
	off := false
	c.Host.OomKillDisable = &off
	c.Host.Tmpfs = nonNil(c.Host.Tmpfs)
	for _, n := range c.Networks {
		if n.Settings.IPAMConfig == nil {
			n.Settings.IPAMConfig = &network.EndpointIPAMConfig{}
		}
	}
	var mounts []mount.Mount
	for _, m := range c.Host.Mounts {
		if m.Target != "/run/secrets" {
			mounts = append(mounts, m)
		}
	}
	for _, f := range c.Files {
		mounts = append(mounts, mount.Mount{Type: mount.TypeBind, Source: f.Path, Target: f.Target, ReadOnly: true, BindOptions: &mount.BindOptions{}})
	}
	c.Host.Mounts = mounts
	id, _, err := b.Engine.create(b.ctx, c, s.Name, by.API)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func TestWhatComposeMadeIsAdoptedAsItIs(t *testing.T) {
	b := onEngine(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := project(t, dir, adoptable)
	b.prepare(p)
	base := b.asCompose(spec(p, "db"))
	side := spec(p, "side")
	side.ShareWith = map[string]string{"db": base}
	for _, id := range []string{base, b.asCompose(side), b.asCompose(spec(p, "web"))} {
		if err := b.Start(b.ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range b.observe(p).Containers {
		if !c.Same {
			t.Errorf("%s is not adopted", c.Name)
		}
	}
	for _, edit := range []struct{ key, from, to string }{
		{"command", `["sleep", "600"]`, `["sleep", "601"]`},
		{"entrypoint", `["env"]`, `["env", "X=1"]`},
		{"environment", "blue", "red"},
		{"environment", "{COLOUR: blue}", "{}"},
		{"user", `user: "1000"`, `user: "1001"`},
		{"working_dir", "/tmp\n", "/\n"},
		{"hostname", "hostname: front", "hostname: back"},
		{"hostname", "hostname: front\n", "annotations: {}\n"},
		{"domainname", "domainname: lan", "domainname: wan"},
		{"labels", "tier: front", "tier: back"},
		{"tty", "tty: true", "tty: false"},
		{"stdin_open", "stdin_open: true", "stdin_open: false"},
		{"init", "init: true", "init: false"},
		{"privileged", "privileged: false", "privileged: true"},
		{"read_only", "read_only: true", "read_only: false"},
		{"stop_signal", "SIGKILL", "SIGTERM"},
		{"stop_grace_period", "3s", "4s"},
		{"expose", "9000", "9001"},
		{"ports", "18100:80", "18101:80"},
		{"volumes", "/tmp:/host:ro", "/tmp:/host"},
		{"volumes", "/tmp:/host:ro", "/usr:/host:ro"},
		{"volumes", `, "/anon"`, ""},
		{"volumes", "size=64k", "size=65k"},
		{"volumes", "secrets: [password]\n", "\n"},
		{"networks", ", back: {ipv4_address: 10.96.7.9}", ""},
		{"networks.shop_default.aliases", "[www]", "[www, web2]"},
		{"networks.shop_back.ipv4_address", "10.96.7.9", "10.96.7.10"},
		{"networks.shop_back.links", "db:database", "db:base"},
		{"cap_add", "NET_ADMIN", "NET_RAW"},
		{"cap_drop", "MKNOD", "CHOWN"},
		{"security_opt", `["no-new-privileges:true"]`, "[]"},
		{"ulimits", "nofile: 1000", "nofile: 1001"},
		{"extra_hosts", "10.0.0.9", "10.0.0.8"},
		{"dns", "10.0.0.53", "10.0.0.54"},
		{"dns_search", "dns_search: [lan]", "dns_search: [wan]"},
		{"dns_opt", "ndots:2", "ndots:3"},
		{"sysctls", "999", "998"},
		{"shm_size", "8m", "9m"},
		{"mem_limit", "32m", "33m"},
		{"mem_reservation", "16m", "17m"},
		{"cpus", "cpus: 0.5", "cpus: 0.6"},
		{"cpu_shares", "512", "513"},
		{"cpuset", `cpuset: "0"`, `cpuset: "0,1"`},
		{"pids_limit", "40\n", "41\n"},
		{"group_add", `["7"]`, `["8"]`},
		{"oom_score_adj", "100\n", "101\n"},
		{"logging", "1m}", "2m}"},
		{"restart", "unless-stopped", "always"},
		{"healthcheck", "retries: 4", "retries: 5"},
		{"devices", "/dev/nothing", "/dev/other"},
		{"device_cgroup_rules", "c 1:3 mr", "c 1:3 r"},
		{"ipc", "ipc: shareable", "ipc: private"},
		{"pid", "    pid: host\n", ""},
		{"uts", "    pid: host\n", "    pid: host\n    uts: host\n"},
		{"cgroup", "cgroup: private", "cgroup: host"},
	} {
		if got := b.differenceTo("web", strings.Replace(adoptable, edit.from, edit.to, 1), dir); got != edit.key {
			t.Errorf("%q changed to %q: difference in %q, want %q", edit.from, edit.to, got, edit.key)
		}
	}
}

// differenceTo compares the running container of a service with what another file wants of it.
func (b *bench) differenceTo(service, text, dir string) string {
	b.t.Helper()
	p := project(b.t, dir, text)
	s := spec(p, service)
	by, err := b.surroundings(b.ctx, &s)
	if err != nil {
		b.t.Fatal(err)
	}
	want, err := convert(&s, by)
	if err != nil {
		b.t.Fatal(err)
	}
	have, err := b.raw.ContainerInspect(b.ctx, s.Name)
	if err != nil {
		b.t.Fatal(err)
	}
	img, err := b.raw.ImageInspect(b.ctx, have.Image)
	if err != nil {
		b.t.Fatal(err)
	}
	return difference(want, have, img.Config)
}
