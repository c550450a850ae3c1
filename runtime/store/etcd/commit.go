package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"berth/runtime/store"
)

// busyWait is how long a request waits before it is sent again to a store that said it could not take it now.
const busyWait = 50 * time.Millisecond

// busy waits for that long; it is false when ctx ends first.
func busy(ctx context.Context) bool {
	select {
	case <-time.After(busyWait):
		return true
	case <-ctx.Done():
		return false
	}
}

// Commit implements store.Store with one etcd transaction. When its answer is lost (a member dies, the leader changes)
// and the transaction undoes a condition of its own, so that it cannot apply twice, it is sent again to learn what
// became of it; else the error is store.ErrUncertain.
func (s *client) Commit(ctx context.Context, t store.Txn) (int64, error) {
	const op = "commit"
	if err := t.Validate(); err != nil {
		return 0, fmt.Errorf("store %s: %s: %w", s, op, err)
	}
	if err := s.ended(ctx); err != nil {
		return 0, s.fail(ctx, op, err)
	}
	cmps, ops := translate(t)
	again := false // an earlier try may have been applied
	for {
		rev, err := s.commit(ctx, cmps, ops)
		if errors.Is(err, store.ErrConflict) && again {
			return s.wasOurs(ctx, t)
		}
		if !errors.Is(err, store.ErrUncertain) || ctx.Err() != nil {
			if again && err != nil {
				err = fmt.Errorf("%w: %w", store.ErrUncertain, err)
			}
			return rev, err
		}
		if again || !t.OnceOnly() {
			return 0, err
		}
		again = true
	}
}

// commit sends the transaction once: again only after answers that say it was not taken up.
func (s *client) commit(ctx context.Context, cmps []clientv3.Cmp, ops []clientv3.Op) (int64, error) {
	const op = "commit"
	rctx, cancel := s.request(ctx)
	defer cancel()
	for {
		// With a connection first: then what fails for want of one was never sent.
		if err := s.connected(rctx, s.timeout); err != nil {
			return 0, s.fail(ctx, op, err)
		}
		resp, err := s.etcd.Txn(rctx).If(cmps...).Then(ops...).Commit()
		code, _ := kind(err)
		switch {
		case err == nil && resp.Succeeded:
			return resp.Header.Revision, nil
		case err == nil:
			return 0, store.ErrConflict
		case is(err, rpctypes.ErrNoLeader), is(err, rpctypes.ErrTooManyRequests):
			// Said before the transaction is proposed to the members: it was not applied and will not be.
			if !busy(rctx) {
				return 0, s.fail(ctx, op, err)
			}
		case is(err, rpctypes.ErrTooManyOps):
			return 0, fmt.Errorf("store %s: %s: %w: %d operations; start etcd with --max-txn-ops=4096 --max-request-bytes=%d, or use the embedded store",
				s, op, store.ErrTooLarge, max(len(ops), len(cmps)), maxRequestBytes)
		case is(err, rpctypes.ErrRequestTooLarge), code == codes.ResourceExhausted && !is(err, rpctypes.ErrNoSpace):
			return 0, fmt.Errorf("store %s: %s: %w: %d operations of %d bytes; start etcd with --max-txn-ops=4096 --max-request-bytes=%d, or use the embedded store",
				s, op, store.ErrTooLarge, len(ops), size(ops), maxRequestBytes)
		case code == codes.Unavailable, code == codes.DeadlineExceeded, code == codes.Canceled, code == codes.Unknown, code == codes.Internal:
			if cause := s.ended(ctx); cause != nil {
				return 0, fmt.Errorf("store %s: %s: %w: %w", s, op, store.ErrUncertain, cause)
			}
			return 0, fmt.Errorf("store %s: %s: %w: %s", s, op, store.ErrUncertain, message(err))
		default:
			return 0, s.fail(ctx, op, err)
		}
	}
}

// wasOurs tells what became of a transaction whose answer was lost and that conflicts when sent again: if the keys it
// puts hold its values, all put at one revision, and those it deletes are gone, it was applied then. (Somebody else's
// transaction on the same state with the same puts would be the same to every reader.) Else another one came first.
func (s *client) wasOurs(ctx context.Context, t store.Txn) (int64, error) {
	rctx, cancel := s.request(ctx)
	defer cancel()
	lost := func(err error) (int64, error) {
		return 0, fmt.Errorf("store %s: commit: %w: %w", s, store.ErrUncertain, err)
	}
	if len(t.Puts) == 0 {
		return lost(store.ErrConflict)
	}
	gets := make([]clientv3.Op, 0, len(t.Puts)+len(t.Deletes))
	for _, p := range t.Puts {
		gets = append(gets, clientv3.OpGet(p.Key))
	}
	for _, d := range t.Deletes {
		gets = append(gets, clientv3.OpGet(d))
	}
	resp, err := s.etcd.Txn(rctx).Then(gets...).Commit()
	if err != nil {
		return lost(err)
	}
	revision := int64(0)
	for i, r := range resp.Responses {
		kvs := r.GetResponseRange().Kvs
		if i >= len(t.Puts) {
			if len(kvs) != 0 {
				return lost(store.ErrConflict)
			}
			continue
		}
		put := t.Puts[i]
		if len(kvs) == 0 || !bytes.Equal(kvs[0].Value, put.Value) || kvs[0].Lease != put.Lease ||
			(revision != 0 && kvs[0].ModRevision != revision) {
			return lost(store.ErrConflict)
		}
		revision = kvs[0].ModRevision
	}
	return revision, nil
}

func translate(t store.Txn) ([]clientv3.Cmp, []clientv3.Op) {
	cmps := make([]clientv3.Cmp, 0, len(t.Compares))
	for _, c := range t.Compares {
		cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(c.Key), "=", c.Modified))
	}
	ops := make([]clientv3.Op, 0, len(t.Puts)+len(t.Deletes))
	for _, p := range t.Puts {
		ops = append(ops, clientv3.OpPut(p.Key, string(p.Value), clientv3.WithLease(clientv3.LeaseID(p.Lease))))
	}
	for _, d := range t.Deletes {
		ops = append(ops, clientv3.OpDelete(d))
	}
	if len(ops) == 0 {
		// A transaction without operations is to etcd one that may read old state: a member that lags compares what
		// it has. One read that may not makes the whole of it current.
		key := "\x00"
		if len(t.Compares) > 0 {
			key = t.Compares[0].Key // one that the store's user may read
		}
		ops = append(ops, clientv3.OpGet(key, clientv3.WithCountOnly()))
	}
	return cmps, ops
}

func size(ops []clientv3.Op) int {
	n := 0
	for _, op := range ops {
		n += len(op.KeyBytes()) + len(op.ValueBytes())
	}
	return n
}
