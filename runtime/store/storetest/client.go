package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"berth/runtime/store"
)

// How long a client waits for one answer: mostly for as long as the store may take to get over a fault, at times for
// less, so that there are answers that nobody waited for.
const (
	patientCall   = 3 * time.Second
	impatientCall = 150 * time.Millisecond
)

// leaseSeconds is the life of the clients' leases: some end in a fault, some do not.
const leaseSeconds = store.MinLeaseTTL + 1

// client does random things to a store, one after the other, and writes down what it sees.
type client struct {
	number int
	st     store.Store
	h      *history
	random *rand.Rand
	seen   map[string]int64 // key → the last revision of it that the client knows of
	at     int64            // the last revision that it knows of
	made   int              // transactions
	leases []*grant

	watches sync.WaitGroup
	live    []*watcher
	whole   *watcher // of all keys, from the round's beginning to its end
}

// watcher is one watch of a client.
type watcher struct {
	f      *following
	cancel context.CancelFunc
	until  chan int64 // told once: the revision to read up to
}

// run acts until ctx ends. parent outlives it: what is under way then is waited for.
func (c *client) run(ctx, parent context.Context) {
	for ctx.Err() == nil {
		switch n := c.random.IntN(100); {
		case n < 45:
			c.commit(parent)
		case n < 88:
			c.get(parent)
		case n < 91:
			c.lease(parent)
		case n < 94:
			c.revoke(parent)
		default:
			c.watch(parent)
		}
	}
}

func (c *client) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.random.IntN(20) == 0 {
		return context.WithTimeout(ctx, impatientCall)
	}
	return context.WithTimeout(ctx, patientCall)
}

// commit sends a random transaction: compares that hold, that held once, and of absent keys; puts of a value that no
// other transaction has, at times under a lease; deletes. One that deletes also puts, so that its effect can be told
// from another's.
func (c *client) commit(ctx context.Context) {
	c.made++
	a := &attempt{client: c.number, value: fmt.Sprintf("%d.%d", c.number, c.made)}
	for _, i := range c.random.Perm(len(c.h.keys))[:1+c.random.IntN(3)] {
		key := c.h.keys[i]
		switch n := c.random.IntN(10); {
		case n < 5:
			a.txn.Compares = append(a.txn.Compares, store.Compare{Key: key, Modified: c.seen[key]})
		case n < 6:
			a.txn.Compares = append(a.txn.Compares, store.Compare{Key: key})
		}
		switch n := c.random.IntN(10); {
		case n < 6:
			put := store.Put{Key: key, Value: []byte(a.value)}
			if len(c.leases) > 0 && c.random.IntN(4) == 0 {
				put.Lease = c.leases[c.random.IntN(len(c.leases))].lease.ID
			}
			a.txn.Puts = append(a.txn.Puts, put)
		case n < 8:
			a.txn.Deletes = append(a.txn.Deletes, key)
		}
	}
	if len(a.txn.Puts) == 0 {
		a.txn.Deletes, a.value = nil, ""
		if len(a.txn.Compares) == 0 {
			return
		}
	}
	c.send(ctx, a)
}

func (c *client) send(ctx context.Context, a *attempt) {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	a.call = c.h.now()
	revision, err := c.st.Commit(ctx, a.txn)
	c.h.finish(a, revision, err)
	if err == nil {
		for _, p := range a.txn.Puts {
			c.seen[p.Key] = revision
		}
		for _, k := range a.txn.Deletes {
			c.seen[k] = 0
		}
		c.at = max(c.at, revision)
	}
}

// get reads all keys, or one.
func (c *client) get(ctx context.Context) {
	r := &reading{client: c.number, prefix: c.h.prefix}
	if c.random.IntN(3) == 0 {
		r.prefix = c.h.keys[c.random.IntN(len(c.h.keys))]
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	r.call = c.h.now()
	snap, err := c.st.Get(ctx, r.prefix)
	if err != nil {
		return // which says nothing of the store's state
	}
	r.end, r.snap = c.h.now(), snap
	c.h.read(r)
	for _, key := range c.h.keys {
		if r.prefix == key || r.prefix == c.h.prefix {
			c.seen[key] = 0
		}
	}
	for _, p := range snap.Pairs {
		c.seen[p.Key] = p.Modified
	}
	c.at = max(c.at, snap.Revision)
}

// lease takes a lease, up to two at a time.
func (c *client) lease(ctx context.Context) {
	if len(c.leases) >= 2 {
		return
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	g := &grant{call: c.h.now(), revoke: forever, revoked: forever}
	var err error
	if g.lease, err = c.st.Lease(ctx, leaseSeconds); err != nil {
		return
	}
	c.h.granted(g)
	c.leases = append(c.leases, g)
}

// revoke gives one of the leases back.
func (c *client) revoke(ctx context.Context) {
	if len(c.leases) == 0 {
		return
	}
	i := c.random.IntN(len(c.leases))
	g := c.leases[i]
	c.leases = append(c.leases[:i], c.leases[i+1:]...)
	ctx, cancel := c.limit(ctx)
	defer cancel()
	g.revoke = c.h.now()
	if g.lease.Revoke(ctx) == nil {
		g.revoked = c.h.now()
	}
}

// watch begins a watch, of all keys or of one, from the last revision that the client knows of; or ends one.
func (c *client) watch(ctx context.Context) {
	if len(c.live) >= 3 {
		i := c.random.IntN(len(c.live))
		c.live[i].cancel()
		c.live = append(c.live[:i], c.live[i+1:]...)
		return
	}
	prefix := c.h.prefix
	if c.random.IntN(3) == 0 {
		prefix = c.h.keys[c.random.IntN(len(c.h.keys))]
	}
	c.live = append(c.live, c.follow(ctx, prefix, c.at))
}

func (c *client) follow(ctx context.Context, prefix string, after int64) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{f: &following{client: c.number, prefix: prefix, after: after, reached: after}, cancel: cancel, until: make(chan int64, 1)}
	c.h.follow(w.f)
	batches := c.begin(ctx, prefix, after)
	c.watches.Go(func() {
		defer cancel()
		w.read(ctx, c.h, batches)
	})
	return w
}

// begin watches all keys one by one every other time, if the store can.
func (c *client) begin(ctx context.Context, prefix string, after int64) <-chan store.Batch {
	if p, ok := c.st.(store.PartsWatcher); ok && prefix == c.h.prefix && c.random.IntN(2) == 0 {
		return p.WatchParts(ctx, c.h.keys, after)
	}
	return c.st.Watch(ctx, prefix, after)
}

// read takes what the watch sends, until its client has enough of it or, at the end, up to the revision it is told.
func (w *watcher) read(ctx context.Context, h *history, batches <-chan store.Batch) {
	until, told := int64(forever), w.until
	for w.f.reached < until {
		select {
		case b, ok := <-batches:
			switch {
			case !ok:
				w.f.end = errEndless
				return
			case b.Err != nil:
				if ctx.Err() == nil {
					w.f.end = b.Err
				}
				return
			}
			w.f.batches = append(w.f.batches, received{b, h.now()})
			w.f.reached = max(w.f.reached, b.Revision)
		case until = <-told:
			told = nil
		case <-ctx.Done():
			if told == nil {
				w.f.end = fmt.Errorf("it sent nothing up to revision %d within %s", until, limit)
			}
			return
		}
	}
}
