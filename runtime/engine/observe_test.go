package engine

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/volume"

	"berth/placement"
)

// observe looks at the engine with the project's file.
func (b *bench) observe(p *placement.Project) Snapshot {
	b.t.Helper()
	s, err := b.Observe(b.ctx, Query{Project: p.Name, Compose: p, Inventory: b.host})
	if err != nil {
		b.t.Fatal(err)
	}
	if s.Host.State != placement.Ready {
		b.t.Fatalf("host is %s: %s", s.Host.State, s.Host.Problem)
	}
	return s
}

func TestStatusTextTellsHealthAndExitCode(t *testing.T) {
	for _, c := range []struct {
		status, health string
		code           int
	}{
		{"Up 5 seconds", "", 0},
		{"Up 5 seconds (healthy)", "healthy", 0},
		{"Up Less than a second (health: starting)", "starting", 0},
		{"Up 2 hours (unhealthy)", "unhealthy", 0},
		{"Up 2 hours (Paused)", "", 0},
		{"Exited (3) 5 minutes ago", "", 3},
		{"Exited (137) Less than a second ago", "", 137},
		{"Exited (-1) 2 days ago", "", -1},
		{"Restarting (1) 2 seconds ago", "", 1},
		{"Created", "", 0},
		{"", "", 0},
	} {
		if health, code := parseStatus(c.status); health != c.health || code != c.code {
			t.Errorf("%q: %q %d, want %q %d", c.status, health, code, c.health, c.code)
		}
	}
}

func TestObserveFindsTheProjectAndWhatOthersHold(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  web:
    image: berth-lab/busybox:1
    command: sleep 600
    volumes: ["data:/data", "/tmp:/host:ro"]
    ports: ["18090:80"]
    deploy: {resources: {reservations: {cpus: "0.5"}}}
  done:
    image: berth-lab/busybox:1
    command: sh -c "exit 3"
  absent:
    image: berth-lab/nothing:9
  foreign:
    image: berth-lab/busybox:1
    platform: linux/s390x
volumes: {data: {}}
`)
	p.Services = []*placement.Service{p.Service("web"), p.Service("done")}
	ids := b.up(p)
	if code := b.awaitExit(ids["done"]); code != 3 {
		t.Fatalf("exit code %d", code)
	}
	if h := b.observe(p).Host; h.EngineID != "" || h.State != placement.Ready {
		t.Errorf("the engine was asked to describe itself, though nothing depends on it: %+v", h)
	}
	p.Service("web").Platform = "linux/" + runtime.GOARCH
	s := b.observe(p)
	if h := s.Host; h.State != placement.Ready || h.EngineID == "" || h.OS != "linux" || h.Version == "" || h.Capacity.CPU < 1000 ||
		h.Reserved != (placement.Reservation{}) || len(h.Ports) != 0 {
		t.Errorf("host: %+v", h)
	}
	if len(s.Containers) != 2 || s.Containers[0].Name != "shop-done-1" {
		t.Fatalf("containers: %+v", s.Containers)
	}
	if c := s.Containers[0]; c.State != "exited" || c.ExitCode != 3 || c.Task != (placement.Task{Service: "done", Number: 1}) {
		t.Errorf("done: %+v", c)
	}
	c := s.Containers[1]
	if c.State != "running" || c.ConfigHash != "hash-of-web" || c.ImageID != s.Images["berth-lab/busybox:1"] || c.Networks["shop_default"] == "" {
		t.Errorf("web: %+v", c)
	}
	want := []placement.Mount{{Type: "volume", Source: "shop_data", Target: "/data"}, {Type: "bind", Source: "/tmp", Target: "/host", ReadOnly: true}}
	if len(c.Mounts) != 2 || c.Mounts[0] != want[0] || c.Mounts[1] != want[1] {
		t.Errorf("mounts: %+v", c.Mounts)
	}
	if len(c.Ports) == 0 || c.Ports[0].Published != 18090 || c.Ports[0].Target != 80 {
		t.Errorf("ports: %+v", c.Ports)
	}
	if len(s.Networks) != 1 || s.Networks[0].Key != "default" || len(s.Volumes) != 1 || s.Volumes[0].Key != "data" {
		t.Errorf("networks %+v, volumes %+v", s.Networks, s.Volumes)
	}

	other := &placement.Project{Name: "other"}
	o := b.observe(other)
	if o.Host.Reserved.CPU != 500 || len(o.Host.Ports) == 0 || o.Host.Ports[0].Published != 18090 || len(o.Containers) != 0 {
		t.Errorf("seen from another project: %+v", o.Host)
	}
	light, err := b.Observe(b.ctx, Query{Project: "shop", Light: true})
	if err != nil || len(light.Containers) != 2 || light.Host.State != placement.Ready {
		t.Errorf("light: %+v, %v", light, err)
	}
	all, err := b.Observe(b.ctx, Query{Light: true})
	if err != nil || len(all.Of("shop").Containers) != 2 || len(all.Of("other").Containers) != 0 {
		t.Errorf("light, of all projects: %+v, %v", all, err)
	}
}

func TestAbsentImagesAndThoseOfAnotherPlatformAreNotThere(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  absent: {image: "berth-lab/nothing:9"}
  foreign: {image: "berth-lab/busybox:1", platform: linux/s390x}
`)
	if s := b.observe(p); len(s.Images) != 0 {
		t.Errorf("images: %v", s.Images)
	}
}

func TestWhatRulesAreAboutIsLookedFor(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), "services: {web: {image: \"berth-lab/busybox:1\"}}")
	if _, err := b.raw.VolumeCreate(b.ctx, volume.CreateOptions{Name: "archive"}); err != nil {
		t.Fatal(err)
	}
	look := func(rules string) Snapshot {
		t.Helper()
		all, err := placement.ParseConstraints(rules)
		if err != nil {
			t.Fatal(err)
		}
		p.Service("web").Constraints = all
		s, err := b.Observe(b.ctx, Query{Project: p.Name, Compose: p, Cluster: true})
		if err != nil || s.Host.Problem != "" {
			t.Fatal(err, s.Host.Problem)
		}
		return s
	}
	if s := look("node.name == x"); s.ImageNames != nil || len(s.Volumes) > 0 {
		t.Errorf("nothing asks for them: images %q, volumes %+v", s.ImageNames, s.Volumes)
	}
	s := look("image == x ~ && volume == arch*")
	if id := s.Images["berth-lab/busybox:1"]; !slices.Contains(s.ImageNames, "berth-lab/busybox:1") || !slices.Contains(s.ImageNames, id) || !slices.IsSorted(s.ImageNames) {
		t.Errorf("images: %q", s.ImageNames)
	}
	if len(s.Volumes) != 1 || s.Volumes[0].Name != "archive" {
		t.Errorf("volumes: %+v", s.Volumes)
	}
	if h := s.Host; h.Kernel == "" || h.System == "" || h.StorageDriver == "" {
		t.Errorf("host: %+v", h)
	}
}

func TestAnEngineThatDoesNotAnswerIsAnUnreachableHostWithAReason(t *testing.T) {
	for address, want := range map[string]string{
		"unix:///nowhere/docker.sock": "Cannot connect to the Docker daemon at unix:///nowhere/docker.sock. Is the docker daemon running?",
		"tcp://no..host:2375":         "Cannot connect to the Docker daemon at tcp://no..host:2375: no host is called no..host; is the address right?", // known without DNS
	} {
		e, err := Connect(placement.InventoryHost{Name: "gone", Address: address})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		s, err := e.Observe(within(t, 10*time.Second), Query{Project: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		if s.Host.State != placement.Unreachable || s.Host.Problem != want || s.Host.Name != "gone" {
			t.Errorf("host: %+v", s.Host)
		}
	}
}
