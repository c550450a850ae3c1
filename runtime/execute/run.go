// Package execute carries out a plan. It decides nothing: which task goes where, and after what, stands in the plan.
// A failed step never releases the steps that wait for it; independent branches go on.
package execute

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth/runtime/engine"
	"berth/scheduler"
)

// Limits bound what is in flight at once.
type Limits struct {
	PerHost int // engine calls on one host; start dominates, and more than 8–16 gain nothing (COMPOSE.md)
	Total   int // engine calls over all hosts
	// Grace is how long a stop counts among them: one that takes longer waits for its container and costs the engine
	// nothing. 0 is all the time.
	Grace time.Duration
}

// DefaultLimits suits engines on a LAN: 8 calls in flight on each, 128 in all.
var DefaultLimits = Limits{PerHost: 8, Total: 128, Grace: 250 * time.Millisecond}

// Phase is where a step is.
type Phase int

// The phases of a step, in the order they are reported.
const (
	Working Phase = iota
	Done
	Warned  // an optional step failed, or what should go is in use; its dependents go on
	Failed  // its dependents are skipped
	Skipped // not done: something it waits for failed, or the command was interrupted
)

// Report tells how a step fares. Reports arrive one at a time.
type Report struct {
	Step  *scheduler.Step
	Phase Phase
	Err   error // of Warned and Failed

	Current, Total int64             // bytes of a pull, push or transfer, on repeated Working reports
	News           *engine.BuildNews // of a build, on repeated Working reports
	Note           string            // a sentence for the user, on repeated Working reports
	Says           string            // what a provider says it is at, on repeated Working reports
	Container      string            // of a Start that is Done: its ID
}

// Failure is one step that failed.
type Failure struct {
	Step *scheduler.Step
	Err  error
}

// Error is what a plan's execution ends with when steps failed: each failure, and how many steps were skipped.
type Error struct {
	Failures []Failure
	Skipped  int
}

func (e *Error) Error() string {
	var lines []string
	for _, f := range e.Failures {
		if text := f.Err.Error(); !slices.Contains(lines, text) { // an image that several hosts lack is looked up once
			lines = append(lines, text)
		}
	}
	switch {
	case e.Skipped == 1:
		lines = append(lines, "1 step that depends on this was not started; run the same command again to go on")
	case e.Skipped > 1:
		lines = append(lines, fmt.Sprintf("%d steps that depend on this were not started; run the same command again to go on", e.Skipped))
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the failures' errors to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, f := range e.Failures {
		errs = append(errs, f.Err)
	}
	return errs
}

type outcome struct {
	id    int
	err   error
	waits bool // it goes on, and only waits
}

// runGraph runs do for each step whose predecessors succeeded, bounded by limits; steps that only wait take no slot.
// It returns when nothing is in flight any more, with *Error when a step failed and ctx's error when it was cut short.
func runGraph(ctx context.Context, steps []scheduler.Step, limits Limits, do func(context.Context, *scheduler.Step) error, report func(Report)) error {
	g := newGraph(steps, limits)
	results := make(chan outcome)
	inFlight := 0
	result := &Error{}
	for {
		for ctx.Err() == nil {
			id, ok := g.next()
			if !ok {
				break
			}
			step := &steps[id]
			report(Report{Step: step, Phase: Working})
			inFlight++
			go attempt(ctx, step, limits, do, results)
		}
		if inFlight == 0 {
			break
		}
		r := <-results
		step := &steps[r.id]
		g.free(step)
		if r.waits {
			continue
		}
		inFlight--
		g.state[r.id] = finished
		switch {
		case r.err == nil:
			report(Report{Step: step, Phase: Done})
			g.release(r.id)
		case (step.Optional || step.Spare && engine.IsInUse(r.err)) && ctx.Err() == nil:
			report(Report{Step: step, Phase: Warned, Err: r.err})
			g.release(r.id)
		case interrupted(ctx, r.err):
			report(Report{Step: step, Phase: Skipped})
			result.Skipped++
		default:
			report(Report{Step: step, Phase: Failed, Err: r.err})
			// Its successors' needs never reach 0: they stay waiting and are reported as skipped at the end.
			result.Failures = append(result.Failures, Failure{step, r.err})
		}
	}
	for id := range steps {
		if g.state[id] == waiting {
			result.Skipped++
			report(Report{Step: &steps[id], Phase: Skipped})
		}
	}
	cause := context.Cause(ctx)
	switch {
	case cause != nil && len(result.Failures) > 0:
		return errors.Join(cause, result)
	case cause != nil && result.Skipped > 0:
		return cause
	case len(result.Failures) > 0:
		return result
	}
	return nil
}

// attempt does a step and sends its outcome. A stop that waits for its container says so first.
func attempt(ctx context.Context, step *scheduler.Step, limits Limits, do func(context.Context, *scheduler.Step) error, results chan<- outcome) {
	if step.Kind != scheduler.Stop || limits.Grace == 0 {
		results <- outcome{id: step.ID, err: do(ctx, step)}
		return
	}
	done := make(chan error, 1)
	go func() { done <- do(ctx, step) }()
	timer := time.NewTimer(limits.Grace)
	defer timer.Stop()
	select {
	case err := <-done:
		results <- outcome{id: step.ID, err: err}
	case <-timer.C:
		results <- outcome{id: step.ID, waits: true}
		results <- outcome{id: step.ID, err: <-done}
	}
}

// interrupted reports whether a step failed only because the context ended: with its error or, where the HTTP client says
// it, with its cause.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}

type stepState uint8

const (
	waiting stepState = iota
	started           // it holds a place of its lane
	idle              // started, without a place
	finished
)

// graph is the bookkeeping of runGraph: who waits for whom, and which slots are taken.
type graph struct {
	steps  []scheduler.Step
	state  []stepState
	needs  []int   // unmet predecessors
	after  [][]int // successors
	ready  map[string][]int
	hosts  []string // keys of ready, in order of first appearance
	busy   map[string]int
	picks  map[string]bool // hosts where a step that picks a port is in flight
	total  int
	limits Limits
	turn   int
}

func newGraph(steps []scheduler.Step, limits Limits) *graph {
	g := &graph{
		steps: steps, state: make([]stepState, len(steps)), needs: make([]int, len(steps)),
		after: make([][]int, len(steps)), ready: map[string][]int{}, busy: map[string]int{},
		picks: map[string]bool{}, limits: limits,
	}
	for i := range steps {
		g.needs[i] = len(steps[i].After)
		for _, p := range steps[i].After {
			g.after[p] = append(g.after[p], i)
		}
	}
	for i := range steps {
		if g.needs[i] == 0 {
			g.push(i)
		}
	}
	return g
}

// lane is the queue that a step stands in: its host's, or the one of steps that occupy no engine.
func lane(s *scheduler.Step) string {
	switch s.Kind {
	case scheduler.Wait, scheduler.Record, scheduler.Forget, scheduler.Publish, scheduler.Withdraw:
		return ""
	case scheduler.Provide, scheduler.Halt, scheduler.Release:
		return "" // a program here
	case scheduler.Send:
		return "" // those of one image begin together, whatever else their hosts are at
	case scheduler.CreateNetwork, scheduler.RemoveNetwork:
		return "" // on a cluster the agent does the work; on one host there are few of them
	default:
		return s.Host
	}
}

func (g *graph) push(id int) {
	l := lane(&g.steps[id])
	if _, ok := g.ready[l]; !ok {
		g.hosts = append(g.hosts, l)
	}
	g.ready[l] = append(g.ready[l], id)
}

// next takes a step that may start now, hosts in turn.
func (g *graph) next() (int, bool) {
	for range g.hosts {
		l := g.hosts[g.turn%len(g.hosts)]
		g.turn++
		if l != "" && (g.busy[l] >= g.limits.PerHost || g.total >= g.limits.Total) {
			continue
		}
		at := slices.IndexFunc(g.ready[l], func(id int) bool { return !g.picks[l] || !picksPort(&g.steps[id]) })
		if at < 0 {
			continue
		}
		id := g.ready[l][at]
		g.ready[l] = slices.Delete(g.ready[l], at, at+1)
		g.state[id] = started
		if l != "" {
			g.busy[l]++
			g.total++
			g.picks[l] = g.picks[l] || picksPort(&g.steps[id])
		}
		return id, true
	}
	return 0, false
}

// free gives the place of a started step to others.
func (g *graph) free(s *scheduler.Step) {
	if l := lane(s); l != "" && g.state[s.ID] == started {
		g.busy[l]--
		g.total--
		if picksPort(s) {
			g.picks[l] = false
		}
	}
	g.state[s.ID] = idle
}

func (g *graph) release(id int) {
	for _, n := range g.after[id] {
		if g.needs[n]--; g.needs[n] == 0 && g.state[n] == waiting {
			g.push(n)
		}
	}
}
