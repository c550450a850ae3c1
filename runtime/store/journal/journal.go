// Package journal makes a store.Store of a server that has neither one revision over all keys nor history, such as
// ZooKeeper or Consul. What the contract means is written here once; a driver is a Backend.
//
// The store is a log: each revision is one record under a name of its own, and the head says which is the last. A
// transaction is one compare-and-set of the head together with its record, so that it applies whole, at one revision,
// or not at all, however many keys it has; what is too large for a value lies in blobs beside, written before. Every
// client keeps the state that the records add up to and checks compares against it: the head is still where the state
// is, or the commit is tried again on a newer state. Sent twice it applies once, because the head moves only once.
//
//	<prefix>/head              the last revision, its record if small, the base, the oldest record kept
//	<prefix>/log/<revision>    what a revision changed
//	<prefix>/blob/…            snapshots and large records, in parts
//	<prefix>/leases/<id>       a name that the server keeps while the lease's holder lives
//
// A watch reads the log, from memory or from the server. Whose commit makes the log long writes the state as the new
// base and deletes the records that nobody needs (compact.go). The keys of a lease whose name is gone are deleted by
// a record like any other, by whichever client is the first to see it (reap.go).
package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// DefaultTimeout bounds opening a store and each request to it, unless Options does.
const DefaultTimeout = 10 * time.Second

// Options are the time limits of a Client.
type Options struct {
	Timeout time.Duration // of each request; DefaultTimeout if zero
	Connect time.Duration // of Open; Timeout if zero
}

// Client is the store.Store over a Backend.
type Client struct {
	b       Backend
	timeout time.Duration
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup // watches, leases and what follows the server

	writing   chan struct{} // holds a token while a commit of this client is under way: they would only outrun each other
	advancing chan struct{} // holds a token while the state is brought forward

	mu      sync.Mutex
	closed  bool
	replica *replica         // nil until the store was first read
	head    head             // at the replica's revision
	version int64            // the server's, of that head
	held    map[int64]func() // leases of this client that it keeps: stops the keeping
	granted chan struct{}    // of size 1: a lease was granted that reap may not know
	packing bool             // a compaction of this client is under way
}

// Open reads the store, making it if there is none, and follows it until Close. While the server cannot be reached it
// is tried again, until Connect or ctx ends it. It owns the backend, and closes it when it fails.
func Open(ctx context.Context, b Backend, o Options) (*Client, error) {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Connect <= 0 {
		o.Connect = o.Timeout
	}
	c := &Client{b: b, timeout: o.Timeout, writing: make(chan struct{}, 1), advancing: make(chan struct{}, 1),
		held: map[int64]func(){}, granted: make(chan struct{}, 1), version: Absent}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	octx, cancel := context.WithTimeout(ctx, o.Connect)
	defer cancel()
	if err := c.begin(octx); err != nil {
		_ = c.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("store %s: connect: %w", b, ctx.Err())
		}
		return nil, &openError{c.b.String(), o.Connect, err}
	}
	c.spawn(c.follow)
	c.spawn(c.reap)
	return c, nil
}

// begin reads the state and ends the leases whose holders died while nobody looked.
func (c *Client) begin(ctx context.Context) error {
	return retry(ctx, func() error {
		h, err := c.b.Head(ctx, c.version)
		if err == nil && h.Version == Absent {
			h, err = c.make(ctx)
		}
		if err == nil {
			err = c.advance(ctx, h, 0, true)
		}
		if err == nil {
			_, err = c.reapOnce(ctx, 0)
		}
		return err
	})
}

// make writes the first revision of a store, which is empty.
func (c *Client) make(ctx context.Context) (Head, error) {
	r := &record{ID: newID(), Body: &body{}}
	h := head{Format: format, Store: newID(), Revision: 1, Last: r.ID, Oldest: 1}
	value, err := encode(h)
	if err != nil {
		return Head{}, err
	}
	first, err := encode(r)
	if err != nil {
		return Head{}, err
	}
	version, err := c.b.Append(ctx, Absent, value, recordName(1), first)
	if errors.Is(err, ErrMoved) {
		return c.b.Head(ctx, Absent)
	}
	return Head{Value: value, Version: version}, err
}

// String names the store as hosts.yml does.
func (c *Client) String() string { return c.b.String() }

// Close implements store.Store.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.cancel()
	c.mu.Unlock()
	c.wg.Wait()
	if err := c.b.Close(); err != nil {
		return fmt.Errorf("store %s: close: %w", c, err)
	}
	return nil
}

// spawn runs f in a goroutine that Close waits for; false when the store is closed. f ends when c.ctx does.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(f)
	return true
}

// request is the context of one request: it ends with ctx, after the time limit, or when the store is closed.
func (c *Client) request(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	stop := context.AfterFunc(c.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// Pauses between tries of what failed: doubled from the first to the last, and of random length, because others try too.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// retry does f until it succeeds, is refused, or ctx ends; then its error is the last that says more than that.
func retry(ctx context.Context, f func() error) error {
	var last error
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := f()
		var no *Refused
		if err == nil || errors.As(err, &no) {
			return err
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if sleep(ctx, pause) != nil {
			return last
		}
	}
}

// sleep waits for half to all of d.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d/2 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// take waits for the token of one of the client's two turns.
func take(ctx context.Context, turn chan struct{}) error {
	select {
	case turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
