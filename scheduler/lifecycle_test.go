package scheduler

import (
	"strings"
	"testing"
	"time"

	"berth/placement"
)

func (s *scene) present(services ...string) *Present {
	return NewPresent("app", s.p, s.o, services)
}

// state sets what containers do, by name.
func (s *scene) state(state string, names ...string) *scene {
	for _, n := range names {
		s.container(n).State = state
	}
	return s
}

// stack is a chain of services on two hosts: site waits for web, which waits for a healthy db and a completed init.
func stack(t *testing.T) *scene {
	return world(host("a"), host("b"), service("db", healthcheck()), service("init"),
		service("web", replicas(2), dependsOn("db", placement.Healthy, "restart"), dependsOn("init", placement.Completed)),
		service("site", dependsOn("web", placement.Started))).up(t)
}

func TestStartFollowsDependenciesAndTheirConditions(t *testing.T) {
	s := stack(t).state("exited", "app-db-1", "app-init-1", "app-web-1", "app-web-2", "app-site-1")
	p, err := s.present("web").Start(false)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, p, `
		0 start db.1 on a (is exited)
		1 start init.1 on b (is exited)
		2 wait db.1 until healthy on a after 0
		3 wait init.1 until completed on b after 1
		4 start web.1 on b (is exited) after 2,3
		5 start web.2 on a (is exited) after 2,3`)
	s.apply(t, p)
	s.state("exited", "app-web-2")
	p, err = s.present("site").Start(true)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, p, `
		0 start init.1 on b (is exited)
		1 wait init.1 until completed on b after 0
		2 start web.2 on a (is exited) after 1
		3 start site.1 on a (is exited) after 2
		4 wait web.2 until running or healthy on a after 2
		5 wait site.1 until running or healthy on a after 3`)
}

func TestStartOfNothingIsRefusedBeforeAnythingStarts(t *testing.T) {
	s := stack(t).state("exited", "app-db-1")
	s.o.Containers = dropHost(s.o.Containers, "b") // init and web.1
	if _, err := s.present("web").Start(false); err == nil || !strings.Contains(err.Error(), `service "init" has no container to start`) {
		t.Errorf("got %v", err)
	}
	s.change("web", dependsOn("nice", placement.Started, "optional"))
	service("nice")(s)
	s.p.Service("web").DependsOn = s.p.Service("web").DependsOn[2:]
	p, err := s.present("web").Start(false)
	if err != nil {
		t.Errorf("an optional dependency without containers: %v", err)
	}
	golden(t, p, "")
	s.change("nice", replicas(0)).change("init", replicas(0))
	if _, err := s.present().Start(false); err != nil {
		t.Errorf("services scaled to nothing: %v", err)
	}
}

// "up side", "stop" and "start" start side again, with docker compose as here.
func TestStartOfAllLeavesOutWhatWasNeverMade(t *testing.T) {
	s := world(service("app", dependsOn("db", placement.Healthy)), service("db"), service("side"), service("web", dependsOn("app", placement.Started)))
	if _, err := s.present().Start(false); err == nil || !strings.Contains(err.Error(), `service "side" has no container to start`) {
		t.Errorf("nothing was made: %v", err)
	}
	s.up(t, UpOptions{Services: []string{"side"}})
	s.state("exited", "app-side-1")
	p, err := s.present().Start(false)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, p, `
		0 start side.1 (is exited)
		warning: service "app" has no container to start; make it with "berth up"
		warning: service "db" has no container to start; make it with "berth up"
		warning: service "web" has no container to start; make it with "berth up"`)
	if _, err := s.present("app").Start(false); err == nil {
		t.Error("app was named and has no container")
	}
	s.up(t, UpOptions{Services: []string{"app"}, NoDeps: true})
	if _, err := s.present().Start(false); err == nil || !strings.Contains(err.Error(), `service "db" has no container to start`) {
		t.Errorf("app waits for db: %v", err)
	}
}

func TestStartLeavesTasksOnAHostThatDoesNotAnswer(t *testing.T) {
	s := stack(t).lost("b").state("exited", "app-web-2")
	s.o.Containers = dropHost(s.o.Containers, "b")
	p, err := s.present("web").Start(false)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, p, `
		0 start web.2 on a (is exited)
		failure: host b is unreachable (no route to host): init.1, web.1 were left alone`)
	s.o.Revision, s.o.Recorded, s.o.Endpoints = 0, nil, nil
	p, err = s.present("web").Start(false)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, p, `
		0 start web.2 on a (is exited)
		failure: host b is unreachable (no route to host): what it runs of project app was left alone`)
}

func TestWithoutAFileTheLabelsSayWhatDependsOnWhat(t *testing.T) {
	s := stack(t).state("exited", "app-db-1", "app-init-1", "app-web-1", "app-web-2", "app-site-1")
	s.container("app-web-1").Labels = map[string]string{"com.docker.compose.depends_on": "db:service_healthy:true,init:service_completed_successfully:false"}
	s.p = nil
	p, err := s.present("web").Start(false)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, p, `
		0 start db.1 on a (is exited)
		1 start init.1 on b (is exited)
		2 wait db.1 until healthy on a after 0
		3 wait init.1 until completed on b after 1
		4 start web.1 on b (is exited) after 2,3
		5 start web.2 on a (is exited) after 2,3`)
	golden(t, s.present("db").Restart(false, nil), `
		0 restart db.1 on a
		1 wait db.1 until healthy on a after 0
		2 restart web.1 on b (a dependency is restarted) after 1
		3 restart web.2 on a (a dependency is restarted) after 1`)
	if _, err := s.present("nope").Start(false); err == nil || !strings.Contains(err.Error(), "no such service") {
		t.Errorf("got %v", err)
	}
	if _, err := NewPresent("gone", nil, world().o, nil).Start(false); err == nil || !strings.Contains(err.Error(), `no container found for project "gone"`) {
		t.Errorf("got %v", err)
	}
}

func TestStopEndsDependentsFirst(t *testing.T) {
	s := stack(t).state("exited", "app-init-1").state("paused", "app-web-1")
	second := time.Second
	p := s.present().Stop(&second, "")
	golden(t, p, `
		0 stop site.1 on a
		1 stop web.2 on a after 0
		2 stop web.1 on b after 0
		3 stop db.1 on a after 1,2`)
	if p.Steps[0].Timeout != &second || p.Steps[0].Service == nil {
		t.Errorf("got %+v", p.Steps[0])
	}
	golden(t, s.present("db").Stop(nil, ""), `
		0 stop db.1 on a`)
	s.apply(t, p)
	golden(t, s.present().Stop(nil, ""), "")
}

func TestRestartTakesAlongThoseWhoAskForIt(t *testing.T) {
	s := stack(t).state("exited", "app-init-1")
	golden(t, s.present("db").Restart(false, nil), `
		0 restart db.1 on a
		1 wait db.1 until healthy on a after 0
		2 restart web.1 on b (a dependency is restarted) after 1
		3 restart web.2 on a (a dependency is restarted) after 1`)
	golden(t, s.present("db").Restart(true, nil), `
		0 restart db.1 on a`)
	golden(t, s.present().Restart(false, nil), `
		0 restart db.1 on a
		1 restart init.1 on b
		2 wait db.1 until healthy on a after 0
		3 restart web.1 on b after 1,2
		4 restart web.2 on a after 1,2
		5 restart site.1 on a after 3,4`)
}

func TestKillSignalsWhatRuns(t *testing.T) {
	s := shop(t)
	golden(t, s.present("web").Kill(KillOptions{Signal: "SIGHUP"}), `
		0 kill web.1 with SIGHUP
		1 kill app-web-run-1 with SIGHUP`)
	golden(t, s.present().Kill(KillOptions{RemoveOrphans: true}), `
		0 kill db.1
		1 kill old.1
		2 remove old.1 (orphan) after 1
		3 kill site.1
		4 kill web.1
		5 kill app-web-run-1`)
}

func TestPauseFreezesWhatRuns(t *testing.T) {
	s := stack(t).state("exited", "app-init-1")
	golden(t, s.present("web", "init").Pause(), `
		0 pause web.1 on b
		1 pause web.2 on a`)
	golden(t, s.present("db").Unpause(), `
		0 unpause db.1 on a`)
}

func TestRmTakesWhatIsStoppedAndItsRecords(t *testing.T) {
	s := world(host("a"), host("b"), service("db", on("back"), mounts("")), service("web", replicas(2), on("back"),
		dependsOn("db", placement.Started))).up(t).state("exited", "app-web-1").state("created", "app-web-2")
	p := s.present().Clear(ClearOptions{Volumes: true})
	golden(t, p, `
		0 remove web.1 on b
		1 remove web.2 on a
		2 forget after 0,1`)
	if len(p.Forget.DropTasks) != 2 || len(p.Forget.DropEndpoint) != 2 || !p.Steps[0].Anonymous {
		t.Errorf("forgets %+v, first %+v", p.Forget, p.Steps[0])
	}
	s.apply(t, p)
	golden(t, s.present().Clear(ClearOptions{}), "")
	golden(t, s.present().Clear(ClearOptions{Stop: true}), `
		0 stop db.1 on a
		1 remove db.1 on a after 0
		2 forget after 1`)
}
