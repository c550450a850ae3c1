package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"berth/runtime/store"
)

// keepRetry is how long to wait before a lost renewal is tried again.
const keepRetry = 100 * time.Millisecond

// Lease implements store.Store: a name that the server keeps while it is renewed, and a record that says that there is
// the lease. The name comes first, so that a lease without one is one that has ended.
func (c *Client) Lease(ctx context.Context, ttlSeconds int64) (*store.Lease, error) {
	const op = "grant a lease"
	if ttlSeconds < store.MinLeaseTTL {
		return nil, fmt.Errorf("store %s: %s: %w: %d s is shorter than %d s", c, op, store.ErrInvalid, ttlSeconds, store.MinLeaseTTL)
	}
	if err := c.ended(ctx); err != nil {
		return nil, c.fail(ctx, op, err)
	}
	rctx, cancel := c.request(ctx)
	defer cancel()
	id := 1 + rand.Int64N(1<<62)
	l := &lease{c: c, id: id, ttl: time.Duration(ttlSeconds) * time.Second, lost: make(chan struct{})}
	l.ctx, l.stop = context.WithCancel(c.ctx)
	start := time.Now()
	err := retry(rctx, func() (err error) {
		l.hold, err = c.b.Hold(rctx, holdName(id), l.ttl)
		return err
	})
	if err != nil {
		l.stop()
		return nil, c.fail(ctx, op, err)
	}
	c.mu.Lock()
	c.held[id] = l.stop
	c.mu.Unlock()
	_, err = c.append(ctx, func(s *state) (*change, error) {
		ch := &change{record: &record{Granted: id}, body: &body{}}
		s.place(ch.record, ch.body)
		return ch, nil
	})
	if err == nil && !c.spawn(func() { l.keep(start) }) {
		err = store.ErrClosed
	}
	if err != nil {
		l.end() // a lease that was granted unheard ends with its hold
		return nil, c.fail(ctx, op, err)
	}
	return &store.Lease{ID: id, Lost: l.lost, Revoke: l.revoke}, nil
}

// holdName is the name of a lease's hold.
func holdName(lease int64) string { return strconv.FormatInt(lease, 10) }

// lease is one that this client keeps.
type lease struct {
	c    *Client
	id   int64
	ttl  time.Duration
	hold Hold
	ctx  context.Context
	stop context.CancelFunc
	lost chan struct{}
}

// end stops keeping the lease.
func (l *lease) end() {
	l.stop()
	l.hold.Abandon()
	l.c.mu.Lock()
	delete(l.c.held, l.id)
	l.c.mu.Unlock()
}

// keep renews the hold every third of its time until the lease is revoked, the store is closed, a record ends it, or
// no renewal came through in its time. That is counted from before a renewal was sent, so that the holder knows of its
// loss before anyone can have the keys.
func (l *lease) keep(start time.Time) {
	defer close(l.lost)
	defer l.end()
	deadline, interval := start.Add(l.ttl), l.ttl/3
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-l.ctx.Done():
			return
		}
		start := time.Now()
		// A short try first: one that waits for a member which fell silent must leave time for another.
		ctx, cancel := context.WithTimeout(l.ctx, min(interval, time.Until(deadline)))
		granted, err := l.hold.Renew(ctx)
		cancel()
		switch {
		case err == nil:
			deadline = start.Add(min(granted, l.ttl))
			interval = min(granted, l.ttl) / 3
			timer.Reset(interval)
		case errors.Is(err, ErrHoldEnded), !time.Now().Before(deadline):
			return
		default:
			timer.Reset(min(keepRetry, time.Until(deadline)))
		}
	}
}

// revoke ends the lease by a record, which deletes its keys, and then the hold.
func (l *lease) revoke(ctx context.Context) error {
	const op = "revoke a lease"
	l.stop()
	<-l.lost
	c := l.c
	if err := c.ended(ctx); err != nil {
		return c.fail(ctx, op, err)
	}
	if _, err := c.append(ctx, ending(l.id)); err != nil {
		return c.fail(ctx, op, err)
	}
	rctx, cancel := c.request(ctx)
	defer cancel()
	if err := retry(rctx, func() error { return l.hold.Release(rctx) }); err != nil {
		return c.fail(ctx, op, err)
	}
	return nil
}

// ending plans the end of a lease, if it has not ended.
func ending(id int64) planner {
	return func(s *state) (*change, error) {
		if !s.leases[id] {
			return nil, nil
		}
		ch := &change{record: &record{Ended: id}, body: &body{Deletes: s.under(id)}}
		s.place(ch.record, ch.body)
		return ch, nil
	}
}
