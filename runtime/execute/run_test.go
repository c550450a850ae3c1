package execute

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"berth/runtime/engine"
	"berth/scheduler"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func step(id int, host string, after ...int) scheduler.Step {
	return scheduler.Step{ID: id, Kind: scheduler.Start, Host: host, After: after}
}

// phases runs the steps with do and returns each step's last phase.
func phases(t *testing.T, ctx context.Context, steps []scheduler.Step, do func(context.Context, *scheduler.Step) error) (map[int]Phase, error) {
	t.Helper()
	got := map[int]Phase{}
	err := runGraph(ctx, steps, DefaultLimits, do, func(r Report) { got[r.Step.ID] = r.Phase })
	return got, err
}

var errBoom = errors.New("boom")

func failing(ids ...int) func(context.Context, *scheduler.Step) error {
	return func(_ context.Context, s *scheduler.Step) error {
		for _, id := range ids {
			if s.ID == id {
				return errBoom
			}
		}
		return nil
	}
}

func TestAFailedStepReleasesNobodyAndIndependentBranchesGoOn(t *testing.T) {
	steps := []scheduler.Step{step(0, "a"), step(1, "a", 0), step(2, "b", 1), step(3, "b"), step(4, "b", 3)}
	got, err := phases(t, t.Context(), steps, failing(0))
	want := map[int]Phase{0: Failed, 1: Skipped, 2: Skipped, 3: Done, 4: Done}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var e *Error
	if !errors.As(err, &e) || len(e.Failures) != 1 || e.Skipped != 2 || !errors.Is(err, errBoom) {
		t.Errorf("error %#v, want one failure and two skipped steps", err)
	}
}

func TestAnOptionalStepThatFailsIsAWarningAndReleasesItsDependents(t *testing.T) {
	steps := []scheduler.Step{step(0, "a"), step(1, "a", 0)}
	steps[0].Optional = true
	got, err := phases(t, t.Context(), steps, failing(0))
	if diff := cmp.Diff(map[int]Phase{0: Warned, 1: Done}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestAnInterruptLaunchesNothingMoreAndWaitsForWhatIsInFlight(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("ctrl-c")
	steps := []scheduler.Step{step(0, "a"), step(1, "a", 0)}
	got, err := phases(t, ctx, steps, func(_ context.Context, s *scheduler.Step) error {
		cancel(cause)
		return nil
	})
	if diff := cmp.Diff(map[int]Phase{0: Done, 1: Skipped}, got); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause of the interrupt", err)
	}
}

func TestWaitingStepsTakeNoSlotOfTheirHost(t *testing.T) {
	steps := []scheduler.Step{{ID: 0, Kind: scheduler.Wait, Host: "a"}, step(1, "a")}
	started := make(chan struct{})
	err := runGraph(t.Context(), steps, Limits{PerHost: 1, Total: 1}, func(ctx context.Context, s *scheduler.Step) error {
		if s.ID == 1 {
			close(started)
			return nil
		}
		<-started // would never come if the wait held the host's only slot
		return nil
	}, func(Report) {})
	if err != nil {
		t.Error(err)
	}
}

func TestAStopThatWaitsForItsContainerGivesItsPlaceAway(t *testing.T) {
	steps := []scheduler.Step{{ID: 0, Kind: scheduler.Stop, Host: "a"}, step(1, "a")}
	for _, grace := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			next := began
			err := runGraph(t.Context(), steps, Limits{PerHost: 1, Total: 1, Grace: grace}, func(ctx context.Context, s *scheduler.Step) error {
				if s.ID == 0 {
					<-time.After(10 * time.Second) // the container's grace period
				} else {
					next = time.Now()
				}
				return nil
			}, func(Report) {})
			want := map[bool]time.Duration{true: time.Second, false: 10 * time.Second}[grace > 0]
			if err != nil || next.Sub(began) != want {
				t.Errorf("grace %v: the next step began after %v, want %v; %v", grace, next.Sub(began), want, err)
			}
		})
	}
}

func TestStepsRunOnceInOrderAndWithinTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "steps")
		limits := Limits{PerHost: rapid.IntRange(1, 4).Draw(t, "per host"), Total: rapid.IntRange(1, 6).Draw(t, "total")}
		steps := make([]scheduler.Step, n)
		for i := range steps {
			steps[i] = step(i, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "host"))
			if i > 0 {
				steps[i].After = rapid.SliceOfNDistinct(rapid.IntRange(0, i-1), 0, min(i, 3), rapid.ID[int]).Draw(t, "after")
			}
		}
		bad := map[int]bool{}
		for _, id := range rapid.SliceOf(rapid.IntRange(0, max(n-1, 0))).Draw(t, "failing") {
			bad[id] = true
		}
		var mu sync.Mutex
		done, runs, busy, total := map[int]bool{}, map[int]int{}, map[string]int{}, 0
		_ = runGraph(context.Background(), steps, limits, func(_ context.Context, s *scheduler.Step) error {
			mu.Lock()
			runs[s.ID]++
			busy[s.Host]++
			total++
			if busy[s.Host] > limits.PerHost || total > limits.Total {
				t.Errorf("%d in flight on %s, %d in all; limits %+v", busy[s.Host], s.Host, total, limits)
			}
			for _, p := range s.After {
				if !done[p] {
					t.Errorf("step %d ran before step %d succeeded", s.ID, p)
				}
			}
			mu.Unlock()
			mu.Lock()
			defer mu.Unlock()
			busy[s.Host]--
			total--
			if bad[s.ID] {
				return errBoom
			}
			done[s.ID] = true
			return nil
		}, func(Report) {})
		for i := range steps {
			reachable := true
			for _, p := range steps[i].After {
				reachable = reachable && done[p]
			}
			if want := map[bool]int{true: 1}[reachable]; runs[i] != want {
				t.Errorf("step %d ran %d times, want %d", i, runs[i], want)
			}
		}
	})
}

func TestWhatIsInUseIsSparedWithAWarning(t *testing.T) {
	steps := []scheduler.Step{step(0, "a"), step(1, "a", 0), step(2, "a"), step(3, "a", 2)}
	steps[0].Kind, steps[0].Spare = scheduler.RemoveVolume, true
	steps[2].Kind, steps[2].Spare = scheduler.RemoveVolume, true
	got, err := phases(t, t.Context(), steps, func(_ context.Context, s *scheduler.Step) error {
		switch s.ID {
		case 0:
			return &engine.Error{Op: "remove volume", Cause: cerrdefs.ErrConflict}
		case 2:
			return errBoom
		}
		return nil
	})
	want := map[int]Phase{0: Warned, 1: Done, 2: Failed, 3: Skipped}
	if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, errBoom) {
		t.Error(diff, err)
	}
}

func TestAFailureThatStepsShareIsSaidOnce(t *testing.T) {
	e := &Error{Failures: []Failure{{Err: errBoom}, {Err: errors.New("another")}, {Err: errBoom}}, Skipped: 1}
	want := errBoom.Error() + "\nanother\n1 step that depends on this was not started; run the same command again to go on"
	if diff := cmp.Diff(want, e.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}
