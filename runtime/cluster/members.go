package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/ledger"
	"berth/runtime/store/etcd"
)

const (
	// learnTime bounds how long a new store member may take to get the data.
	learnTime = 60 * time.Second
	// reportTime bounds how long an agent that is up may take to say how its store member fares.
	reportTime = 15 * time.Second
	// aliveTime is how long a member that leaves may take to answer before it counts as lost.
	aliveTime = 2 * time.Second
	// fullSize is the number of members with which the store outlives the loss of one.
	fullSize = 3
)

// ensureMembers brings the embedded store's members in line with the inventory: three as soon as three hosts can be,
// else one; those that left the inventory or lost their data are replaced. It goes one change at a time, each of which
// leaves a store that works, and decides anew from what is there after each; so whatever was interrupted, the next
// command goes on with it. It reports whether anything was changed. What cannot be done is said and tried again by the
// next command: the store goes on without it.
func (c *Cluster) ensureMembers(ctx context.Context, snaps []engine.Snapshot, view *ledger.View) (bool, error) {
	if !c.embedded() || c.settled(snaps, view) {
		return false, nil
	}
	members, ok := etcd.MembersOf(c.store)
	if !ok {
		return false, nil
	}
	changed := false
	err := c.alone(ctx, snaps, func(snaps []engine.Snapshot) error {
		for {
			m := &membership{c: c, etcd: members, snaps: snaps}
			if err := m.look(ctx); err != nil {
				return err
			}
			next := nextChange(m.standing, m.wanted)
			if next.Kind == noChange {
				return m.record(ctx, m.known())
			}
			changed = true
			c.opts.Notify(next.String())
			if err := m.apply(ctx, next); err != nil {
				return fmt.Errorf("%s: %w", next, err)
			}
		}
	})
	if err != nil && ctx.Err() == nil {
		c.opts.Notify(fmt.Sprintf("the members of the cluster's store are not as they shall be, the next command tries again: %v", err))
		err = nil
	}
	return changed, err
}

// settled reports whether the store's view says that its members are as they shall be, so that nobody need be asked.
func (c *Cluster) settled(snaps []engine.Snapshot, view *ledger.View) bool {
	if view.Members == nil || slices.ContainsFunc(view.Members.Members, func(m ledger.Member) bool { return m.Learner }) {
		return false
	}
	var have []string
	for _, m := range view.Members.Members {
		have = append(have, m.Host)
		if h, ok := view.Hosts[m.Host]; ok && view.Alive[m.Host] && (h.Store == nil || h.Store.ID != m.ID || h.Store.Problem != "") {
			return false
		}
	}
	want := wantedMembers(c.inv, ready(snaps), have)
	slices.Sort(want)
	slices.Sort(have)
	return slices.Equal(want, have)
}

// ready are the hosts that answer.
func ready(snaps []engine.Snapshot) map[string]bool {
	out := map[string]bool{}
	for _, s := range snaps {
		if s.Host.State == placement.Ready {
			out[s.Host.Name] = true
		}
	}
	return out
}

// wantedMembers are the hosts that shall be members: of the inventory's, those that are, and then others that answer, up
// to three if the inventory has three; else one. With fewer than three that can be, one more would be no gain: two
// members outlive the loss of none.
func wantedMembers(inv *placement.Inventory, ready map[string]bool, have []string) []string {
	var out, fresh []string
	for _, up := range []bool{true, false} {
		for _, h := range inv.Hosts {
			switch is := slices.Contains(have, h.Name); {
			case is && ready[h.Name] == up:
				out = append(out, h.Name)
			case !is && ready[h.Name] && up:
				fresh = append(fresh, h.Name)
			}
		}
	}
	if all := append(slices.Clone(out), fresh...); len(all) >= fullSize {
		return all[:fullSize]
	} else if len(inv.Hosts) >= fullSize && len(out) > 0 {
		return out // the others do not answer now
	} else if len(all) > 0 {
		return all[:1]
	}
	return nil
}

// membership is one look at the store's members.
type membership struct {
	c        *Cluster
	etcd     *etcd.Members
	snaps    []engine.Snapshot
	view     *ledger.View
	standing []standing
	wanted   []string
}

// look asks the store for its members and finds out whose they are and how they fare.
func (m *membership) look(ctx context.Context) error {
	var err error
	if m.view, err = m.reports(ctx); err != nil {
		return err
	}
	list, err := m.etcd.List(ctx)
	if err != nil {
		return err
	}
	up := ready(m.snaps)
	var have []string
	m.standing = nil
	for _, one := range list {
		s := standing{Member: one, Host: m.hostOf(ctx, one)}
		if h, ok := m.view.Hosts[s.Host]; ok && h.Store != nil {
			s.Lost = h.Store.ID == one.Hex() && h.Store.Problem != ""
		}
		if inInventory := m.c.engines[s.Host] != nil; inInventory {
			s.Up = up[s.Host] && m.view.Alive[s.Host]
		} else {
			s.Up = m.etcd.Answers(ctx, one.Client, aliveTime)
		}
		if !one.Learner {
			have = append(have, s.Host)
		}
		m.standing = append(m.standing, s)
	}
	for _, h := range m.c.inv.Hosts {
		up[h.Name] = up[h.Name] && m.view.Alive[h.Name] // a member is its agent's
	}
	m.wanted = wantedMembers(m.c.inv, up, have)
	return nil
}

// reports waits until the agents that are up have said how their members fare, and gives the view in which they have.
func (m *membership) reports(ctx context.Context) (*ledger.View, error) {
	limited, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	up := ready(m.snaps)
	for {
		view, err := m.c.View(ctx)
		if err != nil || view.Members == nil {
			return view, err
		}
		silent := slices.ContainsFunc(view.Members.Voters(), func(one ledger.Member) bool {
			s := view.Hosts[one.Host].Store
			return up[one.Host] && view.Alive[one.Host] && (s == nil || s.ID != one.ID && s.Problem == "")
		})
		if !silent || nextEvent(limited, m.c.store, ledger.Hosts, view.Revision) != nil {
			return view, ctx.Err()
		}
	}
}

// hostOf is the host of a member: by the record, by the name that it goes by since it first started, or by its address.
func (m *membership) hostOf(ctx context.Context, one etcd.Member) string {
	if m.view.Members != nil {
		for _, known := range m.view.Members.Members {
			if known.ID == one.Hex() {
				return known.Host
			}
		}
	}
	if one.Name != "" {
		return one.Name
	}
	for _, h := range m.c.inv.Hosts {
		if _, peer, err := m.c.storeURLs(ctx, h); err == nil && peer == one.Peer {
			return h.Name
		}
	}
	return ""
}

// storeURLs are where a host's store member is, for clients and for the other members.
func (c *Cluster) storeURLs(ctx context.Context, h placement.InventoryHost) (client, peer string, err error) {
	addr, err := c.underlay(ctx, h)
	if err != nil {
		return "", "", err
	}
	return httpsURL(addr, ClientPort), httpsURL(addr, PeerPort), nil
}

// follow takes over where the store's members are, for this command and for the next.
func (c *Cluster) follow(m ledger.Membership) error {
	now := *c.access // connections to the members before are under way, and look at it
	if !now.Follow(m) {
		return nil
	}
	c.access = &now
	c.reached.Store(&now)
	c.cache(c.access)
	members, ok := etcd.MembersOf(c.store)
	if !ok {
		return nil
	}
	return members.Move(c.access.Endpoints)
}
