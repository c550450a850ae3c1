package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"berth/runtime/store"
)

// blobAge is for how many revisions a blob that no record speaks of yet may be relied upon: compaction leaves blobs
// that much younger than the oldest record alone, and keeps at least keepLeast records, which is more.
const (
	blobAge   = 200
	keepLeast = 256
)

// Commit implements store.Store. It is tried until it is known what became of it, within the time limit.
func (c *Client) Commit(ctx context.Context, t store.Txn) (int64, error) {
	const op = "commit"
	if err := t.Validate(); err != nil {
		return 0, fmt.Errorf("store %s: %s: %w", c, op, err)
	}
	b := &body{Deletes: t.Deletes}
	for _, p := range t.Puts {
		b.Puts = append(b.Puts, put{p.Key, p.Value, p.Lease})
	}
	if n := b.size(); n > maxTxn {
		return 0, fmt.Errorf("store %s: %s: %w: %d bytes, the limit is %d", c, op, store.ErrTooLarge, n, maxTxn)
	}
	revision, err := c.append(ctx, func(s *state) (*change, error) {
		if !s.holds(t.Compares) {
			return nil, store.ErrConflict
		}
		for _, p := range t.Puts {
			if p.Lease != 0 && !s.leases[p.Lease] {
				return nil, store.ErrLeaseEnded
			}
		}
		ch := &change{record: &record{}, body: b}
		s.place(ch.record, b)
		if len(b.Puts) == 0 && len(ch.record.Absent) == len(b.Deletes) {
			return nil, nil
		}
		return ch, nil
	})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		err = c.fail(ctx, op, err)
	}
	return revision, err
}

func (b *body) size() int {
	n := 0
	for _, p := range b.Puts {
		n += len(p.Key) + len(p.Value)
	}
	for _, d := range b.Deletes {
		n += len(d)
	}
	return n
}

// change is what a revision shall do.
type change struct {
	record *record
	body   *body
	head   func(*head) // changes the head beyond its revision; nil: no
}

// planner says what the revision after a state shall do: nil for nothing, or an error that keeps it from being done.
type planner func(*state) (*change, error)

// append commits what plan says of the state at the moment of the commit and returns the revision. When plan says
// nothing or fails, that is of the server's state at a moment during the call.
func (c *Client) append(ctx context.Context, plan planner) (int64, error) {
	if err := c.ended(ctx); err != nil {
		return 0, err
	}
	rctx, cancel := c.request(ctx)
	defer cancel()
	if err := take(rctx, c.writing); err != nil {
		return 0, err
	}
	defer func() { <-c.writing }()
	a := &attempt{c: c, id: newID(), plan: plan}
	err := retry(rctx, func() error { return a.try(rctx) })
	if err == nil {
		err = a.outcome
	} else if a.sent {
		err = &lostError{err}
	}
	return a.revision, err
}

// attempt is one commit on its way.
type attempt struct {
	c    *Client
	id   string
	plan planner

	sure bool  // the client's state was the server's at a moment since the attempt began
	sent bool  // a record of it may be in the log, or get there
	from *node // the revision before the first that may be its own; nil when none may

	blob    *blob // of the body
	of      *body // the body that the blob holds
	written int64 // the revision at which the blob was

	revision int64
	outcome  error
}

// try makes the attempt once more. Its error says that the fate is not known yet, or that nothing came of it; done,
// successfully or not, it is nil.
func (a *attempt) try(ctx context.Context) error {
	c := a.c
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		if found, err := a.found(); found || err != nil {
			return err
		}
		c.mu.Lock()
		now, version, tail := c.head, c.version, c.replica.tail
		ch, err := a.plan(c.replica.state)
		c.mu.Unlock()
		if ch == nil || err != nil {
			if a.sure {
				a.revision, a.outcome, a.sent = tail.revision, err, false
				return nil
			}
			if err := a.current(ctx); err != nil {
				return err
			}
			continue
		}
		if err = a.append(ctx, ch, now, version, tail); err == nil {
			return nil
		}
		var unsent *Unsent
		var no *Refused
		if errors.As(err, &unsent) || errors.As(err, &no) {
			return err
		}
		a.sent = a.sent || !errors.Is(err, ErrMoved)
		if !a.outrun(ctx, err, tail) && a.current(ctx) != nil {
			return err
		}
		if found, err := a.found(); found || err != nil {
			return err
		}
		if !a.sent {
			a.from = nil
		}
		if sleep(ctx, pause) != nil { // so that not all who were outrun run again at once
			return err
		}
	}
}

// outrunWait is how long an attempt that came second waits to be told by the watch what came first, before it asks.
const outrunWait = 100 * time.Millisecond

// outrun waits for what came before the attempt, if that is why it failed: it is on its way to this client anyway, and
// when many write at once, asking would keep the server from what they wait for.
func (a *attempt) outrun(ctx context.Context, err error, tail *node) bool {
	if !errors.Is(err, ErrMoved) {
		return false
	}
	timer := time.NewTimer(outrunWait)
	defer timer.Stop()
	select {
	case <-tail.ready:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// current brings the client's state to what the server has now. From then on whatever the state says was so at a
// moment during the attempt.
func (a *attempt) current(ctx context.Context) error {
	err := a.c.current(ctx)
	a.sure = a.sure || err == nil
	return err
}

// append sends the change as the revision after now.
func (a *attempt) append(ctx context.Context, ch *change, now head, version int64, tail *node) error {
	next := now
	next.Revision, next.Last, ch.record.ID = now.Revision+1, a.id, a.id
	if ch.head != nil {
		ch.head(&next)
	}
	size, value, err := a.encode(ctx, ch, now.Revision)
	if err != nil {
		return err
	}
	next.Record = nil
	if len(value) <= maxInHead {
		next.Record = value
	}
	headValue, err := encode(next)
	if err != nil {
		return refuse(err)
	}
	if a.from == nil {
		a.from = tail
	}
	at, err := a.c.b.Append(ctx, version, headValue, recordName(next.Revision), value)
	if err == nil {
		a.revision, a.sent = next.Revision, false
		a.c.applied(ctx, ch, size, next, at)
	}
	return err
}

// found looks for the attempt's record in what came after it was first sent. An error says that it cannot be known any
// more.
func (a *attempt) found() (bool, error) {
	if a.from == nil {
		return false, nil
	}
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	for n := a.from; n != a.c.replica.tail; {
		if n = n.next; n == nil {
			if a.sent {
				return false, &Refused{errOther}
			}
			a.from = nil
			return false, nil
		}
		if n.id == a.id {
			a.revision, a.sent = n.revision, false
			return true, nil
		}
	}
	return false, nil
}

// encode makes the record's value, and writes the body beside it where it is large.
func (a *attempt) encode(ctx context.Context, ch *change, revision int64) (size int, value []byte, err error) {
	r := ch.record
	r.Body, r.Blob = ch.body, nil
	if ch.body.size() <= maxInline/2 {
		value, err = encode(r)
		if err != nil || len(value) <= maxInline {
			return len(value), value, refuse(err)
		}
	}
	if a.blob == nil || a.of != ch.body || revision-a.written > blobAge {
		content, err := encode(ch.body)
		if err != nil {
			return 0, nil, refuse(err)
		}
		if a.blob, err = a.c.writeBlob(ctx, revision, content); err != nil {
			a.blob = nil
			return 0, nil, &Unsent{err}
		}
		a.of, a.written = ch.body, revision
	}
	shell := *r
	shell.Body, shell.Blob = nil, a.blob
	value, err = encode(&shell)
	return len(value) + a.blob.Size, value, refuse(err)
}

// refuse makes an error final.
func refuse(err error) error {
	if err == nil {
		return nil
	}
	return &Refused{err}
}

// applied takes in a record that this client appended, unless it has been read back already. The record is in the
// log: if ctx ends now, the state lags for a while, no more.
func (c *Client) applied(ctx context.Context, ch *change, size int, h head, version int64) {
	if take(ctx, c.advancing) != nil {
		return
	}
	c.mu.Lock()
	if s := c.replica.state; s.revision == h.Revision-1 && s.last == ch.record.Prev {
		c.took(ch.record, size)
		c.reached(h, version)
	}
	c.mu.Unlock()
	<-c.advancing
	c.compactIfLong()
}
