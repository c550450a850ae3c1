package etcd

import (
	"context"
	"strings"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"berth/runtime/store"
)

var _ store.Reporter = (*client)(nil)

// Report implements store.Reporter with etcd's maintenance API.
func (s *client) Report(ctx context.Context) ([]store.Server, error) {
	addrs := s.addrs()
	out := make([]store.Server, len(addrs))
	var wg sync.WaitGroup
	for i, endpoint := range addrs {
		wg.Go(func() { out[i] = s.report(ctx, endpoint) })
	}
	wg.Wait()
	return out, ctx.Err()
}

func (s *client) report(ctx context.Context, endpoint string) store.Server {
	r := store.Server{Endpoint: endpoint}
	rctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	resp, err := clientv3.NewMaintenance(s.etcd).Status(rctx, endpoint)
	if err != nil {
		r.Problem = (&UnreachableError{Timeout: s.timeout, TLS: s.secure}).sentence(s.attempts.last(endpoint))
		if s.attempts.last(endpoint) == nil {
			r.Problem = message(err)
		}
		return r
	}
	r.Leader = resp.Leader != 0 && resp.Leader == resp.Header.MemberId
	r.Version, r.Revision, r.Size = resp.Version, resp.Header.Revision, resp.DbSize
	r.Role = "follower"
	if r.Leader {
		r.Role = "leader"
	}
	switch {
	case len(resp.Errors) > 0:
		r.Problem = strings.Join(resp.Errors, "; ")
	case resp.Leader == 0:
		r.Problem = "it has no leader"
	}
	return r
}
