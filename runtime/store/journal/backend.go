package journal

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Absent is the version of a head that is not there yet.
const Absent int64 = -1

// Head is the one value that every revision changes, as the server has it.
type Head struct {
	Value   []byte
	Version int64 // the server's own count of its changes; Absent when there is none
}

// Errors of a Backend beside its own, which say that the request failed and, but for an Unsent, may still have had its
// effect.
var (
	// ErrMoved says that the head is at another version than an Append was for. Nothing was written.
	ErrMoved = errors.New("the head has moved")
	// ErrGone says that a name to be read is not there.
	ErrGone = errors.New("is gone")
	// ErrHoldEnded says that the server has given a hold up, or never had it.
	ErrHoldEnded = errors.New("the hold has ended")
)

// Unsent says that a request never reached a server that could carry it out, so that it had no effect.
type Unsent struct{ Err error }

func (e *Unsent) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Unsent) Unwrap() error { return e.Err }

// Refused says that the server will not do what is asked of it, however often: the client lacks a right, or what it
// found there is not a store. It had no effect.
type Refused struct{ Err error }

func (e *Refused) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Refused) Unwrap() error { return e.Err }

// refused makes an error of what is in the server and is not what this package puts there.
func refused(format string, args ...any) error { return &Refused{fmt.Errorf(format, args...)} }

// Backend is what a Client asks of a server: small values under names (of up to 1,000 bytes, with slashes), one
// compare-and-set, something to wait for, and holds that end with their holder. Every call ends with its context. All
// methods are safe for concurrent use.
type Backend interface {
	// String is the server's address as hosts.yml gives it, without anything secret.
	String() string
	// Head reads the head as it is at a moment during the call, whichever member is asked. When its version still is
	// known the value may be left out.
	Head(ctx context.Context, known int64) (Head, error)
	// Next waits until the head has another version than known, and returns it. It may be older than what Head returns.
	Next(ctx context.Context, known int64) (Head, error)
	// Append sets the head, if it is at that version, and the value of name, both or none, and returns the head's new
	// version. A version of Absent makes the head.
	Append(ctx context.Context, at int64, head []byte, name string, value []byte) (int64, error)
	// Read returns the values of names, in their order; ErrGone if one is not there.
	Read(ctx context.Context, names []string) ([][]byte, error)
	// Write sets the value of a name.
	Write(ctx context.Context, name string, value []byte) error
	// List returns the names directly under a folder, without the folder, in no order.
	List(ctx context.Context, folder string) ([]string, error)
	// Delete removes names; absent ones are no error.
	Delete(ctx context.Context, names []string) error
	// Hold puts a name under the folder Holds that goes when the hold ends.
	Hold(ctx context.Context, name string, ttl time.Duration) (Hold, error)
	// Held returns the names under Holds, and a token for them. It waits until they may have changed since the call that
	// returned the token known; 0 does not wait. sure asks for the names as they are at a moment during the call; else
	// they may be older, and a change that they lack is still to be waited for.
	Held(ctx context.Context, known uint64, sure bool) (names []string, token uint64, err error)
	// Close ends all requests. Holds that were not released run out in their time.
	Close() error
}

// Hold is a name under Holds that the server keeps while it is renewed.
type Hold interface {
	// Renew keeps the hold, and returns for how long at least, counted from the call's beginning. ErrHoldEnded when it
	// is too late.
	Renew(ctx context.Context) (time.Duration, error)
	// Release ends the hold at once. An ended one is no error.
	Release(ctx context.Context) error
	// Abandon stops keeping it, without a word to the server.
	Abandon()
}

// Names under the store's prefix.
const (
	HeadName = "head"
	Log      = "log"  // Log/<revision, 20 digits>: the record of a revision
	Blobs    = "blob" // Blobs/<revision at writing>-<id>-<part>: content that is too large for one value
	Holds    = "leases"
)
