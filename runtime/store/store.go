// Package store is the key-value store under a cluster: one small interface with etcd's semantics as the contract,
// its drivers, and (in storetest) the conformance suite that every driver passes against a real server.
package store

import "context"

// ServerName is in the TLS certificate of every member of an embedded store, and what its clients and the members
// among themselves verify, whatever address they dialled.
const ServerName = "berth-store"

// Store is a key-value store with revisions. Keys are slash-separated paths without a leading slash. All methods are
// safe for concurrent use. A call that gets no answer gives up in the driver's time limit even if its context has none.
type Store interface {
	// Get reads every key that starts with prefix, sorted by key, and the store revision it was true at.
	Get(ctx context.Context, prefix string) (Snapshot, error)
	// Commit applies all puts and deletes of the transaction if all its compares hold, else nothing. It returns the
	// revision after it; ErrConflict when a compare failed, ErrInvalid, ErrTooLarge or ErrUnreachable when nothing was
	// applied, ErrUncertain when that is not known.
	Commit(ctx context.Context, t Txn) (int64, error)
	// Watch sends one Event batch for each later revision that touched the prefix, from revision after+1 on, without
	// gaps or repeats, until ctx ends or the watch breaks; then the channel closes after a batch with Err set (ctx's
	// error, ErrClosed, or what broke it). A lost connection does not break it: it goes on where it was.
	// ErrCompacted says that the history from there is gone: Get again and watch from the new revision.
	Watch(ctx context.Context, prefix string, after int64) <-chan Batch
	// Lease makes keys put with its ID live only while this client keeps it, which it does in the background until
	// Revoke or Close; ctx is for the grant only. ttl in whole seconds, at least MinLeaseTTL.
	Lease(ctx context.Context, ttlSeconds int64) (*Lease, error)
	// Close releases the client, not the server: it ends the watches, and stops to keep the leases, which then run out
	// in their time.
	Close() error
}

// Pair is a key with its value and the revisions of its making and last change.
type Pair struct {
	Key      string
	Value    []byte
	Created  int64
	Modified int64
}

// Snapshot is the state of a prefix at one revision.
type Snapshot struct {
	Pairs    []Pair
	Revision int64
}

// Compare is a condition on one key. Modified 0 means: the key does not exist.
type Compare struct {
	Key      string
	Modified int64
}

// Put writes one key; with Lease set it goes when the lease ends.
type Put struct {
	Key   string
	Value []byte
	Lease int64
}

// Txn is a transaction. A key may stand once in Puts and Deletes together.
type Txn struct {
	Compares []Compare
	Puts     []Put
	Deletes  []string // exact keys; absent ones are no error
}

// Event is one change of one key.
type Event struct {
	Pair
	Deleted bool // then Value is empty and Modified the revision of the deletion
}

// Batch is all events of one revision under a watched prefix, or the end of the watch.
type Batch struct {
	Revision int64
	Events   []Event
	Err      error // set on the last batch only
}

// Lease is a grant that its holder keeps alive in the background.
type Lease struct {
	ID int64
	// Lost is closed when the lease has ended, by Revoke, by Close, at the store, or because the store could not be
	// reached for its time: from then on its keys are gone or about to go.
	Lost <-chan struct{}
	// Revoke ends the lease and deletes its keys.
	Revoke func(ctx context.Context) error
}
