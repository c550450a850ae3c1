package etcd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"berth/runtime/store"
)

// Members is the membership of an etcd cluster: who its members are, and how they come and go. It lives as long as the
// store that it was made from.
type Members struct{ s *client }

// MembersOf gives the membership of a store that Open made; false for another driver's.
func MembersOf(st store.Store) (*Members, bool) {
	s, ok := st.(*client)
	return &Members{s}, ok
}

// Member is one member of an etcd cluster.
type Member struct {
	ID      uint64
	Name    string // "" until it has started for the first time
	Client  string // URL; "" until it has started for the first time
	Peer    string // URL
	Learner bool   // has no vote yet
}

// Hex is the member's ID as etcd prints it.
func (m Member) Hex() string { return strconv.FormatUint(m.ID, 16) }

// List gives the members, as most of them agree, sorted by ID.
func (m *Members) List(ctx context.Context) ([]Member, error) {
	rctx, cancel := m.s.request(ctx)
	defer cancel()
	resp, err := m.s.etcd.MemberList(rctx)
	if err != nil {
		return nil, m.s.fail(ctx, "list its members", err)
	}
	var out []Member
	for _, r := range resp.Members {
		member := Member{ID: r.ID, Name: r.Name, Learner: r.IsLearner}
		if len(r.PeerURLs) > 0 {
			member.Peer = r.PeerURLs[0]
		}
		if len(r.ClientURLs) > 0 {
			member.Client = r.ClientURLs[0]
		}
		out = append(out, member)
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// AddLearner tells the cluster of a member that will come: it gets the data and has no vote. One that is told of
// already is success.
func (m *Members) AddLearner(ctx context.Context, peer string) error {
	return m.change(ctx, "add a member", func(ctx context.Context) error {
		_, err := m.s.etcd.MemberAddAsLearner(ctx, []string{peer})
		if is(err, rpctypes.ErrPeerURLExist) || is(err, rpctypes.ErrMemberExist) {
			return nil
		}
		return err
	})
}

// healthTime bounds the wait for the members to have been connected with each other for the 5 s that etcd wants before
// a change.
const healthTime = 20 * time.Second

// promotePause is between two questions whether a learner has caught up, or all members are connected: nothing tells.
const promotePause = 100 * time.Millisecond

// change asks for a change of the members until the cluster is well enough for it.
func (m *Members) change(ctx context.Context, op string, ask func(context.Context) error) error {
	limit := time.Now().Add(healthTime)
	for {
		rctx, cancel := m.s.request(ctx)
		err := ask(rctx)
		cancel()
		if err == nil {
			return nil
		}
		if !is(err, rpctypes.ErrUnhealthy) || time.Now().After(limit) {
			return m.s.fail(ctx, op, err)
		}
		select {
		case <-ctx.Done():
			return m.s.fail(ctx, op, err)
		case <-time.After(promotePause):
		}
	}
}

// Promote gives a learner its vote, as soon as it has the data; ctx bounds the wait. One that has its vote is success.
func (m *Members) Promote(ctx context.Context, id uint64) error {
	for {
		rctx, cancel := m.s.request(ctx)
		_, err := m.s.etcd.MemberPromote(rctx, id)
		cancel()
		switch {
		case err == nil, is(err, rpctypes.ErrMemberNotLearner):
			return nil
		case !is(err, rpctypes.ErrMemberLearnerNotReady):
			return m.s.fail(ctx, "give a member its vote", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("store %s: give a member its vote: it has not got the data: %w", m.s, ctx.Err())
		case <-time.After(promotePause):
		}
	}
}

// Remove takes a member out of the cluster for ever. One that is not there is success.
func (m *Members) Remove(ctx context.Context, id uint64) error {
	return m.change(ctx, "remove a member", func(ctx context.Context) error {
		_, err := m.s.etcd.MemberRemove(ctx, id)
		if is(err, rpctypes.ErrMemberNotFound) {
			return nil
		}
		return err
	})
}

// Answers reports whether the member at a client URL answers within limit.
func (m *Members) Answers(ctx context.Context, url string, limit time.Duration) bool {
	rctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), limit)
	defer cancel()
	_, err := m.s.etcd.Status(rctx, url)
	return err == nil
}

// Move tells the store that its members are now at these URLs. Leases and watches go on.
func (m *Members) Move(urls []string) error {
	addrs, _, err := Config{Endpoints: urls}.endpoints()
	if err != nil {
		return err
	}
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.at = addrs
	m.s.etcd.SetEndpoints(addrs...)
	return nil
}
