package consul

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"berth/runtime/store/journal"
)

// minSession is the shortest time to live that Consul gives a session unless its session_ttl_min says otherwise.
const minSession = 10 * time.Second

// lockDelay is how long Consul keeps others from a key whose holder was lost; 15 s if not told. Here no key is ever
// acquired twice.
const lockDelay = time.Millisecond

// Hold implements journal.Backend: a key that a session has acquired. Consul ends a session between once and twice its
// time to live after it was last renewed (twice, in fact). The session depends on no health check: whether the holder
// lives is not a question of the Consul agent it asks.
func (b *backend) Hold(ctx context.Context, name string, ttl time.Duration) (journal.Hold, error) {
	id, err := b.session(ctx, ttl)
	if err != nil && strings.Contains(err.Error(), "Invalid Session TTL") && ttl < minSession {
		id, err = b.session(ctx, minSession)
	}
	if err != nil {
		return nil, err
	}
	h := &hold{b: b, id: id}
	key := b.key(journal.Holds + "/" + name)
	cl, done := b.client()
	acquired, _, err := cl.KV().Acquire(&api.KVPair{Key: key, Session: id}, write(ctx))
	if err == nil && acquired {
		return h, nil
	}
	if err = done(err); err == nil {
		err = b.takeBack(ctx, key)
	}
	_ = h.Release(ctx) // or it runs out
	return nil, err
}

func (b *backend) session(ctx context.Context, ttl time.Duration) (string, error) {
	cl, done := b.client()
	id, _, err := cl.Session().CreateNoChecks(&api.SessionEntry{
		Name: "berth lease", TTL: fmt.Sprintf("%ds", int64(ttl/time.Second)), Behavior: api.SessionBehaviorDelete, LockDelay: lockDelay,
	}, write(ctx))
	return id, done(err)
}

// takeBack ends the session of an earlier try to acquire a key, whose answer was lost; the next try finds the key free.
func (b *backend) takeBack(ctx context.Context, key string) error {
	cl, done := b.client()
	pair, _, err := cl.KV().Get(key, query(ctx, api.QueryOptions{RequireConsistent: true}))
	if err != nil {
		return done(err)
	}
	if pair != nil && pair.Session != "" {
		if err := (&hold{b: b, id: pair.Session}).Release(ctx); err != nil {
			return err
		}
	}
	return errors.New("the lease's key was not to be had")
}

type hold struct {
	b  *backend
	id string // of the session
}

// Renew implements journal.Hold.
func (h *hold) Renew(ctx context.Context) (time.Duration, error) {
	cl, done := h.b.client()
	entry, _, err := cl.Session().Renew(h.id, write(ctx))
	if err != nil {
		return 0, done(err)
	}
	if entry == nil {
		return 0, journal.ErrHoldEnded
	}
	ttl, err := time.ParseDuration(entry.TTL)
	if err != nil {
		return 0, fmt.Errorf("its session has the time to live %q", entry.TTL)
	}
	return ttl, nil
}

// Release implements journal.Hold.
func (h *hold) Release(ctx context.Context) error {
	cl, done := h.b.client()
	_, err := cl.Session().Destroy(h.id, write(ctx))
	return done(err)
}

// Abandon implements journal.Hold.
func (h *hold) Abandon() {}

// Held implements journal.Backend. The token is Consul's index of the folder.
func (b *backend) Held(ctx context.Context, known uint64, sure bool) ([]string, uint64, error) {
	for {
		names, index, err := b.held(ctx, known, sure)
		if err != nil || index != known {
			return names, index, err
		}
	}
}

func (b *backend) held(ctx context.Context, known uint64, sure bool) ([]string, uint64, error) {
	ctx, cancel := waiting(ctx)
	defer cancel()
	cl, done := b.client()
	keys, meta, err := cl.KV().Keys(b.key(journal.Holds)+"/", "",
		query(ctx, api.QueryOptions{WaitIndex: known, WaitTime: waitTime, RequireConsistent: sure}))
	if err != nil {
		return nil, 0, done(err)
	}
	return b.under(journal.Holds, keys), meta.LastIndex, nil
}
