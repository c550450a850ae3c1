package progress

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"berth/placement"
	"berth/scheduler"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// news is a bit of everything.
func news(d Display) {
	d.Event(Event{ID: "Network p_default", Host: "a", Text: "Creating"})
	d.Event(Event{ID: "Network p_default", Host: "a", Text: "Created", Status: Done})
	d.Event(Event{ID: "Image nginx", Host: "a", Text: "Pulling"})
	d.Event(Event{ID: "Image nginx", Host: "a", Text: "Pulling 1%", Current: 1, Total: 100})
	d.Event(Event{ID: "Image nginx", Host: "a", Text: "Pulling 2%", Current: 2, Total: 100})
	d.Event(Event{ID: "Image nginx", Host: "a", Text: "Pulled", Status: Done})
	d.Warn("web: key isolation is not honoured")
	d.Event(Event{})
	d.Event(Event{ID: "Container p-web-1", Host: "a", Text: "Error", Status: Failed, Details: "no space\nleft"})
	d.Event(Event{ID: "Container p-web-1", Host: "a", Text: "Skipped", Status: Skipped})
	d.Event(Event{ID: "Container p-db-1", Host: "a", Text: "Skipped", Status: Warning})
	d.Close()
	d.Close()
	d.Event(Event{ID: "Container p-late-1", Text: "Started"})
	d.Warn("late")
}

func TestModesWithoutATerminal(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"plain, one host", Options{Mode: Plain}, `
 Network p_default  Creating
 Network p_default  Created
 Image nginx  Pulling
 Image nginx  Pulled
web: key isolation is not honoured
 Container p-web-1  Error: no space left
 Container p-db-1  Skipped
`},
		{"auto without a terminal, cluster, dry run", Options{Mode: Auto, Hosts: true, DryRun: true}, `
 DRY-RUN MODE -  Network p_default  Creating on a
 DRY-RUN MODE -  Network p_default  Created on a
 DRY-RUN MODE -  Image nginx  Pulling on a
 DRY-RUN MODE -  Image nginx  Pulled on a
 DRY-RUN MODE - web: key isolation is not honoured
 DRY-RUN MODE -  Container p-web-1  Error on a: no space left
 DRY-RUN MODE -  Container p-db-1  Skipped on a
`},
		{"json", Options{Mode: JSON, Hosts: true}, `
{"id":"Network p_default","host":"a","status":"Creating"}
{"id":"Network p_default","host":"a","status":"Created"}
{"id":"Image nginx","host":"a","status":"Pulling"}
{"id":"Image nginx","host":"a","status":"Pulling 1%","current":1,"total":100,"percent":1}
{"id":"Image nginx","host":"a","status":"Pulling 2%","current":2,"total":100,"percent":2}
{"id":"Image nginx","host":"a","status":"Pulled"}
{"tail":true,"text":"web: key isolation is not honoured"}
{"id":"Container p-web-1","host":"a","text":"no space\nleft","status":"Error"}
{"id":"Container p-db-1","host":"a","status":"Skipped"}
`},
		{"quiet", Options{Mode: Quiet}, `
web: key isolation is not honoured
 Container p-web-1  Error: no space left
 Container p-db-1  Skipped
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			c.o.Out = &b
			news(New(c.o))
			if diff := cmp.Diff(c.want[1:], b.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryModeTakesEventsFromManyGoroutines(t *testing.T) {
	for _, mode := range []Mode{TTY, Plain, JSON, Quiet} {
		t.Run(string(mode), func(t *testing.T) {
			var b strings.Builder // guarded by the display
			d := New(Options{Mode: mode, Out: &b, Hosts: true})
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					for i := range 50 {
						d.Event(Event{ID: fmt.Sprintf("Container p-web-%d", i), Host: fmt.Sprint(g), Text: "Starting"})
						d.Event(Event{ID: fmt.Sprintf("Container p-web-%d", i), Host: fmt.Sprint(g), Text: "Error", Status: Failed})
					}
					d.Warn("done")
					d.Close()
				})
			}
			wg.Wait()
			if n := strings.Count(b.String(), "done"); n == 0 {
				t.Error("nothing was shown")
			}
		})
	}
}

func TestModeFollowsProgressAndAnsiAsComposeDoes(t *testing.T) {
	for _, c := range []struct {
		progress, ansi string
		want           Mode
		fails          bool
	}{
		{"", "", Auto, false}, {"auto", "auto", Auto, false}, {"auto", "never", Plain, false}, {"", "always", TTY, false},
		{"tty", "auto", TTY, false}, {"tty", "never", "", true}, {"plain", "", Plain, false}, {"plain", "always", "", true},
		{"json", "never", JSON, false}, {"quiet", "always", Quiet, false}, {"none", "", Quiet, false},
		{"rainbow", "", "", true}, {"", "sometimes", "", true},
	} {
		got, err := ParseMode(c.progress, c.ansi)
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("ParseMode(%q, %q) = %q, %v; want %q", c.progress, c.ansi, got, err, c.want)
		}
	}
	if !Color("always", false, false) || Color("always", true, true) || Color("auto", false, false) || Color("never", true, false) {
		t.Error("Color does not follow --ansi and NO_COLOR")
	}
}

func TestStepsSpeakComposesWords(t *testing.T) {
	for _, c := range []struct {
		step          scheduler.Step
		id            string
		before, after string
	}{
		{scheduler.Step{Kind: scheduler.Record}, "", "", ""},
		{scheduler.Step{Kind: scheduler.Forget}, "", "", ""},
		{scheduler.Step{Kind: scheduler.Rename, Name: "x_p-web-1", To: "p-web-1"}, "", "", ""},
		{scheduler.Step{Kind: scheduler.CreateNetwork, Name: "p_default"}, "Network p_default", "Creating", "Created"},
		{scheduler.Step{Kind: scheduler.RemoveNetwork, Name: "p_default"}, "Network p_default", "Removing", "Removed"},
		{scheduler.Step{Kind: scheduler.CreateVolume, Name: "p_data"}, "Volume p_data", "Creating", "Created"},
		{scheduler.Step{Kind: scheduler.RemoveVolume, Name: "p_data"}, "Volume p_data", "Removing", "Removed"},
		{scheduler.Step{Kind: scheduler.Pull, Name: "nginx"}, "Image nginx", "Pulling", "Pulled"},
		{scheduler.Step{Kind: scheduler.Create, Name: "p-web-1"}, "Container p-web-1", "Creating", "Created"},
		{scheduler.Step{Kind: scheduler.Create, Name: "x_p-web-1", Replaces: "p-web-1"}, "Container p-web-1", "Recreate", "Recreated"},
		{scheduler.Step{Kind: scheduler.Start, Name: "p-web-1"}, "Container p-web-1", "Starting", "Started"},
		{scheduler.Step{Kind: scheduler.Stop, Name: "p-web-1"}, "Container p-web-1", "Stopping", "Stopped"},
		{scheduler.Step{Kind: scheduler.Remove, Name: "p-web-1"}, "Container p-web-1", "Removing", "Removed"},
		{scheduler.Step{Kind: scheduler.Wait, Name: "p-db-1", Condition: placement.Healthy}, "Container p-db-1", "Waiting", "Healthy"},
		{scheduler.Step{Kind: scheduler.Wait, Name: "p-db-1", Condition: placement.Started}, "Container p-db-1", "Waiting", "Started"},
		{scheduler.Step{Kind: scheduler.Wait, Name: "p-db-1", Condition: placement.Started, Running: true}, "Container p-db-1", "Waiting", "Healthy"},
		{scheduler.Step{Kind: scheduler.Wait, Name: "p-init-1", Condition: placement.Completed}, "Container p-init-1", "Waiting", "Exited"},
	} {
		c.step.Host = "a"
		want := func(text string, s Status) Event {
			if c.id == "" {
				return Event{}
			}
			return Event{ID: c.id, Host: "a", Text: text, Status: s}
		}
		for _, p := range []struct {
			status Status
			want   Event
		}{{Working, want(c.before, Working)}, {Done, want(c.after, Done)}, {Skipped, want("Skipped", Skipped)}} {
			if diff := cmp.Diff(p.want, FromStep(c.step, p.status, nil)); diff != "" {
				t.Errorf("%s %s, status %d (-want +got):\n%s", c.step.Kind, c.step.Name, p.status, diff)
			}
		}
	}
}

func TestFailedStepsNameTheCause(t *testing.T) {
	cause := errors.New("no such host")
	for _, c := range []struct {
		step scheduler.Step
		want Event
	}{
		{scheduler.Step{Kind: scheduler.Create, Name: "c"}, Event{ID: "Container c", Text: "Error", Status: Failed, Details: "no such host"}},
		{scheduler.Step{Kind: scheduler.Stop, Name: "c"}, Event{ID: "Container c", Text: "Error while Stopping", Status: Failed, Details: "no such host"}},
		{
			scheduler.Step{Kind: scheduler.Wait, Name: "c", Task: placement.Task{Service: "db", Number: 1}, Optional: true},
			Event{ID: "Container c", Text: "Skipped", Status: Warning, Details: `optional dependency "db" failed to start: no such host`},
		},
	} {
		if diff := cmp.Diff(c.want, FromStep(c.step, c.want.Status, cause)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.step.Kind, diff)
		}
	}
}

func TestARecreateIsOneLine(t *testing.T) {
	p := &scheduler.Plan{Steps: []scheduler.Step{
		{Kind: scheduler.Create, Name: "x_p-web-1", Replaces: "p-web-1"},
		{Kind: scheduler.Stop, Name: "p-web-1"},
		{Kind: scheduler.Remove, Name: "p-web-1"},
		{Kind: scheduler.Rename, Name: "x_p-web-1", To: "p-web-1"},
		{Kind: scheduler.Start, Name: "p-web-1"},
		{Kind: scheduler.Stop, Name: "p-web-2"},
	}}
	s := StepsOf(p)
	var got []string
	for _, step := range p.Steps {
		for _, status := range []Status{Working, Done} {
			if e := s.Event(step, status, nil); e.ID != "" {
				got = append(got, e.ID+" "+e.Text)
			}
		}
	}
	want := []string{
		"Container p-web-1 Recreate", "Container p-web-1 Recreated", "Container p-web-1 Starting", "Container p-web-1 Started",
		"Container p-web-2 Stopping", "Container p-web-2 Stopped",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if e := s.Event(p.Steps[1], Failed, errors.New("timed out")); e.ID != "Container p-web-1" || e.Status != Failed {
		t.Errorf("a failed stop of the old container is not shown: %+v", e)
	}
}
