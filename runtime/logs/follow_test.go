package logs

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFollowingMergesTheBacklogFirstAndLosesNothingAtTheSeam(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Lines of one time on both sides of the seam, and one that is written while the backlogs are merged.
		a := newJournal(line(1, "a1"), line(4, "a4"), line(4, "a4 too"))
		b := newJournal(line(2, "b2"), line(9, "b9"))
		empty := newJournal()
		b.delay = 10 * time.Millisecond
		r, _ := begin(t, Merger{}, streams(a, b, empty), Options{Follow: true})
		r.want() // b has not answered yet
		a.write(line(4, "a4 late"))
		pass(200 * time.Millisecond)
		r.want("web-1:a1", "web-2:b2", "web-1:a4", "web-1:a4 too", "web-2:b9", "web-1:a4 late")
		b.write(line(9, "b9 again"), line(300, "b300"))
		empty.write(line(299, "c299"))
		pass(100 * time.Millisecond)
		r.want("web-2:b9 again", "web-3:c299", "web-2:b300")
		r.stop()
		if diff := cmp.Diff("2000-01-01T00:00:00.004Z", a.requests[1].Since); diff != "" {
			t.Errorf("where following goes on (-want +got):\n%s", diff)
		}
	})
}

func TestAClockThatJumpedBackBeforeTheSeamRepeatsAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, slow := newJournal(line(1, "1"), line(90, "90"), line(50, "50"), line(60, "60")), newJournal()
		slow.delay = 10 * time.Millisecond
		r, _ := begin(t, Merger{}, streams(j, slow), Options{Follow: true})
		j.write(line(60, "60 too"), line(70, "70"))
		pass(time.Second)
		r.want("web-1:1", "web-1:90", "web-1:50", "web-1:60", "web-1:60 too", "web-1:70")
		r.stop()
	})
}

func TestTailLimitsTheBacklogOnly(t *testing.T) {
	for _, c := range []struct {
		tail string
		want []string
	}{
		{"0", []string{"web-1:new", "web-1:newer"}},
		{"1", []string{"web-1:b", "web-1:new", "web-1:newer"}},
		{"all", []string{"web-1:a", "web-1:b", "web-1:new", "web-1:newer"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			j, slow := newJournal(line(-2, "a"), line(-1, "b")), newJournal()
			slow.delay = 10 * time.Millisecond // between the backlog of j and following it, lines are written
			r, _ := begin(t, Merger{}, streams(j, slow), Options{Follow: true, Tail: c.tail})
			j.write(line(1, "new"), line(2, "newer"))
			pass(time.Second)
			r.want(c.want...)
			r.stop()
		})
	}
}

func TestLiveLinesAreSortedWithinTheWindowAndNotHeldLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJournal(), newJournal()
		r, _ := begin(t, Merger{}, streams(a, b), Options{Follow: true})
		a.write(line(30, "a30"))
		pass(20 * time.Millisecond)
		b.write(line(10, "b10")) // 20 ms later, though earlier
		pass(10 * time.Millisecond)
		b.write(line(40, "b40"))
		pass(19 * time.Millisecond)
		r.want()
		pass(time.Millisecond) // a30 has waited for 50 ms
		r.want("web-2:b10", "web-1:a30")
		pass(30 * time.Millisecond)
		r.want("web-2:b40")
		b.write(line(5, "b5, too late"))
		pass(DefaultWindow)
		r.want("web-2:b5, too late")
		r.stop()
	})
}

func TestAContainerWhoseClockJumpsBackKeepsItsOrderWhileFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		r, _ := begin(t, Merger{}, streams(j), Options{Follow: true})
		j.write(line(100, "first"), line(50, "second"))
		pass(DefaultWindow)
		r.want("web-1:first", "web-1:second")
		r.stop()
	})
}

func TestLinesThatWaitAreNotLostToAnInterruption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		r, _ := begin(t, Merger{}, streams(j), Options{Follow: true})
		j.write(line(1, "x"))
		synctest.Wait()
		r.stop()
		r.want("web-1:x")
	})
}

func TestAFloodIsNotHeldInMemory(t *testing.T) {
	w := &window{size: time.Hour, limit: 3}
	f := &feed{}
	var got []string
	for i, ms := range []int{5, 3, 4, 9, 8} {
		w.push(arrival{feed: &feed{order: i}, line: line(ms, "")}, start)
		w.release(start, func(a arrival) { got = append(got, a.line.Time.Format("05.000")) })
	}
	if diff := cmp.Diff([]string{"00.003", "00.004"}, got); diff != "" {
		t.Errorf("released early (-want +got):\n%s", diff)
	}
	if at, some := w.next(); !some || !at.Equal(start.Add(time.Hour)) {
		t.Errorf("next %v %v", at, some)
	}
	w.push(arrival{feed: f, end: true}, start)
	w.flush(func(a arrival) { got = append(got, a.line.Time.Format("05.000")) })
	if _, some := w.next(); some || len(got) != 6 {
		t.Errorf("after the flush: %v, something waits: %v", got, some)
	}
}

func TestAContainerThatEndsIsReportedAfterItsLastLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJournal(), newJournal()
		r, f := begin(t, Merger{}, streams(a, b), Options{Follow: true})
		f.Close()
		a.write(line(1, "bye"))
		a.end(nil)
		pass(time.Second)
		r.want("web-1:bye", "logs: p-web-1: the log has ended")
		b.end(errors.New("unexpected EOF"))
		<-r.done
		r.want("logs: p-web-2 on host a: the log broke off, the others go on: unexpected EOF")
		if !errors.Is(r.err, ErrIncomplete) {
			t.Errorf("error %v", r.err)
		}
	})
}

func TestContainersCanBeAddedWhileFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := begin(t, Merger{}, nil, Options{Follow: true})
		pass(time.Hour)
		j := newJournal(line(1, "old"), line(2, "new"))
		if err := f.Add(streams(j)[0], at(2).Format(time.RFC3339Nano)); err != nil {
			t.Fatal(err)
		}
		pass(DefaultWindow)
		r.want("web-1:new")
		f.Close()
		j.end(nil)
		<-r.done
		r.want("logs: p-web-1: the log has ended")
		if err := f.Add(streams(j)[0], ""); !errors.Is(err, ErrClosed) || r.err != nil {
			t.Errorf("Add after the end: %v; Run: %v", err, r.err)
		}
	})
}

func TestASilentHostThatIsToldLostDoesNotHangTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newJournal(), newJournal(), newJournal(line(1, "c1"))
		all := streams(a, b, c)
		all[0].Host, all[1].Host = "b", "b"
		r, f := begin(t, Merger{}, all, Options{Follow: true})
		r.want("web-3:c1")
		f.Lost("b", errors.New("lease ran out"))
		pass(time.Second)
		r.want("logs: host b: no more logs from there, the others go on: the host is lost: lease ran out")
		c.write(line(2, "c2"))
		pass(time.Second)
		r.want("web-3:c2")

		back := newJournal(line(5, "back"))
		s := streams(back)[0]
		s.Host = "b"
		if err := f.Add(s, ""); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		r.want("web-1:back")
		f.Lost("b", nil)
		pass(time.Second)
		r.want("logs: host b: no more logs from there, the others go on: the host is lost")
		r.stop()
	})
}

func TestOutputIsFlushedWheneverNothingIsReady(t *testing.T) {
	// flushes runs a merge and returns a function that checks how many lines came, all of them flushed.
	flushes := func(t *testing.T, all []Stream, o Options) (check func(lines int), done chan error) {
		var lines, flushed atomic.Int64
		f := NewFollower(Merger{Idle: func() { flushed.Store(lines.Load()) }}, all, o)
		f.Close()
		done = make(chan error)
		go func() { done <- f.Run(t.Context(), func(Stream, Line) { lines.Add(1) }) }()
		return func(want int) {
			t.Helper()
			synctest.Wait()
			if lines.Load() != int64(want) || flushed.Load() != int64(want) {
				t.Errorf("%d lines came, %d are flushed, want %d", lines.Load(), flushed.Load(), want)
			}
		}, done
	}
	synctest.Test(t, func(t *testing.T) {
		j := newJournal(line(1, "x"))
		check, done := flushes(t, streams(j), Options{Follow: true})
		check(1)
		j.write(line(2, "y"))
		pass(DefaultWindow)
		check(2)
		j.end(nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		quick, slow := newJournal(line(1, "x")), newJournal(line(3, "z"))
		slow.delay = 10 * time.Second
		check, done := flushes(t, streams(tail{quick, slow}), Options{})
		check(1)
		if err := <-done; err != nil {
			t.Error(err)
		}
		check(2)
	})
}

// tail is a source that is quick at first and slow then.
type tail struct{ quick, slow *journal }

func (s tail) Logs(ctx context.Context, id string, o Options, emit func(Line)) error {
	if err := s.quick.Logs(ctx, id, o, emit); err != nil {
		return err
	}
	return s.slow.Logs(ctx, id, o, emit)
}
