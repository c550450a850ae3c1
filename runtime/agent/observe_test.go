package agent

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/ledger"
)

// inspected is an engine whose containers answer when the test lets them.
type inspected struct {
	Engine
	answers chan engine.State
	listed  []engine.ContainerInfo
	during  func() // happens while the engine lists
}

func (i *inspected) State(ctx context.Context, _ string) (engine.State, error) {
	return <-i.answers, nil
}

func (i *inspected) Containers(context.Context, engine.Filter) ([]engine.ContainerInfo, error) {
	if i.during != nil {
		i.during()
	}
	return i.listed, nil
}

func happened(o *observer, action string) {
	o.event(context.Background(), engine.Event{Type: "container", Action: action, ID: "1", Name: "web-1"})
}

func expectStates(t *testing.T, o *observer, want map[string]ledger.State) {
	t.Helper()
	o.wg.Wait()
	if diff := cmp.Diff(want, o.take().containers); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestStatesFollowTheEventsOfAContainer(t *testing.T) {
	e := &inspected{answers: make(chan engine.State, 1)}
	o := newObserver(e, slog.New(slog.DiscardHandler))
	e.answers <- engine.State{ID: "1", Name: "web-1", Status: "running", Running: true, Health: "starting"}
	happened(o, "start")
	expectStates(t, o, map[string]ledger.State{"web-1": {Running: true, Health: "starting"}})
	happened(o, "health_status: healthy")
	expectStates(t, o, map[string]ledger.State{"web-1": {Running: true, Health: "healthy"}})
	happened(o, "exec_start: top")
	expectStates(t, o, nil)
	happened(o, "pause")
	expectStates(t, o, map[string]ledger.State{"web-1": {}})
	happened(o, "die")
	expectStates(t, o, map[string]ledger.State{"web-1": {}}) // and is nowhere any more
	happened(o, "destroy")
	expectStates(t, o, map[string]ledger.State{})
}

func startedAt(o *observer, at time.Time, record string) {
	o.event(context.Background(), engine.Event{Type: "container", Action: "start", ID: "1", Name: "web-1", Time: at,
		Attributes: map[string]string{placement.RecordLabel: record}})
}

func TestAStartWithoutAHealthCheckCountsBeforeTheEngineIsAsked(t *testing.T) {
	e := &inspected{answers: make(chan engine.State)}
	o := newObserver(e, slog.New(slog.DiscardHandler))
	startedAt(o, time.Now(), `{"unchecked":true}`)
	serving := map[string]ledger.State{"web-1": {Running: true}}
	if diff := cmp.Diff(serving, o.take().containers); diff != "" {
		t.Errorf("states with the event alone (-want +got):\n%s", diff)
	}
	at := map[string]engine.Address{"net": {NetworkID: "n"}}
	e.answers <- engine.State{ID: "1", Name: "web-1", Status: "running", Running: true, Networks: at}
	o.wg.Wait()
	news := o.take()
	if diff := cmp.Diff(serving, news.containers); diff != "" {
		t.Errorf("states with the engine's answer (-want +got):\n%s", diff)
	}
	if got := news.joined["web-1"]; !got.looked || got.networks["net"].NetworkID != "n" {
		t.Errorf("where it is: %+v", got)
	}
	startedAt(o, time.Now(), `{"unchecked":true}`)
	happened(o, "die")
	e.answers <- engine.State{ID: "1", Name: "web-1", Status: "running", Running: true}
	expectStates(t, o, map[string]ledger.State{"web-1": {}})
}

func TestAStartThatTellsTooLittleWaitsForTheEngine(t *testing.T) {
	for name, start := range map[string]func(*observer){
		"there may be a health check": func(o *observer) { startedAt(o, time.Now(), `{}`) },
		"no container of berth's":     func(o *observer) { startedAt(o, time.Now(), "") },
		"an event of long ago":        func(o *observer) { startedAt(o, time.Now().Add(-2*fresh), `{"unchecked":true}`) },
	} {
		t.Run(name, func(t *testing.T) {
			e := &inspected{answers: make(chan engine.State)}
			o := newObserver(e, slog.New(slog.DiscardHandler))
			start(o)
			if got := o.take().containers; got != nil {
				t.Errorf("states with the event alone: %v", got)
			}
			e.answers <- engine.State{ID: "1", Name: "web-1", Status: "running", Running: true, Health: "starting"}
			expectStates(t, o, map[string]ledger.State{"web-1": {Running: true, Health: "starting"}})
		})
	}
}

func TestTheEnginesAnswerOverrulesARecordThatIsWrong(t *testing.T) {
	e := &inspected{answers: make(chan engine.State, 1)}
	o := newObserver(e, slog.New(slog.DiscardHandler))
	e.answers <- engine.State{ID: "1", Name: "web-1", Status: "running", Running: true, Health: "starting"}
	startedAt(o, time.Now(), `{"unchecked":true}`)
	expectStates(t, o, map[string]ledger.State{"web-1": {Running: true, Health: "starting"}})
}

func TestAnInspectionThatCameLateDoesNotOverruleALaterEvent(t *testing.T) {
	e := &inspected{answers: make(chan engine.State)}
	o := newObserver(e, slog.New(slog.DiscardHandler))
	happened(o, "start")
	happened(o, "die")
	e.answers <- engine.State{ID: "1", Name: "web-1", Status: "running", Running: true}
	expectStates(t, o, map[string]ledger.State{"web-1": {}})
}

func TestAListingDoesNotOverruleWhatHappenedMeanwhile(t *testing.T) {
	e := &inspected{listed: []engine.ContainerInfo{{ID: "1", Name: "web-1", State: "running"}, {ID: "2", Name: "db-1", State: "exited"}}}
	o := newObserver(e, slog.New(slog.DiscardHandler))
	e.during = func() { happened(o, "die") }
	if _, err := o.list(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectStates(t, o, map[string]ledger.State{"web-1": {}, "db-1": {}})
	e.listed, e.during = e.listed[:1], nil
	if _, err := o.list(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectStates(t, o, map[string]ledger.State{"web-1": {Running: true}})
}

func TestAContainerThatIsPausedKeepsItsPlace(t *testing.T) {
	at := map[string]engine.Address{"net": {NetworkID: "n"}}
	e := &inspected{answers: make(chan engine.State, 1)}
	o := newObserver(e, slog.New(slog.DiscardHandler))
	e.answers <- engine.State{ID: "1", Name: "web-1", Status: "running", Running: true, Networks: at}
	happened(o, "start")
	o.wg.Wait()
	happened(o, "pause")
	news := o.take()
	if news.containers["web-1"].Running || len(news.joined["web-1"].networks) != 1 {
		t.Errorf("paused: %+v on %v; want it not to serve, and on its network", news.containers["web-1"], news.joined["web-1"].networks)
	}
	happened(o, "die")
	if got := o.take().joined["web-1"].networks; got != nil {
		t.Errorf("dead: on %v", got)
	}
}

func TestAListingDoesNotBringBackWhatWentMeanwhile(t *testing.T) {
	e := &inspected{listed: []engine.ContainerInfo{{ID: "1", Name: "web-1", State: "running"}}}
	o := newObserver(e, slog.New(slog.DiscardHandler))
	e.during = func() {
		happened(o, "die")
		happened(o, "destroy")
	}
	if _, err := o.list(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectStates(t, o, map[string]ledger.State{})
	e.listed, e.during = nil, nil
	if _, err := o.list(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(o.latest) != 0 {
		t.Errorf("of a container that is gone is remembered: %v", o.latest)
	}
}

func TestOfTwoContainersWithOneNameTheRunningOneCounts(t *testing.T) {
	e := &inspected{listed: []engine.ContainerInfo{{ID: "1", Name: "web-1", State: "exited"}, {ID: "2", Name: "web-1", State: "running", Health: "healthy"}}}
	o := newObserver(e, slog.New(slog.DiscardHandler))
	if _, err := o.list(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectStates(t, o, map[string]ledger.State{"web-1": {Running: true, Health: "healthy"}})
}
