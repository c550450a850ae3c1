package scheduler

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

func TestTasksLeaveADrainedHostInAnUp(t *testing.T) {
	s := world(host("a"), host("b"), host("c"), service("agent", global()), service("web", replicas(3), on("back"))).up(t)
	golden(t, s.make("a", placement.Drain).plan(t), `
		0  record
		1  stop agent.1 on a (host not admitted: drained: its tasks leave and it takes no new ones, until the inventory says availability: active)
		2  remove agent.1 on a (host not admitted: drained: its tasks leave and it takes no new ones, until the inventory says availability: active) after 1
		3  create web.1 on b at 10.128.0.1 (moves from a) after 0
		4  stop web.1 on a (moves from a) after 3
		5  remove web.1 on a (moves from a) after 4
		6  start web.1 on b after 5
		7  forget after 2,5`)
}

func TestTasksOfAHostThatLeftTheInventoryGetOthers(t *testing.T) {
	s := world(host("a"), host("b"), host("c"), service("web", replicas(5), on("back"))).up(t)
	s.o.Hosts = s.o.Hosts[:2]
	s.o.Containers = slices.DeleteFunc(s.o.Containers, func(c placement.Container) bool { return c.Host == "c" })
	s.o.Networks = slices.DeleteFunc(s.o.Networks, func(n placement.EngineNetwork) bool { return n.Host == "c" })
	golden(t, s.plan(t), `
		0  record
		1  create web.3 on a at 10.128.0.3 (new replica) after 0
		2  start web.3 on a after 1
		warning: host c is not in the inventory any more: web.3 is lost there`)
	if s.up(t); s.load() != "a: 3 web, b: 2 web" {
		t.Errorf("got %s", s.load())
	}
}

func TestATaskThatNobodyElseTakesStaysOnADrainedHost(t *testing.T) {
	s := world(host("a"), host("b"), service("db", mounts("v")), service("web", replicas(2))).up(t)
	golden(t, s.make("a", placement.Drain).plan(t), `
		0  record
		1  create web.2 on b (moves from a) after 0
		2  stop web.2 on a (moves from a) after 1
		3  remove web.2 on a (moves from a) after 2
		4  start web.2 on b after 3
		warning: db.1 stays on host a, which is drained: no other host takes it (b: volume app_v has its data on a)`)
}

func TestWhatStaysOnADrainedHostIsSaidOnce(t *testing.T) {
	s := world(host("a", label("type", "worker")), host("b", label("type", "worker")), host("c", label("type", "worker")),
		service("web", replicas(3), port(80), constraint("node.labels.type == worker"))).up(t).make("b", placement.Drain)
	s.o.Host("c").Labels["type"] = "db"
	p, err := Up(s.p, s.o, UpOptions{})
	if err == nil {
		t.Fatal("web.3 has a host")
	}
	want := []string{"web.2 stays on host b, which is drained: no other host takes it (a: port 80/tcp is taken by web.1)"}
	if diff := cmp.Diff(want, p.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	p, err = Rebalance(s.p, s.o, RebalanceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want = []string{
		`web.2 cannot leave host b, which is drained: a: port 80/tcp is taken by web.1; c: label type is "db", constraint wants worker`,
		`web.3 cannot leave host c, which does not admit it (label type is "db", constraint wants worker): a: port 80/tcp is taken by web.1; ` +
			"b: drained: its tasks leave and it takes no new ones, until the inventory says availability: active",
	}
	if diff := cmp.Diff(want, p.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
