package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"berth/placement"
	"berth/runtime/identity"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

// refuse takes the hosts that are no longer in the inventory out of the cluster: their certificates open the store no
// more, and all that the store knows of them goes, so that nobody looks for anything there. It reports whether there
// were any.
func (c *Cluster) refuse(ctx context.Context, view *ledger.View) (bool, error) {
	if len(c.gone(view)) == 0 {
		return false, nil
	}
	snap, err := c.Dump(ctx)
	if err != nil {
		return false, err
	}
	if view, err = ledger.Decode(snap); err != nil {
		return false, err
	}
	hosts := c.gone(view)
	t, err := refusal(view, snap, hosts)
	if err != nil {
		return false, err
	}
	r := Records{c: c}
	_, err = c.store.Commit(ctx, t)
	if errors.Is(err, store.ErrTooLarge) {
		_, _, err = r.commitParts(ctx, t)
	}
	if errors.Is(err, store.ErrConflict) {
		return true, nil // another command has changed something; the plan that follows fails on it, and comes back here
	}
	if err != nil {
		return false, fmt.Errorf("take %s out of the cluster: %w", strings.Join(hosts, ", "), err)
	}
	c.refused = hosts
	for _, h := range hosts {
		c.opts.Notify(fmt.Sprintf("host %s is no longer in %s: the store refuses it from now on, and what runs there is out of the cluster's sight; "+
			"to end that too, remove its containers and then container and volume %s there", h, c.inv.Path, AgentName))
	}
	return true, nil
}

// sweep deletes what the agents of hosts that were refused by this command have said since: a word that was under way then
// arrives before the doors are closed. What it leaves behind, the next command that finds it deletes.
func (c *Cluster) sweep(ctx context.Context) {
	hosts := c.refused
	if c.refused = nil; len(hosts) == 0 {
		return
	}
	snap, err := c.Dump(ctx)
	if err != nil {
		return
	}
	var t store.Txn
	out := map[string]bool{} // those that nobody has let in again meanwhile
	for _, p := range snap.Pairs {
		var r ledger.Refusal
		if k := ledger.Split(p.Key, ledger.Refused); len(k) == 1 && slices.Contains(hosts, k[0]) && json.Unmarshal(p.Value, &r) == nil && r.Admitted == "" {
			out[k[0]] = true
			t.Compares = append(t.Compares, store.Compare{Key: p.Key, Modified: p.Modified})
		}
	}
	for _, p := range snap.Pairs {
		if out[ledger.Owner(p.Key)] {
			t.Deletes = append(t.Deletes, p.Key)
		}
	}
	if len(t.Deletes) > 0 {
		_, _ = c.store.Commit(ctx, t)
	}
}

// gone lists the hosts that the store knows and the inventory does not, sorted.
func (c *Cluster) gone(view *ledger.View) []string {
	known := map[string]bool{}
	for h := range view.Hosts {
		known[h] = true
	}
	for h := range view.Alive {
		known[h] = true
	}
	for _, n := range view.Networks {
		for h := range n.Blocks {
			known[h] = true
		}
	}
	for _, e := range view.Endpoints {
		known[e.Host] = true
	}
	for _, h := range c.inv.Hosts {
		delete(known, h.Name)
	}
	if view.Members != nil {
		for _, m := range view.Members.Members {
			delete(known, m.Host) // it has the store's data still; see ensureMembers
		}
	}
	return slices.Sorted(maps.Keys(known))
}

// refusal is the transaction that takes hosts out: nothing of it is applied if networks or addresses have changed since
// the view, which is snap's.
func refusal(view *ledger.View, snap store.Snapshot, hosts []string) (store.Txn, error) {
	t := store.Txn{
		Compares: []store.Compare{{Key: ledger.Allocation, Modified: view.Allocated}},
		Puts:     []store.Put{{Key: ledger.Allocation}},
	}
	for _, h := range hosts {
		// With an external store too, where no certificate is checked: the host's agent then stops by itself.
		value, err := json.Marshal(ledger.Refusal{})
		if err != nil {
			return t, err
		}
		t.Puts = append(t.Puts, store.Put{Key: ledger.RefusedKey(h), Value: value})
	}
	for _, p := range snap.Pairs {
		if slices.Contains(hosts, ledger.Owner(p.Key)) {
			t.Deletes = append(t.Deletes, p.Key)
		}
	}
	for _, e := range view.Endpoints {
		if slices.Contains(hosts, e.Host) {
			t.Deletes = append(t.Deletes, ledger.EndpointKey(e))
		}
	}
	for _, n := range view.Networks {
		left := maps.Clone(n.Blocks)
		maps.DeleteFunc(left, func(h string, _ placement.Block) bool { return slices.Contains(hosts, h) })
		if len(left) == len(n.Blocks) {
			continue
		}
		n.Blocks = left
		value, err := json.Marshal(n)
		if err != nil {
			return t, err
		}
		t.Compares = append(t.Compares, store.Compare{Key: ledger.NetworkKey(n.Name), Modified: view.Revisions[n.Name]})
		t.Puts = append(t.Puts, store.Put{Key: ledger.NetworkKey(n.Name), Value: value})
	}
	return t, nil
}

// admit prepares the store for the agents that hosts are about to get. Hosts that were refused are let in again; it gives
// the admission that the new certificate of each has to hold. And what an agent of before said of itself, whose lease may
// not have run out yet, is not to be taken for the word of the new one.
func (c *Cluster) admit(ctx context.Context, hosts []string, view *ledger.View) (map[string]string, error) {
	admissions := map[string]string{}
	var t store.Txn
	for _, h := range hosts {
		t.Deletes = append(t.Deletes, ledger.AliveKey(h))
		if _, refused := view.Refused[h]; !refused {
			continue
		}
		if !c.embedded() {
			t.Deletes = append(t.Deletes, ledger.RefusedKey(h))
			continue
		}
		admissions[h] = identity.NewAdmission()
		value, err := json.Marshal(ledger.Refusal{Admitted: admissions[h]})
		if err != nil {
			return nil, err
		}
		t.Puts = append(t.Puts, store.Put{Key: ledger.RefusedKey(h), Value: value})
	}
	_, err := c.store.Commit(ctx, t)
	return admissions, err
}
