package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"berth/runtime/store/journal"
)

// Hold implements journal.Backend: an ephemeral node of a session with that timeout. Servers bound timeouts, to 2 and 20
// of their ticks if they are not told otherwise, that is 4 s and 40 s.
func (b *backend) Hold(ctx context.Context, name string, ttl time.Duration) (journal.Hold, error) {
	s, err := connect(b.cfg, ttl)
	if err != nil {
		return nil, err
	}
	h := &hold{b: b, session: s, path: b.path(journal.Holds + "/" + name)}
	_, err = call(ctx, s, func(c *zk.Conn) (string, error) {
		path, err := c.Create(h.path, nil, zk.FlagEphemeral, b.acl)
		if errors.Is(err, zk.ErrNodeExists) { // an earlier try's, whose answer was lost and whose session is given up
			if err = c.Delete(h.path, -1); err == nil || errors.Is(err, zk.ErrNoNode) {
				path, err = c.Create(h.path, nil, zk.FlagEphemeral, b.acl)
			}
		}
		return path, err
	})
	if err != nil {
		h.Abandon()
		return nil, b.explain(err)
	}
	h.owner = s.conn.SessionID()
	return h, nil
}

type hold struct {
	b       *backend
	session *session
	path    string
	owner   int64 // the session's ID; the client makes another when it has expired
}

// Renew implements journal.Hold. The session's own pings keep it alive; this asks whether they do.
func (h *hold) Renew(ctx context.Context) (time.Duration, error) {
	ttl := h.session.timeout()
	stat, err := call(ctx, h.session, func(c *zk.Conn) (*zk.Stat, error) {
		there, stat, err := c.Exists(h.path)
		if err == nil && !there {
			err = journal.ErrHoldEnded
		}
		return stat, err
	})
	switch {
	case errors.Is(err, zk.ErrSessionExpired):
		return 0, journal.ErrHoldEnded
	case err != nil:
		return 0, err
	case stat.EphemeralOwner != h.owner, h.session.conn.SessionID() != h.owner:
		return 0, journal.ErrHoldEnded
	}
	return ttl, nil
}

// Release implements journal.Hold.
func (h *hold) Release(ctx context.Context) error {
	_, err := call(ctx, h.b.main, func(c *zk.Conn) (struct{}, error) { return struct{}{}, c.Delete(h.path, -1) })
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return h.b.explain(err)
}

// Abandon implements journal.Hold: the server hears no more of the session, and ends it in its time.
func (h *hold) Abandon() { h.b.wg.Go(h.session.abandon) }

// Held implements journal.Backend. The token is the count of the folder's changes, plus 1.
func (b *backend) Held(ctx context.Context, known uint64, sure bool) ([]string, uint64, error) {
	type seen struct {
		names []string
		token uint64
		event <-chan zk.Event
	}
	if sure {
		if _, err := b.agree(ctx, journal.Absent); err != nil {
			return nil, 0, err
		}
	}
	for {
		s, err := call(ctx, b.main, func(c *zk.Conn) (seen, error) {
			names, stat, event, err := c.ChildrenW(b.path(journal.Holds))
			if err != nil {
				return seen{}, err
			}
			return seen{names, uint64(uint32(stat.Cversion)) + 1, event}, nil
		})
		if err != nil || s.token != known {
			return s.names, s.token, b.explain(err)
		}
		if err := b.await(ctx, s.event); err != nil {
			return nil, 0, err
		}
	}
}
