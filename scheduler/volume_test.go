package scheduler

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

// differing is a running service whose volume's entry in the file has changed, on one of two hosts.
func differing(t *testing.T) *scene {
	s := world(host("a"), host("b"), volume(placement.VolumeSpec{Key: "data", Name: "app_data", ConfigHash: "1"}),
		service("db", replicas(2), mounts("data", "")), service("web", dependsOn("db", placement.Started, "restart"))).up(t)
	s.p.Volumes[0].ConfigHash = "2"
	return s
}

func TestAVolumeThatDiffersIsAskedAbout(t *testing.T) {
	s := differing(t)
	p := s.plan(t)
	golden(t, p, "")
	if diff := cmp.Diff([]DifferingVolume{{Name: "app_data", Hosts: []string{"a"}}}, p.Differing); diff != "" {
		t.Error(diff)
	}
	p = s.plan(t, UpOptions{RenewVolumes: map[string]bool{"app_data": false}})
	golden(t, p, "")
	if len(p.Differing) > 0 {
		t.Errorf("asks again: %v", p.Differing)
	}
}

func TestAVolumeMadeAnewTakesItsContainersAlong(t *testing.T) {
	s := differing(t)
	anonymous := s.container("app-db-1").Mounts[1].Source
	yes := UpOptions{RenewVolumes: map[string]bool{"app_data": true}}
	p := s.plan(t, yes)
	golden(t, p, `
		0 stop web.1 on b (a dependency is recreated)
		1 stop db.1 on a (volume app_data is made anew) after 0
		2 remove db.1 on a (volume app_data is made anew) after 1
		3 stop db.2 on a (volume app_data is made anew) after 0
		4 remove db.2 on a (volume app_data is made anew) after 3
		5 remove volume app_data on a (configuration changed) after 2,4
		6 create volume app_data on a (configuration changed) after 5
		7 create db.1 on a (volume app_data is made anew) after 6
		8 create db.2 on a (volume app_data is made anew) after 6
		9 start db.1 on a after 7
		10 start db.2 on a after 8
		11 start web.1 on b (a dependency is recreated) after 9,10`)
	if p.Steps[7].Inherit[0].Source != anonymous {
		t.Errorf("anonymous volumes are not taken over: %+v", p.Steps[7])
	}
	s.apply(t, p)
	golden(t, s.plan(t), "")
	s.p.Volumes[0].ConfigHash = "3"
	s.change("db", replicas(1))
	p = s.plan(t, UpOptions{NoRecreate: true, RenewVolumes: yes.RenewVolumes})
	s.apply(t, p) // fails where a container, scaled down or not, still mounts the volume
}

func TestAVolumeThatOthersMountIsNotMadeAnew(t *testing.T) {
	s := differing(t)
	other := *s.container("app-db-1")
	other.ID, other.Name, other.OneOff, other.Task.Number = "e", "app-db-run-1", true, 0
	s.o.Containers = append(s.o.Containers, other)
	_, err := Up(s.p, s.o, UpOptions{RenewVolumes: map[string]bool{"app_data": true}})
	if err == nil || !strings.Contains(err.Error(), "volume app_data cannot be made anew: app-db-run-1 mounts it") {
		t.Errorf("got %v", err)
	}
}
