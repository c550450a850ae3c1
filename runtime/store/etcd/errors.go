package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"berth/runtime/store"
)

// UnreachableError says that no member could be connected to, and why each failed. It is a store.ErrUnreachable.
type UnreachableError struct {
	Endpoints []string // host:port
	Causes    []error  // of the last attempt, by endpoint; nil where one got no answer at all
	Timeout   time.Duration
	TLS       bool // was tried with TLS
}

// Error is one sentence that names the store as hosts.yml does. The causes stand once if they are all the same.
func (e *UnreachableError) Error() string {
	causes := make([]string, len(e.Endpoints))
	same := true
	for i, c := range e.Causes {
		causes[i] = e.sentence(c)
		same = same && causes[i] == causes[0]
	}
	cause := causes[0]
	if !same {
		for i := range causes {
			causes[i] = e.Endpoints[i] + ": " + causes[i]
		}
		cause = strings.Join(causes, ", ")
	}
	return fmt.Sprintf("store etcd://%s cannot be reached: %s; start it or change store: in hosts.yml", strings.Join(e.Endpoints, ","), cause)
}

// Is makes it a store.ErrUnreachable, and a store.ErrRefused when that is why.
func (e *UnreachableError) Is(target error) bool {
	return target == store.ErrUnreachable || target == store.ErrRefused && slices.ContainsFunc(e.Causes, refusesHost)
}

// refusesHost reports whether a member refused our certificate for none of the reasons that TLS has an own alert for
// (another authority, expired): that is how identity.Gate turns hosts away.
func refusesHost(cause error) bool {
	alert := refusal(cause)
	return alert != nil && strings.Contains(alert.Error(), "bad certificate")
}

// Unwrap returns the causes.
func (e *UnreachableError) Unwrap() []error {
	var out []error
	for _, c := range e.Causes {
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

// sentence is the part of an error that a person can act on, without the addresses that Go puts around it.
func (e *UnreachableError) sentence(err error) string {
	var errno syscall.Errno
	var dns *net.DNSError
	var header tls.RecordHeaderError
	var timeout net.Error
	switch {
	case err == nil:
		return fmt.Sprintf("no answer in %s", e.Timeout)
	case hungUp(err) && e.TLS:
		return "it hung up; does it speak TLS?"
	case hungUp(err):
		return "it hung up; does it want TLS?"
	case errors.As(err, &errno) && errno != syscall.ETIMEDOUT:
		return errno.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("there is no host %s", dns.Name)
	case errors.As(err, &header):
		return "it does not speak TLS"
	case refusal(err) != nil:
		return "it refused our certificate (" + refusal(err).Error() + ")"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("no answer in %s", e.Timeout)
	}
	// Only the first line: a relay's error may carry a whole output.
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// hungUp reports whether a server took the connection and ended it. Which of these it is depends on what of ours it had
// not read yet.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// unreachable is the error of an Open that tried for so long.
func (s *client) unreachable(tried time.Duration) error {
	e := &UnreachableError{Endpoints: s.addrs(), Timeout: tried, TLS: s.secure}
	for _, addr := range s.addrs() {
		e.Causes = append(e.Causes, s.attempts.last(addr))
	}
	return e
}

// fail makes the error of a request whose effect is known: none. ctx is the caller's.
func (s *client) fail(ctx context.Context, op string, err error) error {
	if cause := s.ended(ctx); cause != nil {
		return fmt.Errorf("store %s: %s: %w", s, op, cause)
	}
	code, _ := kind(err)
	if who := forbidden(err); who != nil {
		return fmt.Errorf("store %s: %s: %w", s, op, who)
	}
	switch {
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrUnreachable):
		return err
	case (code == codes.Unavailable || code == codes.DeadlineExceeded) && slices.ContainsFunc(s.addrs(), func(e string) bool { return refusesHost(s.attempts.last(e)) }):
		// One that still answers may be this host's own member, which was left behind and leads nobody.
		return fmt.Errorf("%s: %w", op, s.unreachable(s.timeout))
	case is(err, rpctypes.ErrNoLeader):
		return fmt.Errorf("store %s: %s: %w: it has no leader; start more of its members, most of them must be up", s, op, store.ErrUnreachable)
	case is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("store %s: %s: its database is full; berth's own store makes room by itself within a minute, another one has to be defragmented and its alarm cleared (etcdctl defrag, etcdctl alarm disarm): %w", s, op, err)
	case is(err, rpctypes.ErrLeaseNotFound):
		return fmt.Errorf("store %s: %s: %w", s, op, store.ErrLeaseEnded)
	case is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("store %s: %s: %w", s, op, store.ErrCompacted)
	case code == codes.DeadlineExceeded:
		return fmt.Errorf("store %s: %s: %w: no answer in %s", s, op, store.ErrUnreachable, s.timeout)
	case code == codes.Unavailable:
		return fmt.Errorf("store %s: %s: %w: %s", s, op, store.ErrUnreachable, message(err))
	}
	return fmt.Errorf("store %s: %s: %s", s, op, message(err))
}

// ended returns why a request had to end on this side: the caller's context, or Close.
func (s *client) ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.done:
		return store.ErrClosed
	default:
		return nil
	}
}

// forbidden is what a request's error says about who asks, nil if it is not about that. berth gives no user's name and password: etcd
// takes the common name of a client's certificate for its user's.
func forbidden(err error) error {
	switch {
	case is(err, rpctypes.ErrUserEmpty):
		return errors.New("it wants to know who asks; show it a certificate whose common name is that of its user (cert= and key= in store:; it runs with --client-cert-auth then)")
	case is(err, rpctypes.ErrPermissionDenied), is(err, rpctypes.ErrUserNotFound):
		return errors.New(`the user that our certificate names may not do that; grant it a role with "etcdctl role grant-permission ROLE --prefix=true readwrite berth/"`)
	}
	return nil
}

// is reports whether a request failed with an error of etcd's, as the server sends it or as the client rewrites it.
func is(err, etcdErr error) bool { return err != nil && errors.Is(rpctypes.Error(err), etcdErr) }

// kind returns the gRPC code of a request's error, also where it is one of etcd's own or a context's.
func kind(err error) (codes.Code, bool) {
	var own rpctypes.EtcdError
	switch {
	case errors.As(err, &own):
		return own.Code(), true
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded, true
	case errors.Is(err, context.Canceled):
		return codes.Canceled, true
	}
	st, ok := status.FromError(err)
	return st.Code(), ok
}

// message is what the server said, without gRPC's frame around it.
func message(err error) string {
	if st, ok := status.FromError(err); ok {
		return st.Message()
	}
	return err.Error()
}
