package progress

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// screen is a tty display on a terminal, in a bubble whose clock only the test moves.
type screen struct {
	t  *testing.T
	vt *vt
	d  Display
}

// onScreen runs a test against a display on a terminal of that size.
func onScreen(t *testing.T, width, height int, o Options, test func(s *screen)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &screen{t: t, vt: newVT(width, height)}
		o.Mode, o.Out, o.Color = TTY, s.vt, true
		o.Size = s.vt.size
		s.d = New(o)
		defer s.d.Close()
		test(s)
		s.d.Close()
		synctest.Wait()
		if s.vt.hidden {
			t.Error("the cursor is left hidden")
		}
		if len(s.vt.unknown) > 0 {
			t.Errorf("sequences that the terminal does not know: %q", s.vt.unknown)
		}
	})
}

// pass lets time go by and the display redraw.
func (s *screen) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (s *screen) want(text string) {
	s.t.Helper()
	if diff := cmp.Diff(strings.TrimPrefix(text, "\n"), s.vt.text()); diff != "" {
		s.t.Errorf("screen (-want +got):\n%s", diff)
	}
}

func working(id, text string) Event { return Event{ID: id, Text: text} }
func done(id, text string) Event    { return Event{ID: id, Text: text, Status: Done} }

func TestLinesAreRewrittenInPlaceAndTheFinalStateStays(t *testing.T) {
	onScreen(t, 60, 20, Options{}, func(s *screen) {
		fmt.Fprintln(s.vt, "$ berth up")
		s.d.Event(working("Network p_default", "Creating"))
		s.d.Event(working("Container p-web-1", "Creating"))
		s.pass(100 * time.Millisecond)
		s.want(`
$ berth up
[+] Running 0/2
 ⠋ Network p_default  Creating                         0.1s
 ⠋ Container p-web-1  Creating                         0.1s
`)
		s.d.Event(done("Network p_default", "Created"))
		s.pass(1100 * time.Millisecond)
		s.want(`
$ berth up
[+] Running 1/2
 ✔ Network p_default  Created                          0.1s
 ⠙ Container p-web-1  Creating                         1.2s
`)
		s.d.Event(Event{ID: "Container p-web-1", Text: "Error", Status: Failed, Details: "no such image:\n\x1b[2Japp:v3"})
		s.d.Close()
		s.want(`
$ berth up
[+] Running 2/2
 ✔ Network p_default  Created                          0.1s
 ✘ Container p-web-1  Error no such image:  [2Japp:v3  1.2s
`)
	})
}

func TestATerminalThatGetsNarrowerKeepsOneCopyOfEachLine(t *testing.T) {
	onScreen(t, 60, 20, Options{}, func(s *screen) {
		fmt.Fprintln(s.vt, "$ berth up")
		s.d.Event(working("Container p-web-1", "Creating"))
		s.d.Event(working("Container p-web-2", "Creating"))
		s.pass(100 * time.Millisecond)
		s.vt.resize(34, 20)
		s.pass(100 * time.Millisecond)
		s.want(`
$ berth up
[+] Running 0/2
 ⠙ Container p-web-1  Creati 0.2s
 ⠙ Container p-web-2  Creati 0.2s
`)
		s.vt.resize(50, 20)
		s.pass(100 * time.Millisecond)
		s.want(`
$ berth up
[+] Running 0/2
 ⠹ Container p-web-1  Creating               0.3s
 ⠹ Container p-web-2  Creating               0.3s
`)
	})
}

func TestAListLongerThanTheTerminalIsClippedUntilTheEnd(t *testing.T) {
	onScreen(t, 60, 8, Options{}, func(s *screen) {
		fmt.Fprintln(s.vt, "$ berth up")
		for i := range 10 {
			s.d.Event(working(fmt.Sprintf("Container p-web-%d", i), "Starting"))
			if i < 6 {
				s.pass(time.Millisecond)
				s.d.Event(done(fmt.Sprintf("Container p-web-%d", i), "Started"))
			}
		}
		s.d.Event(Event{ID: "Container p-web-1", Text: "Error", Status: Failed})
		s.pass(100 * time.Millisecond)
		s.want(`
$ berth up
[+] Running 6/10
 ✘ Container p-web-1  Error                            0.0s
 ⠋ Container p-web-6  Starting                         0.1s
 ⠋ Container p-web-7  Starting                         0.1s
 ⠋ Container p-web-8  Starting                         0.1s
 ⠋ Container p-web-9  Starting                         0.1s
 … and 5 more (0 working, 5 finished)
`)
		for i := 6; i < 10; i++ {
			s.d.Event(done(fmt.Sprintf("Container p-web-%d", i), "Started"))
		}
		s.d.Close()
		lines := strings.Split(strings.TrimSpace(s.vt.text()), "\n")
		if len(lines) != 12 || lines[1] != "[+] Running 10/10" || strings.Count(s.vt.text(), "p-web-") != 10 {
			t.Errorf("final screen:\n%s", s.vt.text())
		}
	})
}

func TestAClippedListShowsWhatEndedLast(t *testing.T) {
	onScreen(t, 60, 6, Options{}, func(s *screen) {
		for i := range 6 {
			s.d.Event(working(fmt.Sprintf("Container p-web-%d", i), "Starting"))
		}
		for _, i := range []int{4, 2, 0, 3, 1} {
			s.pass(time.Millisecond)
			s.d.Event(done(fmt.Sprintf("Container p-web-%d", i), "Started"))
		}
		s.pass(100 * time.Millisecond)
		s.want(`
[+] Running 5/6
 ✔ Container p-web-1  Started                          0.0s
 ✔ Container p-web-3  Started                          0.0s
 ⠋ Container p-web-5  Starting                         0.1s
 … and 3 more (0 working, 3 finished)
`)
	})
}

func TestTheTimeOfALineIsThatOfItsLastChangeOfStatus(t *testing.T) {
	onScreen(t, 60, 20, Options{}, func(s *screen) {
		s.d.Event(working("Container p-a-1", "Starting"))
		s.d.Event(working("Container p-b-1", "Starting"))
		s.pass(time.Second)
		s.d.Event(done("Container p-a-1", "Started"))
		s.d.Event(done("Container p-b-1", "Started"))
		s.pass(time.Second)
		s.d.Event(done("Container p-a-1", "Healthy"))
		s.d.Event(Event{ID: "Container p-b-1", Text: "Error", Status: Failed})
		s.d.Close()
		s.want(`
[+] Running 2/2
 ✔ Container p-a-1  Healthy                            1.0s
 ✘ Container p-b-1  Error                              2.0s
`)
	})
}

func TestWarningsScrollUpAboveTheLiveLines(t *testing.T) {
	onScreen(t, 40, 20, Options{}, func(s *screen) {
		s.d.Event(working("Container p-web-1", "Creating"))
		s.pass(100 * time.Millisecond)
		s.d.Warn("web: key isolation is not honoured by this engine")
		s.pass(100 * time.Millisecond)
		s.d.Event(done("Container p-web-1", "Created"))
		s.d.Close()
		s.want(`
web: key isolation is not honoured by this engine
[+] Running 1/1
 ✔ Container p-web-1  Created      0.2s
`)
	})
}

func TestHostsAreAColumnOnAClusterAndATransferHasABar(t *testing.T) {
	onScreen(t, 76, 20, Options{Hosts: true, Title: "Pulling"}, func(s *screen) {
		s.d.Event(Event{ID: "Image nginx", Host: "web-back1", Text: "Pulling 45%", Current: 45e6, Total: 1e8})
		s.d.Event(Event{ID: "Image nginx", Host: "b", Text: "Pulled", Status: Done})
		s.d.Event(Event{ID: "Container p-web-1", Host: "b", Text: "Skipped", Status: Skipped})
		s.pass(100 * time.Millisecond)
		s.want(`
[+] Pulling 2/3
 ⠋ Image nginx        web-back1  Pulling 45% [⣿⣿⣿⣤⠀⠀⠀⠀] 45MB / 100MB   0.1s
 ✔ Image nginx        b          Pulled                                0.0s
 - Container p-web-1  b          Skipped                               0.0s
`)
	})
}

func TestASkippedStepDoesNotHideTheFailureOfItsResource(t *testing.T) {
	onScreen(t, 60, 20, Options{}, func(s *screen) {
		s.d.Event(Event{ID: "Container p-web-1", Text: "Error", Status: Failed, Details: "no space left"})
		s.d.Event(Event{ID: "Container p-web-1", Text: "Skipped", Status: Skipped})
		s.d.Close()
		s.want(`
[+] Running 1/1
 ✘ Container p-web-1  Error no space left              0.0s
`)
	})
}

func TestNothingIsWrittenWhenNothingHappened(t *testing.T) {
	onScreen(t, 60, 20, Options{}, func(s *screen) {
		s.d.Event(Event{Text: "an event without a resource"})
		s.pass(time.Second)
		s.d.Close()
		s.want("\n\n")
	})
}

func TestAFinishedScreenIsNotRedrawn(t *testing.T) {
	onScreen(t, 60, 20, Options{}, func(s *screen) {
		s.d.Event(done("Container p-web-1", "Running"))
		s.pass(100 * time.Millisecond)
		drawn := s.d.(*tty).frames
		s.pass(time.Second)
		if n := s.d.(*tty).frames; n != drawn {
			t.Errorf("%d redraws of a finished screen", n-drawn)
		}
	})
}

func TestTheColoursAreComposes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		d := New(Options{Mode: TTY, Out: &b, Color: true, Size: func() (int, int) { return 41, 10 }})
		d.Event(done("Container p-web-1", "Started"))
		d.Event(Event{ID: "Container p-db-1", Text: "Skipped", Status: Warning})
		d.Close()
		want := "\x1b[?25l\r\x1b[0J" +
			"\x1b[34m[+] Running 2/2\x1b[0m\x1b[0K\n" +
			" \x1b[32m✔\x1b[0m Container p-web-1  \x1b[32mStarted\x1b[0m       \x1b[34m0.0s\x1b[0m\x1b[0K\n" +
			" \x1b[33m\x1b[1m!\x1b[0m Container p-db-1   \x1b[33m\x1b[1mSkipped\x1b[0m       \x1b[34m0.0s\x1b[0m\x1b[0K\n" +
			"\x1b[0J\x1b[?25h"
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("bytes (-want +got):\n%s", diff)
		}
	})
}

func TestAQuestionStaysBelowTheWarningsThatWereThereBefore(t *testing.T) {
	onScreen(t, 60, 20, Options{}, func(s *screen) {
		s.d.Event(done("Image app", "Built"))
		s.pass(100 * time.Millisecond)
		s.d.Warn("variable TAG is not set")
		s.d.Yield()
		fmt.Fprint(s.vt, "Recreate? [y/N] ")
		s.pass(time.Second)
		fmt.Fprintln(s.vt, "y")
		s.d.Event(done("Volume data", "Created"))
		s.d.Close()
		s.want(`
variable TAG is not set
[+] Running 1/1
 ✔ Image app  Built                                    0.0s
Recreate? [y/N] y
[+] Running 2/2
 ✔ Image app    Built                                  0.0s
 ✔ Volume data  Created                                0.0s
`)
	})
}
