package store

import "errors"

// ErrConflict says that a transaction's compare did not hold.
var ErrConflict = errors.New("store: the compared keys changed")

// ErrCompacted says that a watch asked for history the store no longer has.
var ErrCompacted = errors.New("store: the revisions to watch from are compacted")

// ErrUnreachable says that no member of the store could be connected to, or that too few of them are up to answer.
// What was asked did not happen.
var ErrUnreachable = errors.New("store: cannot be reached")

// ErrRefused says that the store does not let in who shows our certificate: the host was taken out of the cluster. It is
// an ErrUnreachable too.
var ErrRefused = errors.New("store: this host is refused")

// ErrUncertain says that the store was lost between a Commit and its answer: it may have been applied, wholly, or not.
// Read again before deciding.
var ErrUncertain = errors.New("store: the answer was lost")

// ErrTooLarge says that a transaction has more operations or bytes than the store takes at once. Nothing was applied.
var ErrTooLarge = errors.New("store: the transaction is too large")

// ErrInvalid says that a transaction, a key or a lease breaks a rule of this package. Nothing was sent.
var ErrInvalid = errors.New("store: invalid request")

// ErrLeaseEnded says that a transaction puts a key under a lease that has ended. Nothing was applied.
var ErrLeaseEnded = errors.New("store: the lease has ended")

// ErrClosed ends the watches of a store that was closed, and is what its other methods then return.
var ErrClosed = errors.New("store: closed")
