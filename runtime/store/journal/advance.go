package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// readAtOnce is how many values are asked for in one request to the backend.
const readAtOnce = 64

// errOther says that the log does not go on where the state is.
var errOther = errors.New("the store was compacted, made anew or restored meanwhile")

// refusedPause is how long a client waits that the server refused, before it tries whether it still does.
const refusedPause = 10 * time.Second

// follow keeps the state as the server has it until Close.
func (c *Client) follow() {
	for c.ctx.Err() == nil {
		err := retry(c.ctx, func() error {
			since, known := c.at()
			h, err := c.b.Next(c.ctx, known)
			if err == nil {
				err = c.advance(c.ctx, h, since, false)
			}
			if err != nil {
				// Whatever it was: before waiting for something newer than what is known, look whether that still stands.
				// A server that was restored from a backup would let us wait for long.
				if now := c.current(c.ctx); now != nil {
					err = now
				}
			}
			return err
		})
		if err != nil {
			_ = sleep(c.ctx, refusedPause)
		}
	}
}

// at returns the state's revision and the head's version there.
func (c *Client) at() (revision, version int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.replica == nil {
		return 0, Absent
	}
	return c.replica.state.revision, c.version
}

// current brings the state forward to what the server has at a moment during the call.
func (c *Client) current(ctx context.Context) error {
	since, known := c.at()
	h, err := c.b.Head(ctx, known)
	switch {
	case err != nil:
		return err
	case h.Version == Absent:
		if h, err = c.make(ctx); err != nil {
			return err
		}
	case h.Version == known:
		return nil
	}
	return c.advance(ctx, h, since, true)
}

// advance brings the state forward to a head at least, which was asked for when the state was at the revision since.
// sure says that the head is what the server had at a moment after that: then one that does not go on from there means
// that the store is another, which is read anew; else that is errOther.
func (c *Client) advance(ctx context.Context, at Head, since int64, sure bool) error {
	if err := take(ctx, c.advancing); err != nil {
		return err
	}
	defer func() { <-c.advancing }()
	h, err := decodeHead(at)
	if err != nil {
		return err
	}
	c.mu.Lock()
	known := c.replica != nil && c.head.Store == h.Store
	same := known && c.head.Revision == h.Revision && c.head.Last == h.Last
	behind := known && c.head.Revision < h.Revision
	overtaken := known && c.head.Revision > h.Revision && h.Revision >= since // by a commit of our own meanwhile
	c.mu.Unlock()
	switch {
	case same, overtaken:
		return nil
	case behind:
		err = c.read(ctx, h, at.Version)
	default:
		err = errOther // or, if it is not sure, an older one from a member that lags
	}
	if sure && errors.Is(err, errOther) {
		return c.load(ctx, h, at.Version)
	}
	return err // ErrGone: a member lags, or the records went meanwhile, which the head's next version will tell
}

// read takes in the records after the state's, up to the head's.
func (c *Client) read(ctx context.Context, h head, version int64) error {
	c.mu.Lock()
	from, last := c.replica.state.revision, c.replica.state.last
	c.mu.Unlock()
	if from+1 < h.Oldest {
		return errOther
	}
	do := func(revision int64, r *record, size int) error {
		if r.Prev != last || revision == h.Revision && r.ID != h.Last {
			return errOther
		}
		last = r.ID
		c.mu.Lock()
		defer c.mu.Unlock()
		c.took(r, size)
		if revision == h.Revision {
			c.reached(h, version)
		}
		return nil
	}
	if h.Revision != from+1 || h.Record == nil {
		return c.records(ctx, from+1, h.Revision, do)
	}
	r, size, err := c.decode(ctx, h.Revision, h.Record)
	if err != nil {
		return err
	}
	return do(h.Revision, r, size)
}

// took takes in the record after the replica's. The caller has mu and the turn to advance.
func (c *Client) took(r *record, size int) {
	c.replica.add(r, size)
	if stop := c.held[r.Ended]; stop != nil {
		stop()
	}
	if r.Granted != 0 {
		select {
		case c.granted <- struct{}{}:
		default:
		}
	}
}

// reached says that the state is that of a head. The caller has mu.
func (c *Client) reached(h head, version int64) {
	if h.Base.Revision != c.head.Base.Revision {
		c.replica.logged = 0
	}
	c.head, c.version = h, version
}

// load reads the state from the base and the log up to the head. Watches of what was there before end, because there
// may be a gap.
func (c *Client) load(ctx context.Context, h head, version int64) error {
	s := newState()
	if h.Base.Blob != nil {
		var from snapshot
		if err := c.readBlob(ctx, h.Base.Blob, &from); err != nil {
			return fmt.Errorf("read the state at revision %d: %w", h.Base.Revision, err)
		}
		s = restore(h.Base.Revision, from)
	}
	fresh := newReplica(s)
	err := c.records(ctx, s.revision+1, h.Revision, func(_ int64, r *record, size int) error {
		if r.Prev != s.last {
			return errOther // records of another history among those of this one: another look at the head will tell
		}
		fresh.add(r, size)
		return nil
	})
	if err != nil {
		return err
	}
	if s.last != h.Last {
		return errOther
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.replica != nil {
		close(c.replica.tail.ready) // with no next: a gap
	}
	c.replica, c.head, c.version = fresh, h, version
	for id, stop := range c.held {
		if !s.leases[id] {
			stop()
		}
	}
	return nil
}

// records reads the records of revisions from to upto, in order.
func (c *Client) records(ctx context.Context, from, upto int64, do func(revision int64, r *record, size int) error) error {
	for from <= upto {
		var names []string
		for r := from; r <= upto && len(names) < readAtOnce; r++ {
			names = append(names, recordName(r))
		}
		values, err := c.b.Read(ctx, names)
		if err != nil {
			return err
		}
		for _, v := range values {
			r, size, err := c.decode(ctx, from, v)
			if err != nil {
				return err
			}
			if err := do(from, r, size); err != nil {
				return err
			}
			from++
		}
	}
	return nil
}

// decode reads the record of a revision, with the body that lies beside it, and returns the bytes of both.
func (c *Client) decode(ctx context.Context, revision int64, value []byte) (*record, int, error) {
	r := &record{}
	if err := json.Unmarshal(value, r); err != nil {
		return nil, 0, refused("its record of revision %d is broken: %w", revision, err)
	}
	size := len(value)
	if r.Body == nil {
		r.Body = &body{}
	}
	if r.Blob != nil {
		if err := c.readBlob(ctx, r.Blob, r.Body); err != nil {
			return nil, 0, err
		}
		size += r.Blob.Size
	}
	return r, size, nil
}

func (c *Client) readBlob(ctx context.Context, b *blob, into any) error {
	var names []string
	for i := range b.Parts {
		names = append(names, partName(b.Name, i))
	}
	content := make([]byte, 0, b.Size)
	for len(names) > 0 {
		n := min(len(names), 8)
		parts, err := c.b.Read(ctx, names[:n])
		if err != nil {
			return err
		}
		for _, p := range parts {
			content = append(content, p...)
		}
		names = names[n:]
	}
	if err := json.Unmarshal(content, into); err != nil {
		return refused("its blob %s is broken: %w", b.Name, err)
	}
	return nil
}

// writeBlob writes content in parts, under a name with the revision that is the head's now at the latest.
func (c *Client) writeBlob(ctx context.Context, revision int64, content []byte) (*blob, error) {
	b := &blob{Name: fmt.Sprintf("%020d-%s", revision, newID()), Size: len(content)}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for len(content) > 0 {
		n := min(len(content), maxPart)
		name, part := partName(b.Name, b.Parts), content[:n]
		g.Go(func() error { return c.b.Write(ctx, name, part) })
		content = content[n:]
		b.Parts++
	}
	return b, g.Wait()
}
