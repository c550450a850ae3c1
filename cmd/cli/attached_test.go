package cli

import (
	"io"
	"strings"
	"testing"

	"berth/placement"
	"berth/runtime/cluster"
	"berth/runtime/engine"
	"berth/runtime/execute"
	"berth/runtime/logs"
	"berth/scheduler"
)

func TestAnEndThatComesBeforeTheStartIsReportedIsSaid(t *testing.T) {
	inv := &placement.Inventory{Hosts: []placement.InventoryHost{{Name: "a", Address: "unix:///nowhere/a.sock"}}}
	c, err := cluster.Connect(inv, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	var shown strings.Builder
	ss := &session{settings: &settings{env: Env{Stderr: io.Discard}}, name: "shop", inv: inv, cluster: c}
	task := placement.Task{Service: "web", Number: 1}
	made := scheduler.Step{Kind: scheduler.Start, Host: "a", Name: "shop-web-1", Task: task}
	found := scheduler.Step{Kind: scheduler.Start, Host: "a", Name: "shop-db-1", Task: placement.Task{Service: "db", Number: 1}, ContainerID: "db"}
	a := &attached{
		ss: ss, o: attachOptions{attach: map[string]bool{"web": true, "db": true}}, plan: &scheduler.Plan{Steps: []scheduler.Step{made, found}}, begun: true,
		tracked: map[string]*track{}, early: map[string][]engine.Event{},
		printer: logs.NewPrinter(&shown, &shown, logs.PrinterOptions{}),
	}
	a.ctx, a.cancel = t.Context(), func() {}
	a.follower = logs.NewFollower(logs.Merger{Idle: func() {}, Report: func(logs.Notice) {}}, nil, logs.Options{Follow: true})
	event := func(id, name, service, action string) {
		a.event("a", engine.Event{Type: "container", Action: action, ID: id, Name: name, Attributes: map[string]string{
			"exitCode": "4", "com.docker.compose.project": "shop", "com.docker.compose.service": service,
			"com.docker.compose.container-number": "1", "com.docker.compose.oneoff": "False",
		}})
	}
	for _, action := range []string{"start", "die", "start", "die"} {
		event("web", "shop-web-1", "web", action)
		event("db", "shop-db-1", "db", action) // of an earlier command, for all that is known
	}
	a.step(execute.Report{Step: &made, Phase: execute.Done, Container: "web"})
	a.step(execute.Report{Step: &found, Phase: execute.Done, Container: "db"})
	a.work.Wait()
	if got := shown.String(); got != "web-1 exited with code 4 (restarting)\n" {
		t.Errorf("said %q", got)
	}
	if tr := a.tracked["web"]; tr == nil || tr.died == nil || *tr.died != 4 {
		t.Errorf("the second end is forgotten: %+v", tr)
	}
}
