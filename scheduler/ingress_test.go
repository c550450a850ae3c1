package scheduler

import (
	"strings"
	"testing"

	"berth/placement"
)

func TestPlanOfAPortThatEveryHostAnswers(t *testing.T) {
	s := world(host("a"), host("b"), host("c"), service("web", replicas(2), on("front"), ingress(80)))
	golden(t, s.plan(t), `
		0  record
		1  create network app_front on a after 0
		2  create network app_front on b after 0
		3  create web.1 on a at 10.128.0.1 (new replica) after 0
		4  create web.2 on b at 10.128.0.2 (new replica) after 0
		5  start web.1 on a after 1,3
		6  start web.2 on b after 2,4
		7  publish 80/tcp (web, on every host) after 0`)
	if blocks := len(s.plan(t).Change.Networks[0].Blocks); blocks != 3 {
		t.Errorf("%d hosts have a block, want all 3", blocks)
	}
	golden(t, s.up(t).plan(t), "")

	// One replica less: no host sends it anything any more when it is stopped. A host has room for several.
	s.change("web", replicas(1))
	golden(t, s.plan(t), `
		0  withdraw web.2 on b (scaled down)
		1  stop web.2 on b (scaled down) after 0
		2  remove web.2 on b (scaled down) after 1
		3  forget after 2`)
	s.change("web", replicas(7))
	golden(t, s.up(t).plan(t), "")

	// A host that joins answers too.
	s.join(host("d"))
	golden(t, s.plan(t), `
		0  record
		1  publish 80/tcp (web, on every host) after 0`)
	golden(t, s.up(t).plan(t), "")

	// What a host could not answer is tried again.
	s.o.Unanswered = map[string]string{"80/tcp": "host c: taken"}
	golden(t, s.plan(t), `
		0  record
		1  publish 80/tcp (web, on every host) after 0`)
	s.o.Unanswered = nil

	golden(t, s.change("web", replicas(1)).up(t).downAll(), `
		0  withdraw web.1 on a
		1  stop web.1 on a after 0
		2  remove web.1 on a after 1
		3  record after 2
		4  remove network app_front on a after 3
		5  remove network app_front on b after 3
		6  remove network app_front on c after 3
		7  remove network app_front on d after 3
		8  forget after 4,5,6,7`)
	if p := s.downAll(); len(p.Change.DropPorts) != 1 {
		t.Errorf("down forgets %v", p.Change.DropPorts)
	}
}

// downAll plans to take the project down.
func (s *scene) downAll() *Plan { return Down("app", s.p, s.o, DownOptions{}) }

func TestAPortOfTheClusterThatIsGivenUpIsForgotten(t *testing.T) {
	s := world(host("a"), host("b"), service("web", on("front"), ingress(80), ingress(81)), service("api", on("front"), ingress(90))).up(t)
	// web gives 81 to api; api gives up 90.
	s.p.Service("web").Ingress = s.p.Service("web").Ingress[:1]
	s.p.Service("api").Ingress = []placement.Port{{Published: 81, Target: 8000, Protocol: "tcp"}}
	s.change("web", hash("2")).change("api", hash("2")).up(t)
	var got []string
	for _, r := range s.o.Ingress {
		got = append(got, r.Service+" "+r.Port().String())
	}
	if want := "web 80/tcp, api 81/tcp"; strings.Join(got, ", ") != want {
		t.Errorf("the store has %s, want %s", strings.Join(got, ", "), want)
	}
	golden(t, s.plan(t), "")
}

func TestPlanWhenAHostsPortBecomesTheClusters(t *testing.T) {
	s := world(host("a"), host("b"), service("web", on("front"), port(80))).up(t)
	s.p.Service("web").Ports = nil
	s.change("web", ingress(80), hash("2"))
	golden(t, s.plan(t), `
		0  record
		1  create web.1 as 000000000001_app-web-1 on a at 10.128.0.1 (configuration changed) after 0
		2  stop web.1 on a (configuration changed) after 1
		3  remove web.1 on a (configuration changed) after 2
		4  rename web.1 to app-web-1 on a after 3
		5  start web.1 on a after 4
		6  publish 80/tcp (web, on every host) after 3`)
	golden(t, s.up(t).plan(t), "")
}

func TestOnePortOfTheClusterIsOneServices(t *testing.T) {
	others := func(service string) option {
		return func(s *scene) {
			s.o.Ingress = append(s.o.Ingress, placement.PortRecord{Published: 80, Target: 1, Protocol: "tcp", Project: "shop", Service: service, Network: "shop_default"})
		}
	}
	orphan := func(s *scene) {
		s.o.Containers = append(s.o.Containers, placement.Container{ID: strings.Repeat("9", 64), Name: "app-old-1", Host: "b", State: "running",
			Task: placement.Task{Service: "old", Number: 1}, Ports: []placement.Port{{Published: 80, Target: 80, Protocol: "tcp"}}})
	}
	web := service("web", on("front"), ingress(80))
	for _, c := range []struct {
		name string
		with option
		want string
	}{
		{"another service of the file", service("api", on("front"), ingress(80)), "up: port 80/tcp is published in mode ingress by both api and web"},
		{"a host's port of the file", service("api", port(80)), "up: port 80/tcp is published twice: by web in mode ingress, on every host, and by api on its task's host"},
		{"another project's", others("front"), "up: port 80/tcp of web is that of service front of project shop, which is in mode ingress too"},
		{"a host's port of another project", host("c", otherPort(80)), "up: port 80/tcp of web is in mode ingress, on every host, and on host c a container of another project publishes it"},
		{"a container that stays", orphan, "on host b container app-old-1 publishes it; stop that first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := world(host("a"), host("b"), web, c.with)
			if _, err := Up(s.p, s.o, UpOptions{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
	s := world(host("a"), host("b"), service("web", on("front"), port(80)), others("front"))
	_, err := Up(s.p, s.o, UpOptions{})
	if want := "port 80/tcp is taken by service front of project shop (mode ingress, on every host)"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a host's port beside another project's of the cluster: got %v\nwant %s", err, want)
	}
	// Of another protocol it is another port.
	s = world(host("a"), host("b"), web)
	s.o.Ingress = []placement.PortRecord{{Published: 80, Protocol: "udp", Project: "shop", Service: "dns"}}
	s.up(t)
}

func TestAPortOfTheClusterNeedsAWayToItsTasks(t *testing.T) {
	s := world(host("a"), host("b"), service("web", on("back"), ingress(80)))
	s.p.Networks[0].Internal = true
	if _, err := Up(s.p, s.o, UpOptions{}); err == nil || !strings.Contains(err.Error(), "is on no network over which the hosts could reach it") {
		t.Errorf("got %v", err)
	}
	s.change("web", on("front"))
	if got := s.plan(t).Change.Ports[0].Network; got != "app_front" {
		t.Errorf("the hosts reach the tasks over %s", got)
	}
}

func TestAMovedTaskIsWithdrawnBeforeItStops(t *testing.T) {
	s := world(host("a"), service("web", replicas(2), on("front"), ingress(80)), host("b")).up(t)
	s.make("b", placement.Drain)
	golden(t, s.rebalance(t), `
		0 record
		1 create web.3 on a at 10.128.0.3 (in place of web.2 on b) after 0
		2 start web.3 on a after 1
		3 wait web.3 until running or healthy on a after 2
		4 withdraw web.2 on b (web.3 on a takes its place) after 3
		5 stop web.2 on b (web.3 on a takes its place) after 4
		6 remove web.2 on b (web.3 on a takes its place) after 5
		7 forget after 6`)
}

// kill and pause are as sudden as they are meant to be, and what does not run has no calls to lose.
func TestAPublishedTaskIsWithdrawnBeforeItStopsOrRestarts(t *testing.T) {
	s := world(host("a"), host("b"), service("db"), service("web", replicas(2), on("front"), ingress(80), dependsOn("db", placement.Started))).up(t)
	golden(t, s.present().Stop(nil, ""), `
		0 withdraw web.2 on a
		1 stop web.2 on a after 0
		2 withdraw web.1 on b
		3 stop web.1 on b after 2
		4 stop db.1 on a after 1,3`)
	s.state("exited", "app-web-2")
	golden(t, s.present("web").Restart(false, nil), `
		0 restart web.2 on a
		1 withdraw web.1 on b
		2 restart web.1 on b after 1`)
	golden(t, s.present("web").Kill(KillOptions{}), `
		0 kill web.1 on b`)
}
