package engine

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"berth/placement"
)

func TestARealEnginesRefusalsSayWhatToDo(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  one: {image: "berth-lab/busybox:1", command: sleep 600, ports: ["18300:80", "18301:80/udp"]}
  two: {image: "berth-lab/busybox:1", command: sleep 600, ports: ["18300:80"]}
  absent: {image: "berth-lab/nothing:9"}
  typo: {image: "berth-lab/busybox:1", command: slep 600}
  nowhere: {image: "berth-lab/busybox:1", volumes: [{type: bind, source: /not/here, target: /x, bind: {create_host_path: false}}]}
  gpu: {image: "berth-lab/busybox:1", command: sleep 600, gpus: all}
  bound: {image: "berth-lab/busybox:1", command: sleep 600, ports: ["10.1.2.3:18302:80"]}
`)
	b.prepare(p)
	run := func(service, name string) error {
		s := spec(p, service)
		s.Name = name
		id, _, err := b.Create(b.ctx, s)
		if err != nil {
			return err
		}
		return b.Start(b.ctx, id)
	}
	if err := run("one", "shop-one-1"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ service, name, want string }{
		{"two", "shop-two-1", "port 18300 on host1 is already in use"},
		{"one", "shop-one-1", "the name shop-one-1 is already taken by container"},
		{"absent", "shop-absent-1", "create container shop-absent-1: image berth-lab/nothing:9 is not on this host; pull or build it first"},
		{"typo", "shop-typo-1", "the image has no program slep"},
		{"nowhere", "shop-nowhere-1", "the folder /not/here to mount does not exist on host1"},
		{"gpu", "shop-gpu-1", "host1 has no device driver for [[gpu]]"},
		{"bound", "shop-bound-1", "is not an address of host1"},
	} {
		err := run(c.service, c.name)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "host host1: ") {
			t.Errorf("%s: %v, want %q", c.service, err, c.want)
		}
	}
	if err := run("one", "shop-one-1"); !IsConflict(err) {
		t.Errorf("a taken name is no conflict: %v", err)
	}
	if err := b.Stop(b.ctx, "nobody", nil); err != nil {
		t.Errorf("stopping what is gone: %v", err)
	}
	if err := b.Remove(b.ctx, "nobody", true); err != nil {
		t.Errorf("removing what is gone: %v", err)
	}
	if err := b.Start(b.ctx, "nobody"); !IsNotFound(err) {
		t.Errorf("starting what is gone: %v", err)
	}
	if err := b.Rename(b.ctx, "shop-two-1", "shop-one-1"); !IsConflict(err) {
		t.Errorf("renaming to a taken name: %v", err)
	}
}

func TestVolumesAreMadeWithComposesLabelsAndKeptWhileInUse(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services: {web: {image: "berth-lab/busybox:1", command: sleep 600, volumes: ["data:/data"]}}
volumes: {data: {labels: {keep: "yes"}}}
`)
	id := b.up(p)["web"]
	if err := b.CreateVolume(b.ctx, p, p.Volumes[0]); err != nil {
		t.Errorf("making what is there: %v", err)
	}
	v, err := b.raw.VolumeInspect(b.ctx, "shop_data")
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{"keep": "yes", labelProject: "shop", labelVolume: "data", labelConfigHash: p.Volumes[0].ConfigHash} {
		if v.Labels[k] != want {
			t.Errorf("label %s is %q, want %q", k, v.Labels[k], want)
		}
	}
	if err := b.RemoveVolume(b.ctx, "shop_data"); !IsConflict(err) || !strings.Contains(err.Error(), "in use by container "+id) {
		t.Errorf("removing a volume in use: %v", err)
	}
	if err := b.Remove(b.ctx, id, true); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.RemoveVolume(b.ctx, "shop_data"); err != nil {
			t.Error(err)
		}
	}
}

func TestEnginesFromAPI144TakeAllNetworksAndMACsAtOnce(t *testing.T) {
	bodies := make(chan container.CreateRequest, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.51")
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/_ping"):
		case strings.HasSuffix(r.URL.Path, "/json"):
			io.WriteString(w, `{"Id":"sha256:1234"}`)
		case strings.HasSuffix(r.URL.Path, "/containers/create"):
			var body container.CreateRequest
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			bodies <- body
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, `{"Id":"c1","Warnings":["careful"]}`)
		default:
			t.Errorf("unexpected call %s %s", r.Method, r.URL)
		}
	}))
	defer srv.Close()
	e, err := Connect(hostAt(strings.Replace(srv.URL, "http", "tcp", 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p := project(t, "/srv/shop", "services: {web: {image: app, networks: [front, back]}}\nnetworks: {front: {}, back: {}}")
	s := spec(p, "web")
	for name, a := range map[string]string{"shop_front": "10.129.0.9", "shop_back": "10.130.0.9"} {
		s.Endpoints = append(s.Endpoints, placement.Endpoint{Network: name, IP: ip(a), MAC: placement.MACFor(ip(a))})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	id, warnings, err := e.Create(ctx, s)
	if err != nil || id != "c1" || len(warnings) != 1 {
		t.Fatalf("%s, %v, %v", id, warnings, err)
	}
	got := (<-bodies).NetworkingConfig.EndpointsConfig
	for _, end := range s.Endpoints {
		n := got[end.Network]
		if n == nil {
			n = &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{}}
		}
		if n.MacAddress != end.MAC || n.IPAMConfig.IPv4Address != end.IP.String() || len(n.Aliases) != 0 {
			t.Errorf("%s: %+v", end.Network, n)
		}
	}
}

func TestInAClusterAContainerThatAKilledCommandLeftUnstartedGivesItsNameBack(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services:
  one: {image: berth-lab/busybox:1, command: sleep 600}
`)
	b.prepare(p)
	s := spec(p, "one")
	late := b.create(s)
	if _, _, err := b.Create(b.ctx, s); !IsConflict(err) {
		t.Errorf("on one host another command may have made it just now, and yet: %v", err)
	}
	s.Cluster = true
	id := b.create(s)
	if _, err := b.State(b.ctx, late); !IsNotFound(err) {
		t.Errorf("the one that was there: %v", err)
	}
	if err := b.Start(b.ctx, id); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Create(b.ctx, s); !IsConflict(err) {
		t.Errorf("one that runs has lost its name: %v", err)
	}
}
