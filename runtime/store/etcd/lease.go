package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"berth/runtime/store"
)

// keepRetry is how long to wait before a lost keepalive is tried again, on the next member.
const keepRetry = 100 * time.Millisecond

// errLeaseGone says that the store no longer has the lease.
var errLeaseGone = errors.New("the lease has ended at the store")

// Lease implements store.Store.
func (s *client) Lease(ctx context.Context, ttlSeconds int64) (*store.Lease, error) {
	const op = "grant a lease"
	if ttlSeconds < store.MinLeaseTTL {
		return nil, fmt.Errorf("store %s: %s: %w: %d s is shorter than %d s", s, op, store.ErrInvalid, ttlSeconds, store.MinLeaseTTL)
	}
	if err := s.ended(ctx); err != nil {
		return nil, s.fail(ctx, op, err)
	}
	rctx, cancel := s.request(ctx)
	defer cancel()
	if err := s.connected(rctx, s.timeout); err != nil {
		return nil, s.fail(ctx, op, err)
	}
	start := time.Now()
	resp, err := s.etcd.Grant(rctx, ttlSeconds)
	if err != nil {
		return nil, s.fail(ctx, op, err) // a lease granted unheard ends by itself
	}
	id := int64(resp.ID)
	deadline := start.Add(time.Duration(resp.TTL) * time.Second)

	kctx, stop := context.WithCancel(clientv3.WithRequireLeader(context.Background()))
	lost := make(chan struct{})
	kept := s.spawn(func() {
		defer stop()
		defer close(lost)
		s.keep(kctx, id, resp.TTL, deadline)
	})
	if !kept {
		stop()
		return nil, s.fail(ctx, op, store.ErrClosed)
	}
	return &store.Lease{
		ID:   id,
		Lost: lost,
		Revoke: func(ctx context.Context) error {
			stop()
			<-lost
			return s.revoke(ctx, id)
		},
	}, nil
}

func (s *client) revoke(ctx context.Context, id int64) error {
	const op = "revoke a lease"
	if err := s.ended(ctx); err != nil {
		return s.fail(ctx, op, err)
	}
	rctx, cancel := s.request(ctx)
	defer cancel()
	for {
		_, err := s.etcd.Revoke(rctx, clientv3.LeaseID(id))
		switch {
		case err == nil, is(err, rpctypes.ErrLeaseNotFound):
			return nil
		case rctx.Err() != nil:
			return s.fail(ctx, op, err)
		}
		// Revoking twice does no harm, so that whatever went wrong it may be tried again.
		select {
		case <-rctx.Done():
		case <-time.After(keepRetry):
		}
	}
}

// keep renews the lease every third of its time until ctx ends, the store is closed, the store says that it ended, or
// no renewal came through before deadline. Time is counted from before a renewal was sent, so that the holder knows of
// its loss before anyone can have the keys. It is written here, and not left to the etcd client, because that stays
// with a member that fell silent for longer than a lease may last.
func (s *client) keep(ctx context.Context, id, ttl int64, deadline time.Time) {
	interval := time.Duration(ttl) * time.Second / 3
	// A short try first: one that goes to a member which fell silent, or waits for a leader which did, must leave time
	// for others. Longer ones follow, for a store that is only slow.
	limit, at := interval/3, 1
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		case <-s.done:
			return
		}
		start := time.Now()
		granted, err := s.renewAt(ctx, at, id, min(limit, time.Until(deadline)))
		// From now on of all members at once: turn by turn, the silent one could be asked again and again.
		limit, at = limit*2, len(s.addrs())
		switch {
		case err == nil:
			deadline = start.Add(time.Duration(granted) * time.Second)
			limit, at = interval/3, 1
			timer.Reset(interval)
		case errors.Is(err, errLeaseGone), !time.Now().Before(deadline):
			return
		default:
			timer.Reset(min(keepRetry, time.Until(deadline)))
		}
	}
}

// renewAt sends keepalives to as many members at once and returns the first answer: the seconds that the lease now has.
func (s *client) renewAt(ctx context.Context, members int, id int64, limit time.Duration) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		ttl int64
		err error
	}
	answers := make(chan answer, members)
	for range members { // gRPC goes on to the next member with each stream
		go func() {
			ttl, err := s.renew(ctx, id, limit)
			answers <- answer{ttl, err}
		}()
	}
	var a answer
	for range members {
		if a = <-answers; a.err == nil || errors.Is(a.err, errLeaseGone) {
			break
		}
	}
	return a.ttl, a.err
}

// renew sends one keepalive and returns the seconds that the lease now has.
func (s *client) renew(ctx context.Context, id int64, limit time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := context.AfterFunc(s.etcd.Ctx(), cancel)
	defer stop()
	stream, err := s.leases.LeaseKeepAlive(ctx, grpc.WaitForReady(true))
	if err != nil {
		return 0, err
	}
	if err := stream.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: id}); err != nil {
		return 0, err
	}
	resp, err := stream.Recv()
	switch {
	case is(err, rpctypes.ErrLeaseNotFound):
		return 0, errLeaseGone
	case err != nil:
		return 0, err
	case resp.TTL <= 0: // how etcd answers for a lease it does not have
		return 0, errLeaseGone
	}
	return resp.TTL, nil
}
