package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/placement"
)

func TestCreatedContainerIsWhatTheServiceSays(t *testing.T) {
	b := onEngine(t)
	dir := t.TempDir()
	p := project(t, dir, `
services:
  web:
    image: berth-lab/busybox:1
    command: sleep 600
    environment: {COLOUR: blue, EMPTY: ""}
    hostname: front
    user: "1000:1000"
    working_dir: /tmp
    stop_signal: SIGKILL
    stop_grace_period: 1500ms
    labels: {tier: front}
    expose: ["9000", "9001-9002/udp"]
    ports: ["127.0.0.1:18080:80", "18081:81/udp"]
    volumes:
      - data:/data
      - ./made/by/engine:/host
      - /anon
      - type: tmpfs
        target: /scratch
        tmpfs: {size: 1m}
    tmpfs: ["/quick:size=64k"]
    networks:
      front: {aliases: [www], priority: 10}
      back: {ipv4_address: 10.99.7.9}
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    read_only: true
    init: true
    ulimits: {nofile: {soft: 100, hard: 200}, nproc: 50}
    extra_hosts: ["db:10.0.0.9", "me:host-gateway"]
    dns: [10.0.0.53]
    dns_search: [lan]
    sysctls: {net.core.somaxconn: 999}
    shm_size: 8m
    mem_limit: 32m
    cpus: 0.5
    pids_limit: 40
    security_opt: [no-new-privileges]
    group_add: ["7"]
    oom_score_adj: 100
    logging: {driver: json-file, options: {max-size: 1m}}
    restart: on-failure:3
    healthcheck: {test: "true", interval: 1h, retries: 4}
    devices: ["/dev/null:/dev/nothing"]
    deploy: {resources: {reservations: {cpus: "0.25", memory: 16m}}}
networks:
  front: {}
  back: {ipam: {config: [{subnet: 10.99.7.0/24}]}}
volumes:
  data: {labels: {keep: "yes"}}
`)
	id := b.up(p)["web"]
	got, err := b.raw.ContainerInspect(b.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	img, err := b.raw.ImageInspect(b.ctx, got.Image)
	if err != nil {
		t.Fatal(err)
	}
	s := spec(p, "web")
	by, err := b.surroundings(b.ctx, &s)
	if err != nil {
		t.Fatal(err)
	}
	want, err := convert(&s, by)
	if err != nil {
		t.Fatal(err)
	}
	if key := difference(want, got, img.Config); key != "" {
		t.Errorf("the container made from a service differs from the service in %s", key)
	}
	for script, answer := range map[string]string{
		"echo $COLOUR-$EMPTY-": "blue--", "hostname": "front", "id -u": "1000", "pwd": "/tmp",
		"cat /proc/sys/net/core/somaxconn": "999", "ulimit -Hn": "200", "touch /denied 2>/dev/null || echo ro": "ro",
		"grep -c host/made /proc/self/mountinfo || true": "0", "df /scratch | tail -1 | awk '{print $2}'": "1024",
		"test -c /dev/nothing && echo yes": "yes", "grep 10.0.0.9 /etc/hosts | awk '{print $2}'": "db",
	} {
		if got := b.sh(id, script); got != answer {
			t.Errorf("%s: %q, want %q", script, got, answer)
		}
	}
	if got := got.HostConfig.CPUShares; got != 256 {
		t.Errorf("0.25 reserved CPUs give weight %d, want 256", got)
	}
	if got := got.HostConfig.MemoryReservation; got != 16<<20 {
		t.Errorf("reserved memory is enforced as %d", got)
	}
	if ip := got.NetworkSettings.Networks["shop_back"].IPAddress; ip != "10.99.7.9" {
		t.Errorf("ipv4_address gave %s", ip)
	}
	for k, v := range map[string]string{
		labelProject: "shop", labelService: "web", labelNumber: "1", labelOneOff: "False", labelConfigHash: "hash-of-web",
		labelImage: got.Image, labelWorkingDir: dir, labelConfigFiles: filepath.Join(dir, "compose.yml"), labelTask: "web.1",
		labelCPUs: "250", labelMemory: "16777216", "tier": "front",
	} {
		if got.Config.Labels[k] != v {
			t.Errorf("label %s is %q, want %q", k, got.Config.Labels[k], v)
		}
	}
}

func TestOtherContainersFindAServiceByItsNamesAndLinks(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  db:
    image: berth-lab/busybox:1
    command: sleep 600
    networks: {default: {aliases: [store]}}
  web:
    image: berth-lab/busybox:1
    command: sleep 600
    links: ["db:database"]
    external_links: ["shop-db-1:outside"]
`)
	id := b.up(p)["web"]
	for _, name := range []string{"db", "store", "database", "outside", "shop-db-1"} {
		b.sh(id, "ping -c1 -W2 "+name)
	}
}

func TestServicesShareNamespacesAndVolumesOfTheContainersThePlanNames(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  base:
    image: berth-lab/busybox:1
    command: sleep 600
    ipc: shareable
    volumes: ["/shared"]
  side:
    image: berth-lab/busybox:1
    command: sleep 600
    network_mode: service:base
    pid: service:base
    ipc: service:base
    volumes_from: ["base:ro"]
`)
	b.prepare(p)
	base := b.create(spec(p, "base"))
	if err := b.Start(b.ctx, base); err != nil {
		t.Fatal(err)
	}
	s := spec(p, "side")
	s.ShareWith = map[string]string{"base": "shop-base-1"}
	side := b.create(s)
	if err := b.Start(b.ctx, side); err != nil {
		t.Fatal(err)
	}
	if got, err := b.raw.ContainerInspect(b.ctx, side); err != nil || string(got.HostConfig.NetworkMode) != "container:"+base ||
		string(got.HostConfig.PidMode) != "container:"+base || got.HostConfig.VolumesFrom[0] != base+":ro" {
		t.Errorf("a name that may change is kept: %+v, %v", got.HostConfig, err)
	}
	if a, c := b.sh(base, "hostname -i"), b.sh(side, "hostname -i"); a != c {
		t.Errorf("addresses %s and %s differ", a, c)
	}
	b.sh(base, "echo x > /shared/f")
	if got := b.sh(side, "cat /shared/f; touch /shared/g 2>/dev/null || echo ro"); got != "x\nro" {
		t.Errorf("shared volume: %q", got)
	}
	s.ShareWith = nil
	if _, _, err := b.Create(b.ctx, s); err == nil || !strings.Contains(err.Error(), "no container of service base") {
		t.Errorf("without its base: %v", err)
	}
}

func TestSecretsAndConfigsAreCopiedIn(t *testing.T) {
	for _, c := range []struct{ name, extra string }{
		{"plain", ""},
		{"read-only root", "    read_only: true\n"},
		{"tmpfs over /run", "    tmpfs: [/run]\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := onEngine(t)
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "password"), []byte("s3cret"), 0o600); err != nil {
				t.Fatal(err)
			}
			p := project(t, dir, `
services:
  app:
    image: berth-lab/busybox:1
    command: sleep 600
    user: "1000"
`+c.extra+`
    secrets:
      - password
      - {source: token, target: api-token, uid: "1000", gid: "5", mode: 0400}
    configs:
      - {source: settings, target: /opt/app/settings.conf}
secrets:
  password: {file: ./password}
  token: {environment: TOKEN}
configs:
  settings: {content: "colour=blue"}
`)
			b.prepare(p)
			asCluster := spec(p, "app")
			asCluster.Cluster = true // on one host files are bound
			id := b.create(asCluster)
			if err := b.Start(b.ctx, id); err != nil {
				t.Fatal(err)
			}
			for script, want := range map[string]string{
				"cat /run/secrets/password":                     "s3cret",
				"cat /run/secrets/api-token":                    "from-env",
				"cat /opt/app/settings.conf":                    "colour=blue",
				"stat -c '%a %u %g' /run/secrets/password":      "444 0 0",
				"stat -c '%a %u %g' /run/secrets/api-token":     "400 1000 5",
				"stat -c '%a %u %g' /opt/app/settings.conf":     "444 0 0",
				"grep -c password /proc/self/mountinfo || true": "0",
			} {
				if got := b.sh(id, script); got != want {
					t.Errorf("%s: %q, want %q", script, got, want)
				}
			}
		})
	}
}

func TestOnOneHostFilesOfSecretsAndConfigsAreBoundSoThatAnEditShows(t *testing.T) {
	b := onEngine(t)
	dir := t.TempDir()
	write := func(content string) {
		if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	id := b.up(project(t, dir, `
services:
  app:
    image: berth-lab/busybox:1
    command: sleep 600
    read_only: true
    configs: [conf]
    secrets: [{source: conf, mode: 0400, uid: "7", target: /run/mine}]
configs: {conf: {file: ./conf}}
secrets: {conf: {file: ./conf}}
`))["app"]
	write("two")
	if got := b.sh(id, "cat /conf; cat /run/mine; stat -c ' %a %u' /run/mine"); got != "twoone 400 7" {
		t.Errorf("%q; want the edit in what is bound, and mode and owner in what is copied", got)
	}
}

func TestOverlayEndpointGetsItsAddressAndNoServiceAlias(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  web:
    image: berth-lab/busybox:1
    command: sleep 600
    dns: [10.0.0.53]
    networks: {front: {priority: 1}, back: {}}
networks:
  front: {ipam: {config: [{subnet: 10.98.1.0/24}]}}
  back: {ipam: {config: [{subnet: 10.98.2.0/24}]}}
`)
	b.prepare(p)
	s := spec(p, "web")
	s.Cluster, s.Resolvers = true, append(s.Resolvers, ip("10.98.1.2"))
	for net, a := range map[string]string{"shop_front": "10.98.1.77", "shop_back": "10.98.2.78"} {
		s.Endpoints = append(s.Endpoints, placement.Endpoint{Network: net, IP: ip(a), MAC: placement.MACFor(ip(a))})
	}
	id := b.create(s)
	if err := b.Start(b.ctx, id); err != nil {
		t.Fatal(err)
	}
	got, err := b.raw.ContainerInspect(b.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range s.Endpoints {
		n := got.NetworkSettings.Networks[e.Network]
		if n.IPAddress != e.IP.String() || n.MacAddress != e.MAC {
			t.Errorf("%s: address %s %s, want %s %s", e.Network, n.IPAddress, n.MacAddress, e.IP, e.MAC)
		}
		for _, a := range n.Aliases {
			if a == "web" || a == "shop-web-1" {
				t.Errorf("%s: alias %s would be answered by this engine alone", e.Network, a)
			}
		}
	}
	if got := strings.Join(got.HostConfig.DNS, " "); got != "10.98.1.2 10.0.0.53" {
		t.Errorf("name servers %q", got)
	}
}

func TestFailedCreationLeavesNoContainer(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  web:
    image: berth-lab/busybox:1
    networks: {front: {priority: 1}, back: {ipv4_address: 10.97.1.2}}
networks: {front: {}, back: {}}
`)
	b.prepare(p)
	_, _, err := b.Create(b.ctx, spec(p, "web"))
	if err == nil || !strings.Contains(err.Error(), "join container shop-web-1 to network shop_back") {
		t.Errorf("error: %v", err)
	}
	if _, err := b.raw.ContainerInspect(b.ctx, "shop-web-1"); !IsNotFound(err) {
		t.Errorf("the container is still there: %v", err)
	}
}

func TestSuccessorTakesOverAnonymousVolumesAndItsNames(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  db:
    image: berth-lab/busybox:1
    command: sleep 600
    volumes: [/data]
`)
	old := b.up(p)["db"]
	b.sh(old, "echo kept > /data/f")
	snap := b.observe(p)
	s := spec(p, "db")
	s.Name, s.Replaces = "abc123_shop-db-1", "shop-db-1"
	s.Inherit = snap.Containers[0].Mounts
	id := b.create(s)
	if err := b.Remove(b.ctx, old, false); err != nil {
		t.Fatal(err)
	}
	if err := b.Rename(b.ctx, id, "shop-db-1"); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(b.ctx, id); err != nil {
		t.Fatal(err)
	}
	if got := b.sh(id, "cat /data/f"); got != "kept" {
		t.Errorf("volume holds %q", got)
	}
	b.sh(id, "ping -c1 -W2 shop-db-1 && ping -c1 -W2 db")
	if got := b.observe(p).Containers[0].Replaces; got != "shop-db-1" {
		t.Errorf("replace label %q", got)
	}
}
