package scheduler

import (
	"slices"
	"strings"
	"testing"

	"berth/placement"
)

// folder is a volume that stands for a folder of the user's.
func folder(key string, fixed bool) option {
	return volume(placement.VolumeSpec{Key: key, Name: "app_" + key, Seed: &placement.Seed{Path: "/src/" + key, Fixed: fixed}})
}

func TestPlanOfVolumesThatStandForFolders(t *testing.T) {
	s := world(host("a"), host("b", noImages()), folder("conf_1", true), folder("data", false),
		service("db", mounts("data")), service("web", replicas(2), mounts("conf_1")))
	golden(t, s.plan(t), `
		 0  record
		 1  send img from a to b (missing)
		 2  seed volume app_conf_1 on a after 0
		 3  seed volume app_data on a after 0
		 4  seed volume app_conf_1 on b after 0,1
		 5  create db.1 on a (new replica) after 3
		 6  create web.1 on b (new replica) after 4
		 7  create web.2 on a (new replica) after 2
		 8  start db.1 on a after 5
		 9  start web.1 on b after 6
		10  start web.2 on a after 7`)
}

func TestAnEditedFolderIsAnotherVolumeAndTheOldOneGoes(t *testing.T) {
	s := world(host("a"), host("b"), folder("conf_1", true), service("web", replicas(2), mounts("conf_1"))).up(t)
	s.p.Volumes[0].Key, s.p.Volumes[0].Name = "conf_2", "app_conf_2"
	s.p.Service("web").Mounts[0].Source = "conf_2"
	s.change("web", hash("2"))
	golden(t, s.plan(t), `
		 0  record
		 1  seed volume app_conf_2 on a after 0
		 2  seed volume app_conf_2 on b after 0
		 3  create web.1 as 000000000001_app-web-1 on a (configuration changed) after 1
		 4  stop web.1 on a (configuration changed) after 3
		 5  remove web.1 on a (configuration changed) after 4
		 6  rename web.1 to app-web-1 on a after 5
		 7  create web.2 as 000000000002_app-web-2 on b (configuration changed) after 2
		 8  stop web.2 on b (configuration changed) after 7
		 9  remove web.2 on b (configuration changed) after 8
		10  rename web.2 to app-web-2 on b after 9
		11  remove volume app_conf_1 on a (optional) (not used any more) after 5
		12  remove volume app_conf_1 on b (optional) (not used any more) after 9
		13  start web.1 on a after 6
		14  start web.2 on b after 10`)
	golden(t, s.up(t).plan(t), "")
	golden(t, Down("app", s.p, s.o, DownOptions{}), `
		0  stop web.1 on a
		1  remove web.1 on a after 0
		2  stop web.2 on b
		3  remove web.2 on b after 2
		4  remove volume app_conf_2 on a (not used any more) after 1,3
		5  remove volume app_conf_2 on b (not used any more) after 1,3
		6  forget after 4,5`)
}

func TestWhatIsOnlyReadTiesNobodyToAHostAndWhatIsDataDoes(t *testing.T) {
	s := world(host("a"), host("b", label("zone", "b")), folder("conf", true), service("web", mounts("conf"))).up(t)
	s.change("web", constraint("node.labels.zone == b"))
	golden(t, s.plan(t), `
		0  record
		1  seed volume app_conf on b after 0
		2  create web.1 on b (moves from a) after 1
		3  stop web.1 on a (moves from a) after 2
		4  remove web.1 on a (moves from a) after 3
		5  remove volume app_conf on a (optional) (not used any more) after 4
		6  start web.1 on b after 4`)
	s = world(host("a"), host("b", label("zone", "b")), folder("data", false), service("web", mounts("data"))).up(t)
	s.change("web", constraint("node.labels.zone == b"))
	if _, err := Up(s.p, s.o, UpOptions{}); err == nil || !strings.Contains(err.Error(), "b: volume app_data has its data on a") {
		t.Errorf("moved away from its data: %v", err)
	}
}

func TestASeedingThatWasCutShortIsPlannedAgain(t *testing.T) {
	s := world(host("a"), host("b"), folder("data", false), folder("old_1", true), service("web", mounts("data")), observed(func(o *placement.Observation) {
		o.Volumes = []placement.EngineVolume{
			{Host: "a", Name: "app_data", Project: "app", Key: "data", Unseeded: true},
			{Host: "a", Name: "app_old_1", Project: "app", Key: "old_1", Fixed: true, Unseeded: true},
		}
	}))
	golden(t, s.plan(t), `
		0  record
		1  seed volume app_data on a (left by an interrupted command) after 0
		2  create web.1 on a (new replica) after 1
		3  remove volume app_old_1 on a (optional) (left by an interrupted command)
		4  start web.1 on a after 2`)
	golden(t, Down("app", s.p, s.o, DownOptions{Volumes: true}), `
		0  remove volume app_data on a
		1  remove volume app_old_1 on a (left by an interrupted command)`)
}

func TestAVolumeThatAContainerOutsideOfThePlanUsesStays(t *testing.T) {
	s := world(host("a"), host("b"), folder("conf_1", true), service("web", mounts("conf_1"))).up(t)
	s.o.Containers = append(s.o.Containers, placement.Container{
		ID: "x", Name: "app-web-run-1", Host: "a", OneOff: true, State: "running", Task: placement.Task{Service: "web"},
		Mounts: []placement.Mount{{Type: "volume", Source: "app_conf_1", Target: "/conf_1"}},
	})
	s.change("web", replicas(0))
	golden(t, s.plan(t), `
		0  stop web.1 on a (scaled down)
		1  remove web.1 on a (scaled down) after 0
		2  forget after 1`)
}

func TestFoldersThatGoDoNotGoInTheOrderTheyWereFoundIn(t *testing.T) {
	s := world(host("a"), host("b"), folder("conf_1", true), service("web", replicas(2), mounts("conf_1"))).up(t)
	s.p.Volumes[0].Key, s.p.Volumes[0].Name = "conf_2", "app_conf_2"
	s.p.Service("web").Mounts[0].Source = "conf_2"
	s.change("web", hash("2"))
	up, down := s.plan(t).String(), Down("app", s.p, s.o, DownOptions{}).String()
	slices.Reverse(s.o.Volumes)
	if got := s.plan(t).String(); got != up {
		t.Errorf("got\n%s\nand\n%s", up, got)
	}
	if got := Down("app", s.p, s.o, DownOptions{}).String(); got != down {
		t.Errorf("got\n%s\nand\n%s", down, got)
	}
}
