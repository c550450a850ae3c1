package scheduler

import (
	"testing"

	"berth/placement"
)

func TestWhereTasksGo(t *testing.T) {
	pinned := func(volume, host string) option {
		return observed(func(o *placement.Observation) { o.Pins[volume] = host })
	}
	volumeOn := func(name, host string) option {
		return observed(func(o *placement.Observation) {
			o.Volumes = append(o.Volumes, placement.EngineVolume{Host: host, Name: name, Project: "app"})
		})
	}
	for name, c := range map[string]struct {
		s    *scene
		want string // hosts, or the error
	}{
		"spread over hosts": {world(host("a"), host("b"), host("c"), service("web", replicas(4))), "web.1@a web.2@b web.3@c web.4@a"},
		"binpack":           {world(host("a"), host("b"), service("web", replicas(3), binpack(), reserve(2, 0))), "web.1@a web.2@a web.3@b"},
		"spread over zones": {world(host("a1", label("zone", "a")), host("a2", label("zone", "a")), host("b", label("zone", "b")),
			service("web", replicas(4), spreadOver("node.labels.zone"))), "web.1@a1 web.2@b web.3@a2 web.4@b"},
		"a fixed port fits once a host":           {world(host("a"), host("b", otherPort(80)), host("c"), service("web", replicas(2), port(80))), "web.1@a web.2@c"},
		"other projects' reservations count":      {world(host("a", otherLoad(3.5)), host("b"), service("web", reserve(1, 0))), "web.1@b"},
		"memory counts like CPU":                  {world(host("a", memory(1<<30)), host("b"), service("web", replicas(2), reserve(0, 2<<30))), "web.1@b web.2@b"},
		"max per host":                            {world(host("a"), host("b", cpus(1)), service("web", replicas(2), reserve(1, 0), maxPerHost(1))), "web.1@a web.2@b"},
		"one host counts capacity but starts all": {world(host("local", cpus(1)), service("web", replicas(2), reserve(1, 0))), "web.1@local web.2@local"},
		"one host asks for no constraint, tasks per host or platform": {world(host("local"), service("web", replicas(2), maxPerHost(1), constraint("node.role == manager")),
			service("everywhere", global(), constraint("node.labels.x == y"), func(_ *scene, v *placement.Service) { v.Platform = "linux/s390x" })),
			"everywhere.1@local web.1@local web.2@local"},
		"constrained services choose first": {world(host("a", cpus(1), label("x", "y")), host("b", cpus(1)),
			service("any", reserve(1, 0)), service("bound", reserve(1, 0), constraint("node.labels.x == y"))), "any.1@b bound.1@a"},
		"large services choose first": {world(host("a", cpus(2)), host("b", cpus(3)), service("little", replicas(2), reserve(1, 0)),
			service("much", reserve(3, 0))), "little.1@a little.2@a much.1@b"},
		"all tasks of a volume on one host": {world(host("a", cpus(1)), host("b", cpus(3)), service("db", replicas(3), mounts("data"), reserve(1, 0))), "db.1@b db.2@b db.3@b"},
		"a volume puts its services together, where both may be": {world(host("a"), host("b", label("x", "y")),
			service("db", mounts("data")), service("backup", mounts("data"), constraint("node.labels.x == y"))), "backup.1@b db.1@b"},
		"volumes put services together along a chain": {world(host("a"), host("b"), service("s1", mounts("u")), service("s2", mounts("u", "v")),
			service("s3", mounts("v")), service("s4")), "s1.1@a s2.1@a s3.1@a s4.1@b"},
		"a recorded pin":           {world(host("a"), host("b"), pinned("app_data", "b"), service("db", mounts("data"))), "db.1@b"},
		"a volume that is there":   {world(host("a"), host("b"), volumeOn("app_data", "b"), service("db", mounts("data"))), "db.1@b"},
		"a pin beats what is seen": {world(host("a"), host("b"), pinned("app_data", "a"), volumeOn("app_data", "b"), service("db", mounts("data"))), "db.1@a"},
		"a volume on two hosts is refused": {world(host("a"), host("b"), volumeOn("app_data", "a"), volumeOn("app_data", "b"), service("db", mounts("data"))),
			"db.1: volume app_data is on a and b and nothing tells which holds its data; remove the stale ones with docker volume rm"},
		"a network file system ties to no host": {world(host("a"), host("b"), volume(placement.VolumeSpec{Key: "data", Name: "app_data", Driver: "rclone"}),
			service("db", replicas(2), mounts("data"))), "db.1@a db.2@b"},
		"a pin to a lost host is refused": {world(host("a"), host("b"), pinned("app_data", "c"), service("db", mounts("data"))),
			"db.1: volume app_data has its data on c, which is not in the inventory; add that host, or give the data up with berth down -v"},
		"an external volume": {world(host("a"), host("b"), volume(placement.VolumeSpec{Key: "data", Name: "data", External: true}),
			volumeOn("data", "b"), service("db", mounts("data"))), "db.1@b"},
		"an external volume that no host has": {world(host("a"), host("b"), volume(placement.VolumeSpec{Key: "data", Name: "data", External: true}),
			service("db", mounts("data"))), `db.1: external volume "data" does not exist here`},
		"sharers beside their providers": {world(host("a"), host("b"), service("web", replicas(2)), service("log", replicas(2), sharesWith("web"))), "log.1@a log.2@b web.1@a web.2@b"},
		"fewer providers than sharers":   {world(host("a"), host("b"), service("web"), service("log", replicas(2), sharesWith("web"))), "log.1@a log.2@a web.1@a"},
		"a unit fits as a whole":         {world(host("a", cpus(1)), host("b", cpus(2)), service("web", reserve(1, 0)), service("log", reserve(1, 0), sharesWith("web"))), "log.1@b web.1@b"},
		"no room for a unit": {world(host("a", cpus(1)), host("b", cpus(1)), service("web", reserve(1, 0)), service("log", reserve(1, 0), sharesWith("web"))),
			"log.1: 1 of 1 CPUs free, 2 wanted"},
		"unreachable hosts take nothing": {world(host("a"), host("b"), service("web", replicas(2))).lost("a"), "web.1@b web.2@b"},
		"global":                         {world(host("a"), host("b"), service("agent", global(), mounts("cache"))), "agent.1@a agent.2@b"},
		"global without room": {world(host("a"), host("b", otherLoad(4)), service("agent", global(), reserve(1, 0))),
			"agent.2: 0 of 4 CPUs free, 1 wanted"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Up(c.s.p, c.s.o, UpOptions{})
			if err != nil {
				got := err.Error()
				if len(p.Unplaced) > 0 {
					got = p.Unplaced[0].Task.String() + ": " + p.Unplaced[0].Reasons[0].Text
				}
				if got != c.want {
					t.Errorf("got %v", err)
				}
				return
			}
			if c.s.apply(t, p); c.s.hosts() != c.want {
				t.Errorf("got %s, want %s", c.s.hosts(), c.want)
			}
		})
	}
}

func TestTasksThatRunStay(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(s *scene)
		want string
	}{
		"when a better host comes":       {func(s *scene) { host("c")(s) }, "db.1@b web.1@a web.2@b"},
		"when their host is overdrawn":   {func(s *scene) { s.o.Host("a").Capacity.CPU = 500 }, "db.1@b web.1@a web.2@b"},
		"when only the image changed":    {func(s *scene) { s.o.Images["a"]["img"] = "sha256:new" }, "db.1@b web.1@a web.2@b"},
		"unless a constraint moves them": {func(s *scene) { s.change("web", constraint("node.hostname == b")) }, "db.1@b web.1@b web.2@b"},
		"unless they grow and do not fit": {func(s *scene) {
			s.change("web", reserve(3, 0), hash("2"))
			s.o.Host("a").Capacity.CPU, s.o.Host("b").Capacity.CPU = 2000, 9000
		}, "db.1@b web.1@b web.2@b"},
		"a volume new in the file joins tasks": {func(s *scene) { s.change("web", mounts("data"), hash("2")) }, "db.1@b web.1@a web.2@a"},
		"unless their data is elsewhere":       {func(s *scene) { s.change("web", mounts("data")); s.o.Pins["app_data"] = "b" }, "db.1@b web.1@b web.2@b"},
		"--no-recreate moves nothing":          {func(s *scene) { s.change("web", constraint("node.hostname == b")) }, "db.1@b web.1@a web.2@b"},
	} {
		t.Run(name, func(t *testing.T) {
			s := world(host("a"), host("b"), service("db", constraint("node.hostname == b")), service("web", replicas(2), reserve(1, 0))).up(t)
			c.edit(s)
			if s.up(t, UpOptions{NoRecreate: name == "--no-recreate moves nothing"}); s.hosts() != c.want {
				t.Errorf("got %s, want %s", s.hosts(), c.want)
			}
		})
	}
}

func TestATaskThatFindsNoOtherHostGoesOnWhereItIs(t *testing.T) {
	s := world(host("a", cpus(1)), host("b", cpus(1)), service("web", reserve(1, 0))).up(t)
	s.change("web", constraint("node.hostname == c"), hash("2"))
	service("new", reserve(1, 0))(s)
	p := s.plan(t, UpOptions{Partial: true})
	golden(t, p, `
		0 record
		1 create new.1 on b (new replica) after 0
		2 start new.1 on b after 1
		unplaced: web.1
		a: hostname is "a", constraint wants c
		b: hostname is "b", constraint wants c`)
	if len(p.Running) != 1 || p.Running[0].Name != "app-web-1" {
		t.Errorf("got %v", p.Running)
	}
}

func TestPinsAreRecordedWithTheFirstTask(t *testing.T) {
	s := world(host("a"), host("b"), service("db", mounts("data")))
	p := s.plan(t)
	if got := p.Change.Pins["app_data"]; got != "a" {
		t.Errorf("got %q", got)
	}
	if s.apply(t, p); s.o.Pins["app_data"] != "a" {
		t.Errorf("got %v", s.o.Pins)
	}
	s.apply(t, Down("app", s.p, s.o, DownOptions{}))
	if s.o.Pins["app_data"] != "a" {
		t.Error("down gives up the pin of data that is still there")
	}
	s.o.Host("a").State = placement.Unreachable
	if _, err := Up(s.p, s.o, UpOptions{}); err == nil {
		t.Error("db starts beside its data")
	}
}
