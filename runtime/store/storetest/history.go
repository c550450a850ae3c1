package storetest

import (
	"errors"
	"math"
	"sync"
	"time"

	"berth/runtime/store"
)

// forever is the time at which what got no answer ends: it may still happen.
const forever = math.MaxInt64

// outcome is what a client was told of its transaction.
type outcome int

const (
	applied    outcome = iota // at the revision that came back
	conflicted                // a compare did not hold
	refused                   // nothing happened, for another reason than its compares
	unknown                   // it may or may not have happened
)

// attempt is one transaction with what came of it. Times are nanoseconds since the history began.
type attempt struct {
	client    int
	call, end int64
	txn       store.Txn
	value     string // of all its puts, and of no other transaction's; "" when it puts nothing
	outcome   outcome
	revision  int64 // of applied
	err       error
}

// reading is one Get that was answered.
type reading struct {
	client    int
	call, end int64
	prefix    string
	snap      store.Snapshot
}

// grant is a lease of a client.
type grant struct {
	lease   *store.Lease
	call    int64 // of its grant
	revoke  int64 // when Revoke was called; forever when it was not
	revoked int64 // when Revoke had ended it; forever when it did not
}

// following is what one watch sent.
type following struct {
	client  int
	prefix  string
	after   int64
	batches []received
	end     error // why it ended; nil while it goes on
	reached int64 // the revision up to which it must have sent everything
}

type received struct {
	store.Batch
	at int64
}

// history is everything that the clients of one round saw.
type history struct {
	prefix string // of all its keys
	keys   []string
	began  time.Time

	mu         sync.Mutex
	attempts   []*attempt
	readings   []*reading
	grants     map[int64]*grant // by lease ID
	followings []*following
}

func newHistory(prefix string, keys int) *history {
	h := &history{prefix: prefix, began: time.Now(), grants: map[int64]*grant{}}
	for i := range keys {
		h.keys = append(h.keys, prefix+string(rune('a'+i)))
	}
	return h
}

// now is the time of the history.
func (h *history) now() int64 { return int64(time.Since(h.began)) }

// finish notes how a transaction ended.
func (h *history) finish(a *attempt, revision int64, err error) {
	a.end, a.err = h.now(), err
	switch {
	case err == nil:
		a.outcome, a.revision = applied, revision
	case errors.Is(err, store.ErrUncertain):
		a.outcome, a.end = unknown, forever
	case errors.Is(err, store.ErrConflict):
		a.outcome = conflicted
	case errors.Is(err, store.ErrUnreachable), errors.Is(err, store.ErrLeaseEnded), errors.Is(err, store.ErrTooLarge), errors.Is(err, store.ErrInvalid):
		a.outcome = refused
	default: // the client's own limit
		a.outcome, a.end = unknown, forever
	}
	h.mu.Lock()
	h.attempts = append(h.attempts, a)
	h.mu.Unlock()
}

func (h *history) read(r *reading) {
	h.mu.Lock()
	h.readings = append(h.readings, r)
	h.mu.Unlock()
}

func (h *history) granted(g *grant) {
	h.mu.Lock()
	h.grants[g.lease.ID] = g
	h.mu.Unlock()
}

func (h *history) follow(f *following) {
	h.mu.Lock()
	h.followings = append(h.followings, f)
	h.mu.Unlock()
}
