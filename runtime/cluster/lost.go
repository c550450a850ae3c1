package cluster

import (
	"context"
	"fmt"
	"strings"

	"berth/runtime/engine"
)

// lostStoreError says that hosts have agents, and none of them the access to the store that they belong to.
type lostStoreError struct {
	cluster string
	host    string   // whose agent said the rest
	at      []string // where it knows the store
	path    string   // of the inventory
	cause   error
}

// found says where the store is not.
func (e *lostStoreError) found() string {
	return fmt.Sprintf("the store of cluster %s is at %s, by what the agent on host %s knows, and no host of %s that answers has it",
		e.cluster, strings.Join(e.at, ", "), e.host, e.path)
}

func (e *lostStoreError) Error() string {
	return e.found() + "; start the host that has it, or put it back into the inventory; if it is lost for ever, run \"berth store recover\", which begins a new store with what the hosts run"
}

func (e *lostStoreError) Unwrap() error { return e.cause }

// lostStore makes that error of what a host's agent knows.
func (c *Cluster) lostStore(ctx context.Context, clusterID, host string, cause error) error {
	e := &lostStoreError{cluster: clusterID, host: host, path: c.inv.Path, cause: cause}
	cfg, err := c.agentConfig(ctx, host)
	if err != nil {
		return err
	}
	for _, at := range cfg.Store.Endpoints {
		e.at = append(e.at, strings.TrimPrefix(at, "https://"))
	}
	return e
}

// openMembers opens the store on its members, or says how they are.
func (c *Cluster) openMembers(ctx context.Context, snaps []engine.Snapshot, a *Access) error {
	err := c.tryOpen(ctx, a, quorumTime)
	if err == nil || ctx.Err() != nil {
		return err
	}
	p := c.lookAtMembers(ctx, snaps, a)
	if err := p.errStuck(); err != nil {
		return err
	}
	if p.quorum() || p.begins() || p.unread != nil {
		if err = c.tryOpen(ctx, a, openTime); err == nil || ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("the embedded store on %s cannot be reached: %w; look at \"docker logs %s\" on these hosts",
			strings.Join(a.Members, ", "), err, AgentName)
	}
	goes := "goes on with what is left"
	if len(p.data) == 0 {
		goes = "begins a new store with what the hosts run"
	}
	return fmt.Errorf("the store has no quorum: %s; bring them back, or, if they are lost for ever, run \"berth store recover\", which %s: %w", p.found(), goes, err)
}
