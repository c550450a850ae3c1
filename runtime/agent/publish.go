package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"berth/runtime/store"
)

// leaseTTL is how long, in seconds, a host counts as alive after its agent was last heard.
const leaseTTL = 10

// publishBatch is how many keys go into one transaction, until the store says that it takes less: an etcd of somebody else's
// has 128 as its default.
const publishBatch = 400

// publisher writes the keys that belong to this host, in the order of nothing but with the last word of each: callers
// say what a key shall be and go on; what is at hand when the store is free goes into one transaction. Leased keys are
// put again under each new lease.
type publisher struct {
	log  *slog.Logger
	wake chan struct{} // of size 1
	// renewed, of size 1, has something in it when a lease was taken because the one before ended.
	renewed chan struct{}

	mu    sync.Mutex
	want  map[string]value
	dirty map[string]bool
	batch int
}

// value is what a key shall be; nil bytes delete it.
type value struct {
	bytes  []byte
	leased bool
}

func newPublisher(log *slog.Logger) *publisher {
	return &publisher{log: log, wake: make(chan struct{}, 1), renewed: make(chan struct{}, 1), want: map[string]value{}, dirty: map[string]bool{}, batch: publishBatch}
}

// set makes a key hold v as JSON.
func (p *publisher) set(key string, v any, leased bool) {
	b, err := json.Marshal(v)
	if err != nil {
		p.log.Error("store record not encoded", "key", key, "err", err)
		return
	}
	p.put(key, value{b, leased})
}

// delete makes a key go.
func (p *publisher) delete(key string) { p.put(key, value{}) }

func (p *publisher) put(key string, v value) {
	p.mu.Lock()
	old, known := p.want[key]
	same := known && bytes.Equal(old.bytes, v.bytes) && (old.bytes == nil) == (v.bytes == nil)
	if !same {
		p.want[key] = v
		p.dirty[key] = true
	}
	p.mu.Unlock()
	if !same {
		p.poke()
	}
}

func (p *publisher) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// has reports whether a key was set and not deleted since.
func (p *publisher) has(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want[key].bytes != nil
}

// run holds a lease and writes until ctx ends. It leaves the lease to run out by itself: an agent that comes back
// within its time has lost nothing in the eyes of others. word is told why a lease
// could not be had, and nil when one was.
func (p *publisher) run(ctx context.Context, st store.Store, word func(error)) {
	for anew := false; ctx.Err() == nil; anew = true {
		var lease *store.Lease
		if retry(ctx, p.log, "grant of the host's lease", func(ctx context.Context) (err error) {
			lease, err = st.Lease(ctx, leaseTTL)
			if err != nil && ctx.Err() == nil {
				word(err)
			}
			return err
		}) != nil {
			return
		}
		word(nil)
		p.all()
		if anew {
			select {
			case p.renewed <- struct{}{}:
			default:
			}
		}
		p.write(ctx, st, lease)
		if ctx.Err() == nil {
			p.log.Warn("host's lease ended, taking a new one")
		}
	}
}

// all has every key written again: under a new lease, or into a store that lost them.
func (p *publisher) all() {
	p.mu.Lock()
	for key := range p.want {
		p.dirty[key] = true
	}
	p.mu.Unlock()
	p.poke()
}

// write commits what is dirty until the lease is lost.
func (p *publisher) write(ctx context.Context, st store.Store, lease *store.Lease) {
	pause := firstPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-lease.Lost:
			return
		case <-p.wake:
		}
		for {
			t, taken := p.take(lease.ID)
			if len(taken) == 0 {
				break
			}
			_, err := st.Commit(ctx, t)
			if err == nil {
				p.forget(taken)
				pause = firstPause
				continue
			}
			// Puts and deletes of one's own keys may be sent twice, so an answer that got lost does no harm.
			p.again(taken)
			if ctx.Err() != nil || errors.Is(err, store.ErrLeaseEnded) {
				return
			}
			if errors.Is(err, store.ErrTooLarge) && len(taken) > 1 {
				p.smaller(len(taken))
				continue
			}
			p.log.Warn("store not written, trying on", "keys", len(taken), "err", err)
			select {
			case <-ctx.Done():
				return
			case <-lease.Lost:
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, lastPause)
		}
	}
}

// take makes a transaction of dirty keys, which are clean from then on.
func (p *publisher) take(lease int64) (store.Txn, map[string]value) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var t store.Txn
	taken := map[string]value{}
	for key := range p.dirty {
		if len(taken) == p.batch {
			break
		}
		v := p.want[key]
		delete(p.dirty, key)
		taken[key] = v
		switch {
		case v.bytes == nil:
			t.Deletes = append(t.Deletes, key)
		case v.leased:
			t.Puts = append(t.Puts, store.Put{Key: key, Value: v.bytes, Lease: lease})
		default:
			t.Puts = append(t.Puts, store.Put{Key: key, Value: v.bytes})
		}
	}
	return t, taken
}

// smaller makes the transactions half of one that was too large.
func (p *publisher) smaller(than int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.batch = than / 2
}

// again makes keys dirty that were not written.
func (p *publisher) again(taken map[string]value) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range taken {
		p.dirty[key] = true
	}
}

// forget drops deleted keys from memory.
func (p *publisher) forget(taken map[string]value) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, v := range taken {
		if v.bytes == nil && !p.dirty[key] && p.want[key].bytes == nil {
			delete(p.want, key)
		}
	}
}
