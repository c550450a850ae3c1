package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"berth/placement"
	"berth/runtime/agent"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

// known is the record of the members as the store itself says.
func (m *membership) known() ledger.Membership {
	var out ledger.Membership
	for _, s := range m.standing {
		one := ledger.Member{Host: s.Host, ID: s.Hex(), Client: s.Client, Peer: s.Peer, Learner: s.Learner}
		if one.Client == "" {
			one.Client = clientURL(s.Peer)
		}
		out.Members = append(out.Members, one)
	}
	slices.SortFunc(out.Members, func(a, b ledger.Member) int { return strings.Compare(a.Host, b.Host) })
	return out
}

// record writes down who the members are, for the agents and for other command lines.
func (m *membership) record(ctx context.Context, now ledger.Membership) error {
	if m.view.Members == nil || !slices.Equal(m.view.Members.Members, now.Members) {
		value, err := json.Marshal(now)
		if err != nil {
			return err
		}
		if _, err := m.c.store.Commit(ctx, store.Txn{Puts: []store.Put{{Key: ledger.MembersKey, Value: value}}}); err != nil {
			return fmt.Errorf("record the store's members: %w", err)
		}
	}
	return m.c.follow(now)
}

// apply makes one change and records it.
func (m *membership) apply(ctx context.Context, ch change) error {
	switch ch.Kind {
	case addLearner:
		i := slices.IndexFunc(m.c.inv.Hosts, func(h placement.InventoryHost) bool { return h.Name == ch.Host })
		_, peer, err := m.c.storeURLs(ctx, m.c.inv.Hosts[i])
		if err != nil {
			return err
		}
		if err := m.etcd.AddLearner(ctx, peer); err != nil {
			return err
		}
	case promote:
		if err := m.teach(ctx, ch); err != nil {
			return err
		}
	case remove:
		if err := m.turnFrom(ch.ID); err != nil {
			return err
		}
		if err := m.etcd.Remove(ctx, ch.ID); err != nil {
			return err
		}
	}
	if err := m.look(ctx); err != nil {
		return err
	}
	return m.record(ctx, m.known())
}

// turnFrom makes the connection to the store use the other members.
func (m *membership) turnFrom(id uint64) error {
	var others []string
	for _, s := range m.standing {
		if s.ID != id && !s.Learner && s.Client != "" {
			others = append(others, s.Client)
		}
	}
	return m.etcd.Move(others)
}

// teach gives a learner what a store member has, waits until it has the data, and gives it its vote. One that does not
// manage is taken out again.
func (m *membership) teach(ctx context.Context, ch change) error {
	caKey, err := m.c.caKey(ctx, m.c.access)
	if err != nil {
		return err
	}
	access, err := json.Marshal(m.c.access)
	if err != nil {
		return err
	}
	files := map[string][]byte{agent.CAKeyFile: caKey, agent.AccessFile: access}
	if err := m.c.hand(ctx, m.c.engines[ch.Host], files); err != nil {
		return err
	}
	if err := m.record(ctx, m.known()); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, learnTime)
	defer cancel()
	if err := m.etcd.Promote(limited, ch.ID); err != nil {
		if ctx.Err() != nil {
			return err
		}
		if err := m.etcd.Remove(ctx, ch.ID); err != nil {
			return err
		}
		return fmt.Errorf("%w; look at \"docker logs %s\" on host %s, and whether the other store members reach its ports %d and %d",
			err, AgentName, ch.Host, ClientPort, PeerPort)
	}
	return nil
}
