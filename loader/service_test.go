package loader

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"berth/placement"
)

func TestAPlainServiceHasTheDefaults(t *testing.T) {
	got := webService(t, "init: true")
	want := &placement.Service{
		Name: "web", Image: "app", Mode: placement.Replicated, Replicas: 1, Strategy: placement.Spread,
		Networks: []placement.Attachment{{Network: "default"}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(placement.Service{}, "ConfigHash", "Spec")); diff != "" {
		t.Error(diff)
	}
	if got.Spec == nil || got.Spec.Name != "web" || len(got.ConfigHash) != 64 {
		t.Errorf("Spec %v, ConfigHash %q", got.Spec, got.ConfigHash)
	}
}

func TestAServiceWithEverythingIsTranslated(t *testing.T) {
	got := newWorld(t, `
-- compose.yaml --
services:
  web:
    image: app
    platform: linux/arm64
    pull_policy: always
    stop_grace_period: 1m30s
    healthcheck: {test: [CMD, "true"]}
    deploy:
      mode: global
      resources:
        limits: {cpus: "4", memory: 4G}
        reservations: {cpus: "0.25", memory: 64M}
      placement:
        constraints: [node.labels.type == worker, node.hostname != b]
        preferences: [{spread: node.labels.zone}, {spread: node.labels.rack}]
        max_replicas_per_node: 2
    ports: ["127.0.0.1:8080:80", "9000-9010:90", "70", "53:53/udp", {target: 81, published: "8081", mode: host}]
    networks:
      b: {aliases: [x]}
      a: {ipv4_address: 172.28.0.9}
      z: {priority: 10}
    volumes:
      - data:/data
      - ./conf:/conf:ro
      - /anonymous
      - {type: tmpfs, target: /run}
    tmpfs: /tmp:size=1m
    depends_on:
      db: {condition: service_healthy, restart: true}
      cache: {condition: service_started, required: false}
      off: {condition: service_started, required: false}
    links: ["linked:l"]
    ipc: service:sharer
    pid: container:its-name
    volumes_from: ["db:ro", "container:other"]
  db: {image: db}
  cache: {image: cache}
  linked: {image: linked, container_name: its-name}
  sharer: {image: sharer, ipc: shareable}
  off: {image: off, profiles: [off]}
networks:
  a: {ipam: {config: [{subnet: 172.28.0.0/16}]}}
  b: {}
  z: {}
volumes: {data: {}}
`).mustLoad()
	web := got.Service("web")
	want := &placement.Service{
		Name: "web", Image: "app", Platform: "linux/arm64", PullPolicy: "always",
		Mode: placement.Global, Replicas: 1, MaxPerHost: 2, Strategy: placement.Spread,
		Reservation: placement.Reservation{CPU: 250, Memory: 64 << 20},
		Constraints: []placement.Constraint{
			{Key: "node.labels.type", Op: "==", Value: "worker"}, {Key: "node.hostname", Op: "!=", Value: "b"},
		},
		Preferences: []placement.Preference{{Spread: "node.labels.zone"}, {Spread: "node.labels.rack"}},
		Ports: []placement.Port{
			{HostIP: "127.0.0.1", Published: 8080, Target: 80, Protocol: "tcp"},
			{Target: 90, Protocol: "tcp"},
			{Target: 70, Protocol: "tcp"},
			{Published: 53, Target: 53, Protocol: "udp"},
			{Published: 8081, Target: 81, Protocol: "tcp"},
		},
		Networks: []placement.Attachment{{Network: "z"}, {Network: "a", IPv4: "172.28.0.9"}, {Network: "b", Aliases: []string{"x"}}},
		Mounts: []placement.Mount{
			{Type: "volume", Source: "data", Target: "/data"},
			{Type: "bind", Source: got.Dir + "/conf", Target: "/conf", ReadOnly: true},
			{Type: "volume", Target: "/anonymous"},
			{Type: "tmpfs", Target: "/run"},
			{Type: "tmpfs", Target: "/tmp"},
		},
		Links: map[string]string{"l": "linked"},
		DependsOn: []placement.Dependency{
			{Service: "cache", Condition: placement.Started},
			{Service: "db", Condition: placement.Healthy, Required: true, Restart: true},
			{Service: "linked", Condition: placement.Started, Required: true, Restart: true},
			{Service: "sharer", Condition: placement.Started, Required: true, Restart: true},
		},
		SharesWith:     []string{"db", "linked", "sharer"},
		HasHealthcheck: true,
		StopTimeout:    90 * time.Second,
	}
	if diff := cmp.Diff(want, web, cmpopts.IgnoreFields(placement.Service{}, "ConfigHash", "Spec")); diff != "" {
		t.Error(diff)
	}
}

func TestReplicasComeFromScaleOrDeploy(t *testing.T) {
	for lines, want := range map[string]int{
		"scale: 3":                                3,
		"deploy: {replicas: 4}":                   4,
		"scale: 0":                                0,
		"scale: 2\ndeploy: {replicas: 2}":         2,
		"deploy: {resources: {}}":                 1,
		"deploy: {mode: replicated, replicas: 5}": 5,
	} {
		if got := webService(t, lines).Replicas; got != want {
			t.Errorf("%s: %d replicas, want %d", lines, got, want)
		}
	}
}

func TestOnlyReservationsReserve(t *testing.T) {
	for lines, want := range map[string]placement.Reservation{
		"cpus: 2\nmem_limit: 1g":                                                                 {},
		"mem_reservation: 512m":                                                                  {Memory: 512 << 20},
		"deploy: {resources: {limits: {cpus: '2', memory: 1g}}}":                                 {},
		"deploy: {resources: {reservations: {cpus: '1.5'}}}":                                     {CPU: 1500},
		"mem_reservation: 1g\ndeploy: {resources: {reservations: {cpus: '0.001', memory: 1g}}}":  {CPU: 1, Memory: 1 << 30},
		"mem_reservation: 1g\ndeploy: {resources: {limits: {cpus: '2'}}}":                        {Memory: 1 << 30},
		"deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1}]}}}":      {},
		"deploy: {resources: {reservations: {cpus: '0.1', memory: 10m}, limits: {cpus: '0.2'}}}": {CPU: 100, Memory: 10 << 20},
	} {
		if got := webService(t, lines).Reservation; got != want {
			t.Errorf("%s: reservation %+v, want %+v", lines, got, want)
		}
	}
}

func TestHealthcheckCountsOnlyWhenItRuns(t *testing.T) {
	for lines, want := range map[string]bool{
		"init: true":                                      false,
		"healthcheck: {test: echo}":                       true,
		"healthcheck: {test: [NONE]}":                     false,
		"healthcheck: {disable: true}":                    false,
		"healthcheck: {interval: 3s}":                     false, // the image's own, if any
		"healthcheck: {test: [CMD, x], disable: true}":    false,
		"healthcheck: {test: [CMD-SHELL, x], retries: 3}": true,
	} {
		if got := webService(t, lines).HasHealthcheck; got != want {
			t.Errorf("%s: %t", lines, got)
		}
	}
}

func TestPlatformFallsBackToDockerDefaultPlatform(t *testing.T) {
	s := webService(t, "init: true", env("DOCKER_DEFAULT_PLATFORM=linux/arm64"))
	if s.Platform != "linux/arm64" || s.Spec.Platform != "" {
		t.Errorf("platform %q, in the hashed spec %q", s.Platform, s.Spec.Platform)
	}
	s = webService(t, "build: .", env("DOCKER_DEFAULT_PLATFORM=linux/arm64"))
	if s.Spec.Platform != "linux/arm64" {
		t.Errorf("a built service's platform is %q, which docker compose hashes", s.Spec.Platform)
	}
}

func TestNetworksAndVolumesHaveEngineNames(t *testing.T) {
	p := newWorld(t, `
-- compose.yaml --
services:
  web: {image: app, networks: [own, named, ext], volumes: ["own:/a", "named:/b", "ext:/c"]}
networks:
  own: {internal: true, driver: bridge, ipam: {config: [{subnet: 10.1.2.3/24}, {subnet: "fd00::/64"}]}}
  named: {name: custom}
  ext: {external: true}
volumes:
  own: {driver: local}
  named: {name: custom}
  ext: {external: true, name: real}
`).mustLoad()
	type short struct {
		Key, Name, Driver  string
		External, Internal bool
		Subnets            string
	}
	var got []short
	for _, n := range p.Networks {
		s := short{Key: n.Key, Name: n.Name, Driver: n.Driver, External: n.External, Internal: n.Internal}
		for _, subnet := range n.Subnets {
			s.Subnets += subnet.String() + " "
		}
		got = append(got, s)
		if len(n.ConfigHash) != 64 || n.Spec.Name != n.Name {
			t.Errorf("network %s: hash %q spec %+v", n.Key, n.ConfigHash, n.Spec)
		}
	}
	for _, v := range p.Volumes {
		got = append(got, short{Key: v.Key, Name: v.Name, Driver: v.Driver, External: v.External})
		if len(v.ConfigHash) != 64 || v.Spec.Name != v.Name {
			t.Errorf("volume %s: hash %q spec %+v", v.Key, v.ConfigHash, v.Spec)
		}
	}
	want := []short{
		{Key: "ext", Name: "ext", External: true},
		{Key: "named", Name: "custom"},
		{Key: "own", Name: "shop_own", Driver: "bridge", Internal: true, Subnets: "10.1.2.0/24 fd00::/64 "},
		{Key: "ext", Name: "real", External: true},
		{Key: "named", Name: "custom"},
		{Key: "own", Name: "shop_own", Driver: "local"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAProviderHasNoTasks(t *testing.T) {
	p := newWorld(t, web("depends_on: [cloud]")+"  cloud:\n    provider: {type: awesome, options: {size: 3, name: [a, b]}}\n    depends_on: [base]\n"+
		"  base: {image: base}\n").mustLoad()
	if p.Service("cloud") != nil || len(p.Services) != 2 || len(p.Warnings) > 0 {
		t.Errorf("services %v, warnings %q", serviceNames(p), p.Warnings)
	}
	want := []*placement.Provider{{Name: "cloud", Type: "awesome", Options: map[string][]string{"size": {"3"}, "name": {"a", "b"}},
		DependsOn: []placement.Dependency{{Service: "base", Condition: placement.Started, Required: true}}}}
	if diff := cmp.Diff(want, p.Providers); diff != "" {
		t.Error(diff)
	}
}

func TestAGlobalServiceWithAContainerNameIsRefusedOnACluster(t *testing.T) {
	text := web("container_name: one\ndeploy: {mode: global}")
	newWorld(t, text).mustLoad()
	w := newWorld(t, text, cluster)
	_, err := w.load()
	want := "load compose.yaml:4: services.web.container_name: a global service has a task on each host, and a container name must be unique; drop container_name"
	if err == nil || w.plain(err) != want {
		t.Errorf("error is %v", err)
	}
}

func TestGPUsAndGenericResourcesAreCounted(t *testing.T) {
	for lines, want := range map[string]string{
		"gpus: all": "gpu=-1",
		"gpus: [{count: 2}, {device_ids: ['7']}]": "gpu=3",
		"gpus: [{device_ids: ['0', '3']}]":        "gpu=2",
		"gpus: [{count: all}, {count: 2}]":        "gpu=-1",
		"devices: [/dev/null]":                    "",
		"deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1}], generic_resources: [{discrete_resource_spec: {kind: SSD, value: 3}}]}}}": "gpu=1,ssd=3",
		"deploy: {resources: {reservations: {devices: [{capabilities: [tpu], count: 1}]}}}":                                                                       "",
	} {
		if got := webService(t, lines).Resources.String(); got != want {
			t.Errorf("%s: %q, want %q", lines, got, want)
		}
	}
	if got := strings.Join(webService(t, "devices: ['/dev/null:/dev/x', vendor.com/class=name]").Devices, " "); got != "/dev/null vendor.com/class=name" {
		t.Errorf("devices %q", got)
	}
}
