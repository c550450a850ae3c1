package etcd

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"berth/runtime/store"
)

// Pages are cut by number, because that is all etcd can do, and aim at a size: an answer is held whole in memory by
// the server, and one of many megabytes keeps it from the others' heartbeats.
const (
	firstPage = 1000    // keys
	maxPage   = 10_000  // keys
	pageBytes = 2 << 20 // about
)

// Get implements store.Store. Large prefixes are read in pages, all at the revision of the first. Members without a
// leader may be electing one, so they are asked again while there is time.
func (s *client) Get(ctx context.Context, prefix string) (store.Snapshot, error) {
	rctx, cancel := s.request(ctx)
	defer cancel()
	if err := s.ended(ctx); err != nil {
		return store.Snapshot{}, s.fail(ctx, "read "+prefix, err)
	}
	var leaderless error
	for {
		snap, err := s.get(rctx, prefix)
		switch {
		case err == nil:
			return snap, nil
		case is(err, rpctypes.ErrCompacted) && rctx.Err() == nil:
			// The store was compacted between two pages: the rest at that revision is gone, a newer one is not.
		case is(err, rpctypes.ErrNoLeader) && busy(rctx):
			leaderless = err
		case rctx.Err() != nil && leaderless != nil:
			return store.Snapshot{}, s.fail(ctx, "read "+prefix, leaderless)
		default:
			return store.Snapshot{}, s.fail(ctx, "read "+prefix, err)
		}
	}
}

func (s *client) get(ctx context.Context, prefix string) (store.Snapshot, error) {
	var snap store.Snapshot
	from, end := span(prefix)
	limit := int64(firstPage)
	for {
		opts := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(limit)}
		if snap.Revision != 0 {
			opts = append(opts, clientv3.WithRev(snap.Revision))
		}
		resp, err := s.etcd.Get(ctx, from, opts...)
		if err != nil {
			return store.Snapshot{}, err
		}
		if snap.Revision == 0 {
			snap.Revision = resp.Header.Revision
		}
		size := int64(1)
		for _, kv := range resp.Kvs {
			snap.Pairs = append(snap.Pairs, pair(kv))
			size += int64(len(kv.Key) + len(kv.Value))
		}
		if !resp.More || len(resp.Kvs) == 0 {
			return snap, nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
		limit = min(max(int64(len(resp.Kvs))*pageBytes/size, 1), maxPage)
	}
}

// span returns etcd's half-open key range of a prefix.
func span(prefix string) (from, end string) {
	if prefix == "" {
		return "\x00", "\x00" // etcd's way to say: all keys
	}
	return prefix, clientv3.GetPrefixRangeEnd(prefix)
}

func pair(kv *mvccpb.KeyValue) store.Pair {
	return store.Pair{Key: string(kv.Key), Value: kv.Value, Created: kv.CreateRevision, Modified: kv.ModRevision}
}
