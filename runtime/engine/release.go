package engine

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Engines before 28.1 keep beside a network's endpoints their number, and the number alone decides whether the network
// may be removed. Containers that end at the same time lower it at the same time, by an optimistic write of an object
// that all of them share (libnetwork: endpoint_cnt.go, and getNetworksFromStore, which puts a new object in its place
// whenever anyone lists networks): one that must read it again loses the other's decrement. From then on the network has
// an endpoint too many, which nothing shows and only the engine's start corrects. It takes two that write at one moment
// an object which a third has just made stale, so it gets rare with few at a time. docker compose has no bound; with fewer
// than these, down of many containers takes longer than its.
const (
	countsRight = "1.49" // API version of 28.1, the first engine without that number
	leaving     = 4
	unbounded   = 1 << 20
)

// promptly is how long a container may take to end before it is asked whether it uses its grace period. For each that does
// twice as many may be asked to end at a time, until one ends promptly again: what waits for a timeout is not to wait for
// other timeouts first. One that has no grace period is slow because the engine is busy, and that is when counts get lost.
const promptly = 250 * time.Millisecond

// exits are the containers of one engine that are about to end.
type exits struct {
	promptly time.Duration // see the constant

	mu      sync.Mutex
	allowed int // at a time
	under   int // under way
	queue   []chan struct{}
}

func newExits() *exits { return &exits{promptly: promptly, allowed: leaving} }

// enter waits for a place.
func (x *exits) enter(ctx context.Context) error {
	x.mu.Lock()
	if x.under < x.allowed {
		x.under++
		x.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	x.queue = append(x.queue, turn)
	x.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if i := slices.Index(x.queue, turn); i >= 0 {
		x.queue = slices.Delete(x.queue, i, i+1)
	} else { // the turn came all the same
		x.under--
		x.admit()
	}
	return ctx.Err()
}

// leave gives the place back; late says that the container still runs.
func (x *exits) leave(late bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.under--
	if late {
		x.allowed = min(2*x.allowed, unbounded)
	} else {
		x.allowed = leaving
	}
	x.admit()
}

// admit lets in who waits; the caller holds the lock.
func (x *exits) admit() {
	for len(x.queue) > 0 && x.under < x.allowed {
		x.under++
		close(x.queue[0])
		x.queue = x.queue[1:]
	}
}

// ending does what makes a container end, one of few at a time on an engine that miscounts, and there returns when the
// container has let go of its networks. The container has grace to end by itself; nil is its own stop_grace_period.
func (e *Engine) ending(ctx context.Context, id string, grace *time.Duration, end func() error) error {
	if !e.miscounts(ctx) {
		return end()
	}
	if err := e.exits.enter(ctx); err != nil {
		return err
	}
	var once sync.Once
	leave := func(late bool) { once.Do(func() { e.exits.leave(late) }) }
	look := time.AfterFunc(e.exits.promptly, func() {
		if e.usesGrace(ctx, id, grace) {
			leave(true)
		}
	})
	err := end()
	look.Stop()
	// The engine answers the end of a container before it takes its endpoints away, and a look at it afterwards.
	_, _ = e.State(ctx, id)
	leave(false)
	return err
}

// usesGrace reports whether a container that was asked to end still runs because it may.
func (e *Engine) usesGrace(ctx context.Context, id string, grace *time.Duration) bool {
	if grace != nil && *grace == 0 {
		return false
	}
	info, err := e.api.ContainerInspect(ctx, id) // answers after the engine has taken the endpoints of one that has ended away
	if err != nil || info.State == nil || !info.State.Running {
		return false
	}
	own := info.Config != nil && info.Config.StopTimeout != nil && *info.Config.StopTimeout == 0
	return grace != nil || !own
}

// miscounts reports whether the engine is of a version that may lose count.
func (e *Engine) miscounts(ctx context.Context) bool {
	api, err := e.version(ctx)
	return err == nil && !atLeast(api, countsRight)
}
