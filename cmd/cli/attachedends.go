package cli

import (
	"fmt"
	"maps"
	"slices"

	"berth/runtime/engine"
	"berth/runtime/logs"
)

// report is told when a container's log has ended.
func (a *attached) report(n logs.Notice) {
	if n.Kind != logs.Ended {
		fmt.Fprintln(a.ss.env.Stderr, n.String())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if n.Kind == logs.HostLost {
		for _, t := range a.tracked {
			if t.Host == n.Stream.Host {
				a.over(t, nil)
			}
		}
		return
	}
	if t := a.tracked[n.Stream.ID]; t != nil {
		if n.Last.After(t.last) {
			t.last = n.Last
		}
		// A log that cannot be read leaves the container's end of interest.
		a.work.Go(func() { a.ended(t, n.Stream, n.Kind == logs.Ended) })
	}
}

// ended waits for a container to be in no run, nor between two, and says how it ended; where it runs again, its log goes
// on, or where that is not read, the wait.
func (a *attached) ended(t *track, stream logs.Stream, read bool) {
	e := a.ss.cluster.Engines()[stream.Host]
	between := false
	st, err := e.Await(a.ctx, a.ss.events(e.Host()), stream.ID, func(st engine.State) (bool, error) {
		between = between || st.Status == "restarting"
		return st.Status != "restarting" && (read || !st.Running), nil
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	again := read && (between || t.again)
	t.again = false
	switch {
	case err == nil && again && !st.Running && a.follower.Add(stream, t.since()) == nil:
		return // a further run may have been as short as the look at it; its log tells
	case err == nil && st.Running:
		if !read {
			a.work.Go(func() { a.ended(t, stream, false) })
		} else if a.follower.Add(stream, t.since()) != nil {
			a.over(t, nil)
		}
		return
	case err == nil:
		t.died, t.run, t.end = &st.ExitCode, st.StartedAt, st.FinishedAt
	case !engine.IsNotFound(err): // its host is lost, or nobody wants to know any more
		a.over(t, nil)
		return
	}
	if t.died != nil {
		a.status(t, fmt.Sprintf("exited with code %d", *t.died))
	}
	a.over(t, t.died)
	t.died = nil
}

func (a *attached) status(t *track, text string) {
	if a.o.shows(t.Task.Service) {
		a.printer.Status(logs.Label(t.Container), text)
		flush(a.printer)()
	}
}

// over counts a container as ended; code is nil when nobody knows how. a.mu is held.
func (a *attached) over(t *track, code *int) {
	if t.over {
		return
	}
	t.over = true
	a.count(t, -1)
	if code != nil && a.first == nil && a.o.awaits(t.Task.Service) && a.o.aborts(*code) {
		a.first = code
		close(a.aborted)
	}
	a.settle()
}

// settle ends the output when nothing more comes. a.mu is held.
func (a *attached) settle() {
	if a.final && a.left == 0 {
		a.follower.Close()
		if a.first == nil && slices.ContainsFunc(slices.Collect(maps.Values(a.tracked)), func(t *track) bool { return !t.over }) {
			a.cancel() // what is shown and not awaited goes on writing
		}
	}
	if a.stopped == nil {
		return
	}
	for _, t := range a.tracked {
		if !t.over && a.stopped(t.Task.Service) {
			return
		}
	}
	a.cancel() // what was not stopped goes on writing
}
