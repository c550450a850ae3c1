package logs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawn is a line of a property test: where it is from, so that loss and order can be checked.
type drawn struct {
	Stream, Number int
	Time           time.Time
}

// drawStreams makes streams of some lines; times go up within a stream if sorted, and often are the same.
func drawStreams(t *rapid.T, sorted bool) ([]Stream, []drawn) {
	var sources []Source
	var all []drawn
	for s := range rapid.IntRange(0, 6).Draw(t, "streams") {
		ms := rapid.SliceOfN(rapid.IntRange(0, 20), 0, 30).Draw(t, "times")
		if sorted {
			slices.Sort(ms)
		}
		j := newJournal()
		for n, x := range ms {
			j.lines = append(j.lines, line(x, fmt.Sprintf("%d %d", s, n)))
			all = append(all, drawn{s, n, at(x)})
		}
		sources = append(sources, j)
	}
	return streams(sources...), all
}

func merged(t *rapid.T, all []Stream) []drawn {
	var got []drawn
	err := Merge(context.Background(), all, Options{}, func(_ Stream, l Line) {
		d := drawn{Time: l.Time}
		if _, err := fmt.Sscan(string(l.Text), &d.Stream, &d.Number); err != nil {
			t.Fatal(err)
		}
		got = append(got, d)
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTheMergeIsSortedStableAndLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, want := drawStreams(t, true)
		slices.SortStableFunc(want, func(a, b drawn) int { return a.Time.Compare(b.Time) })
		if diff := cmp.Diff(want, merged(t, all)); diff != "" {
			t.Fatalf("merged (-want +got):\n%s", diff)
		}
	})
}

func TestALogWhoseClockJumpedKeepsItsOwnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, want := drawStreams(t, false)
		got := merged(t, all)
		slices.SortStableFunc(got, func(a, b drawn) int { return a.Stream - b.Stream })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("merged, by stream (-want +got):\n%s", diff)
		}
	})
}

func TestTailAndSinceGoToEveryContainer(t *testing.T) {
	a, b := newJournal(line(1, "1"), line(2, "2")), newJournal(line(3, "3"), line(4, "4"))
	var got []string
	if err := Merge(t.Context(), streams(a, b), Options{Tail: "1", Since: "2000-01-01T00:00:00Z", Until: "x"}, func(_ Stream, l Line) {
		got = append(got, string(l.Text))
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2", "4"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	for _, j := range []*journal{a, b} {
		o := j.requests[0]
		if o.Tail != "1" || o.Since != "2000-01-01T00:00:00Z" || o.Until != "x" || !o.Timestamps || o.Follow {
			t.Errorf("request %+v", o)
		}
	}
}

func TestAStreamThatBreaksIsReportedAndTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJournal(line(1, "a1"), line(5, "a5")), newJournal(line(2, "b2"))
		b.err = errors.New("unexpected EOF")
		r, f := begin(t, Merger{}, streams(a, b), Options{})
		f.Close()
		<-r.done
		r.want("web-1:a1", "web-2:b2",
			"logs: p-web-2 on host a: the log broke off, the others go on: unexpected EOF", "web-1:a5")
		if !errors.Is(r.err, ErrIncomplete) {
			t.Errorf("error %v", r.err)
		}
	})
}

func TestALostHostIsOneSentenceAndEndsItsSilentStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, silent := newJournal(line(1, "a1")), newJournal(line(2, "b2")), newJournal()
		b.err = fmt.Errorf("%w: connection reset", ErrHostLost)
		silent.hang = true
		all := streams(a, b, silent)
		all[1].Host, all[2].Host = "b", "b"
		r, f := begin(t, Merger{}, all, Options{})
		f.Close()
		<-r.done
		r.want("logs: host b: no more logs from there, the others go on: the host is lost: connection reset", "web-1:a1", "web-2:b2")
		if time.Since(start) > 0 {
			t.Errorf("took %s", time.Since(start))
		}
	})
}

func TestAStreamThatNeverAnswersIsGivenUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sources []Source
		for range 20 {
			j := newJournal()
			j.hang = true
			sources = append(sources, j)
		}
		sources = append(sources, newJournal(line(1, "alive")))
		all := streams(sources...)
		all[20].Host = "b"
		r, f := begin(t, Merger{Stall: 10 * time.Second}, all, Options{})
		f.Close()
		<-r.done
		if got := r.out[len(r.out)-1]; got != "web-21:alive" {
			t.Errorf("last came %q", got)
		}
		// 20 hanging requests, 8 in the first second, 8 in the second, 4 in the third.
		if took := time.Since(start); took > 13*time.Second || len(r.out) != 21 {
			t.Errorf("took %s, came %q", took, r.out)
		}
	})
}

func TestAHostAnswersABoundedNumberOfRequestsAtATime(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := &gauge{}
			var sources []Source
			for i := range 50 {
				j := newJournal(line(i, "x"))
				j.gauge, j.delay, j.quiet = g, 100*time.Millisecond, quiet
				sources = append(sources, j)
			}
			n := 0
			if err := (Merger{Opening: 5}).Merge(t.Context(), streams(sources...), Options{}, func(Stream, Line) { n++ }); err != nil {
				t.Fatal(err)
			}
			if g.top != 5 || n != 50 {
				t.Errorf("quiet %v: %d requests at a time, want 5; %d lines, want 50", quiet, g.top, n)
			}
		})
	}
}

func TestQuietContainersDoNotKeepOthersFromBeingFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sources []Source
		for range 20 { // neither a line nor a call of Opened
			j := newJournal()
			j.quiet = true
			sources = append(sources, j)
		}
		last := newJournal()
		r, _ := begin(t, Merger{Opening: 4}, streams(append(sources, last)...), Options{Follow: true})
		pass(10 * time.Second)
		last.write(line(10000, "here"))
		pass(time.Second)
		r.want("web-21:here")
		r.stop()
	})
}

func TestManyLongLogsAreNotHeldInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, each = 500, 200
		var sources []Source
		accepted := &gauge{}
		for range n {
			sources = append(sources, emitter(func(emit func(Line)) {
				for i := range each {
					emit(line(i, "x"))
					accepted.add(1)
				}
			}))
		}
		release, lines := make(chan struct{}), 0
		done := make(chan error)
		go func() {
			done <- Merge(t.Context(), streams(sources...), Options{}, func(Stream, Line) {
				if lines++; lines == 1 {
					<-release
				}
			})
		}()
		synctest.Wait()
		if accepted.top > heldLines+2*n {
			t.Errorf("%d lines in memory, want at most %d", accepted.top, heldLines+2*n)
		}
		close(release)
		if err := <-done; err != nil || lines != n*each {
			t.Errorf("%d lines, want %d; %v", lines, n*each, err)
		}
	})
}

// emitter is a source made of a function.
type emitter func(emit func(Line))

func (e emitter) Logs(_ context.Context, _ string, _ Options, emit func(Line)) error {
	e(emit)
	return nil
}

func TestAnInterruptedMergeReturnsAtOnceAndReportsNothing(t *testing.T) {
	for i := range 40 { // who of several goroutines sees the interruption first is chance
		follow := i%2 == 0
		synctest.Test(t, func(t *testing.T) {
			a, b := newJournal(line(1, "a1")), newJournal()
			b.hang = !follow
			r, _ := begin(t, Merger{}, streams(a, b), Options{Follow: follow})
			r.stop()
			if !errors.Is(r.err, context.Canceled) || strings.Contains(strings.Join(r.out, ""), "broke") {
				t.Errorf("follow %v: error %v, came %q", follow, r.err, r.out)
			}
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	const n, each = 100, 1000
	text := []byte(strings.Repeat("x", 100))
	for b.Loop() {
		var sources []Source
		for s := range n {
			sources = append(sources, emitter(func(emit func(Line)) {
				for i := range each {
					emit(Line{Time: at(i*7 + s), Text: text})
				}
			}))
		}
		p := NewPrinter(discard{}, discard{}, PrinterOptions{Timestamps: true})
		if err := Merge(b.Context(), streams(sources...), Options{}, p.Line); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*n*each/b.Elapsed().Seconds(), "lines/s")
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
