package faults_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"berth/fixtures/lab/lab"
)

const (
	// callEvery and pingEvery are the pauses between two calls, and so the resolution of what is measured.
	callEvery = 40 * time.Millisecond
	pingEvery = 10 * time.Millisecond
	// calm is how long everything must go well until a fault counts as repaired.
	calm = 400 * time.Millisecond
)

// target is a service with one task.
type target struct {
	service   string
	container string
	host      *lab.Host
	mu        sync.Mutex // of host
}

// prober calls from every target to every other, all the time: by name over TCP, and by address with echo requests, which
// the container's kernel answers.
type prober struct {
	t     *testing.T
	pairs []*pair
}

// pair is one target that calls another one.
type pair struct {
	from, to *target
	kind     string // "name" or "address"

	mu    sync.Mutex
	calls []outcome
}

// outcome is how one call went.
type outcome struct {
	began, ended time.Time
	err          error
}

func (p *pair) String() string {
	return fmt.Sprintf("%s to %s by %s", p.from.service, p.to.service, p.kind)
}

// startProber calls until the test ends.
func startProber(t *testing.T, targets []*target, addresses map[string]netip.Addr) *prober {
	t.Helper()
	p := &prober{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	for _, from := range targets {
		engine := from.host.Client(t)
		for _, to := range targets {
			if from == to {
				continue
			}
			for _, kind := range []string{"name", "address"} {
				one := &pair{from: from, to: to, kind: kind}
				p.pairs = append(p.pairs, one)
				wg.Go(func() { one.run(ctx, engine, addresses[to.service]) })
			}
		}
	}
	return p
}

// run calls through all lives of the container that calls.
func (p *pair) run(ctx context.Context, engine *client.Client, address netip.Addr) {
	for ctx.Err() == nil {
		began := time.Now()
		proc, err := p.from.running(ctx, engine)
		if err == nil {
			err = inside(proc, func() error { return p.live(ctx, proc, address) })
		}
		if ctx.Err() == nil {
			p.note(outcome{began, time.Now(), err})
			pause(ctx, callEvery)
		}
	}
}

// running is the folder in /proc of the first process of the target's container, which must run.
func (t *target) running(ctx context.Context, engine *client.Client) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	c, err := engine.ContainerInspect(ctx, t.container)
	if err != nil {
		return "", err
	}
	if !c.State.Running || c.State.Pid == 0 {
		return "", fmt.Errorf("%s does not run", t.container)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.host.Proc(c.State.Pid), nil
}

// live calls until the container that calls has ended. It runs inside.
func (p *pair) live(ctx context.Context, proc string, address netip.Addr) error {
	attempt, every := func() error { _, err := call(p.to.service); return err }, callEvery
	if p.kind == "address" {
		pinger, err := newPinger()
		if err != nil {
			return err
		}
		defer pinger.conn.Close()
		attempt, every = func() error { return pinger.ping(address) }, pingEvery
	}
	for ctx.Err() == nil {
		if _, err := os.Stat(proc + "/ns/net"); err != nil {
			return fmt.Errorf("%s has ended", p.from.container)
		}
		began := time.Now()
		err := attempt()
		p.note(outcome{began, time.Now(), err})
		pause(ctx, every)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (p *pair) note(o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, o)
}

// since is what came of the calls that ended after a moment.
func (p *pair) since(from time.Time) []outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, _ := slices.BinarySearchFunc(p.calls, from, func(o outcome, t time.Time) int { return o.ended.Compare(t) })
	return slices.Clone(p.calls[first:])
}

// repair is what a fault did to a kind of calls.
type repair struct {
	after time.Duration // from the reference moment to the first call after which all went well; 0: none failed
	gap   time.Duration // the longest time without a call that went well
	worst *pair         // of the longest after
	why   error         // its last failure
}

// repaired waits until all calls between targets that concern accepts go well (nil: all), and returns how long that
// took, counted from a moment, by kind.
func (p *prober) repaired(from time.Time, concerns func(from, to *target) bool) map[string]repair {
	p.t.Helper()
	var out map[string]repair
	var bad []string
	if !lab.Happens(func() bool {
		out, bad = map[string]repair{}, nil
		for _, one := range p.pairs {
			if concerns != nil && !concerns(one.from, one.to) {
				continue
			}
			r, err := one.repair(from)
			if err != nil {
				bad = append(bad, fmt.Sprintf("%s: %v", one, err))
				continue
			}
			sum := out[one.kind]
			if sum.worst == nil || r.after > sum.after {
				sum.after, sum.worst, sum.why = r.after, one, r.why
			}
			sum.gap = max(sum.gap, r.gap)
			out[one.kind] = sum
		}
		return len(bad) == 0
	}) {
		p.t.Fatalf("not repaired within %s:\n%s", lab.Patience, strings.Join(bad, "\n"))
	}
	return out
}

// flows waits until calls by address between targets that concern accepts (nil: all) have gone well many times since a
// moment, and fails the test if one of them failed meanwhile.
func (p *prober) flows(from time.Time, concerns func(from, to *target) bool) {
	p.t.Helper()
	for _, one := range p.pairs {
		if one.kind != "address" || concerns != nil && !concerns(one.from, one.to) {
			continue
		}
		if !lab.Happens(func() bool { return len(one.since(from)) > 20 }) {
			p.t.Fatalf("%s: no calls", one)
		}
		failed := 0
		calls := one.since(from)
		for _, o := range calls {
			if o.err != nil {
				failed++
			}
		}
		// A machine that is busy loses one now and then, at any time.
		if failed > 1+len(calls)/10 {
			p.t.Errorf("%s: %d of %d calls failed while traffic had to flow", one, failed, len(calls))
		}
	}
}

// imposters are calls that somebody answered who is not the service that was called.
func (p *prober) imposters() []string {
	var out []string
	for _, one := range p.pairs {
		for _, o := range one.since(time.Time{}) {
			if other := (*imposter)(nil); errors.As(o.err, &other) {
				out = append(out, fmt.Sprintf("%s: %v", one, o.err))
			}
		}
	}
	return out
}

// errNotYet says that calls have not gone well for long enough.
var errNotYet = errors.New("not calm yet")

// repair looks at the calls since a moment. The error is the last failure when all is not well yet.
func (p *pair) repair(from time.Time) (repair, error) {
	var r repair
	calls := p.since(from)
	well, good := from, from // since when all went well, and when one last did
	for i, o := range calls {
		if o.err == nil {
			r.gap = max(r.gap, o.ended.Sub(good))
			good = o.ended
			if i > 0 && calls[i-1].err != nil {
				well = o.ended
			}
			continue
		}
		if o.began.Before(from) && i == 0 {
			continue // under way when the fault was made
		}
		r.why = o.err
		well = time.Time{}
	}
	if well.IsZero() {
		return r, r.why
	}
	if last := len(calls) - 1; last < 0 || calls[last].err != nil || calls[last].ended.Sub(well) < calm {
		return r, errNotYet
	}
	r.after = well.Sub(from)
	return r, nil
}

// String is the repair for people to read.
func (r repair) String() string {
	if r.after == 0 {
		return "no failure"
	}
	return r.after.Round(time.Millisecond).String()
}

// fails waits until all calls that concern accepts fail.
func (p *prober) fails(from time.Time, concerns func(from, to *target) bool) {
	p.t.Helper()
	for _, one := range p.pairs {
		if concerns(one.from, one.to) && !lab.Happens(func() bool {
			calls := one.since(from)
			return len(calls) > 0 && calls[len(calls)-1].err != nil
		}) {
			p.t.Fatalf("%s goes on", one)
		}
	}
}

// unanswered waits until the names of a target have no address for anybody on another host, and returns how long that
// took from a moment.
func (p *prober) unanswered(lost *target, from time.Time) time.Duration {
	p.t.Helper()
	var last time.Time
	for _, one := range p.pairs {
		if one.kind != "name" || one.to != lost {
			continue
		}
		if !lab.Happens(func() bool {
			calls := one.since(from)
			for i := len(calls) - 1; i >= 0; i-- {
				if none := (*noAddress)(nil); !errors.As(calls[i].err, &none) {
					return false
				}
				if i == 0 || !errors.As(calls[i-1].err, new(*noAddress)) {
					if calls[i].ended.After(last) {
						last = calls[i].ended
					}
					return true
				}
			}
			return false
		}) {
			p.t.Fatalf("%s is answered still", one)
		}
	}
	return last.Sub(from)
}
