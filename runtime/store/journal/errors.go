package journal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"berth/runtime/store"
)

// openError says why a store could not be opened. It is a store.ErrUnreachable unless the server refused.
type openError struct {
	name  string
	tried time.Duration
	err   error
}

// Error is one sentence that names the store as hosts.yml does.
func (e *openError) Error() string {
	var no *Refused
	if errors.As(e.err, &no) {
		return fmt.Sprintf("store %s: connect: %s", e.name, Cause(e.err, e.tried))
	}
	return fmt.Sprintf("store %s cannot be reached: %s; start it or change store: in hosts.yml", e.name, Cause(e.err, e.tried))
}

// Is makes it a store.ErrUnreachable.
func (e *openError) Is(target error) bool {
	var no *Refused
	return target == store.ErrUnreachable && !errors.As(e.err, &no)
}

// Unwrap returns the cause.
func (e *openError) Unwrap() error { return e.err }

// Cause is the part of an error that a person can act on, without the addresses that Go puts around it. tried is how
// long the request had.
func Cause(err error, tried time.Duration) string {
	var errno syscall.Errno
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &errno) && errno != syscall.ETIMEDOUT:
		return errno.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("there is no host %s", dns.Name)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("no answer in %s", tried)
	}
	first, _, _ := strings.Cut(err.Error(), "\n") // a relay's error may carry a whole output
	return first
}

// lostError says that a commit may have been applied, and why that is not known. It is a store.ErrUncertain.
type lostError struct{ cause error }

func (e *lostError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *lostError) Unwrap() error { return e.cause }

// Is makes it a store.ErrUncertain.
func (e *lostError) Is(target error) bool { return target == store.ErrUncertain }

// fail makes the error of a request that did not succeed. ctx is the caller's.
func (c *Client) fail(ctx context.Context, op string, err error) error {
	var no *Refused
	cause := c.ended(ctx)
	switch {
	case errors.Is(err, store.ErrUncertain) && cause != nil:
		return fmt.Errorf("store %s: %s: %w: %w", c, op, store.ErrUncertain, cause)
	case errors.Is(err, store.ErrUncertain):
		return fmt.Errorf("store %s: %s: %w: %s", c, op, store.ErrUncertain, Cause(err, c.timeout))
	case cause != nil:
		return fmt.Errorf("store %s: %s: %w", c, op, cause)
	case errors.As(err, &no), errors.Is(err, store.ErrLeaseEnded):
		return fmt.Errorf("store %s: %s: %w", c, op, err)
	}
	return fmt.Errorf("store %s: %s: %w: %s", c, op, store.ErrUnreachable, Cause(err, c.timeout))
}

// ended returns why a request has to end on this side: the caller's context, or Close.
func (c *Client) ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.ctx.Err() != nil {
		return store.ErrClosed
	}
	return nil
}
