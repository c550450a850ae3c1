package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"berth/runtime/engine"
	"berth/runtime/ledger"
)

// usable is View, of a store that is the cluster's and whole.
func (c *Cluster) usable(ctx context.Context) (*ledger.View, error) {
	view, err := c.View(ctx)
	switch {
	case err != nil:
		return nil, err
	case view.Epoch.Restoring != "":
		return nil, fmt.Errorf("the store holds half of a backup: its restore was interrupted or still goes on; run \"berth store restore %s\" again", view.Epoch.Restoring)
	case view.Epoch.Moved != "":
		return nil, movedError(view.Epoch.Moved)
	}
	return view, nil
}

// movedError says where the cluster's store is now.
func movedError(url string) error {
	return fmt.Errorf("the cluster's store was moved to %s; write \"store: %s\" in the inventory, or run \"berth store migrate %s\" again if that was interrupted", url, url, url)
}

// awaitTold waits until the agents that run have told a store which has lost something what runs on their hosts.
func (c *Cluster) awaitTold(ctx context.Context, snaps []engine.Snapshot, view *ledger.View) (*ledger.View, error) {
	var agents []string
	for _, s := range snaps {
		if s.Agent != nil && s.Agent.State == "running" && s.Agent.Cluster == c.access.Cluster {
			agents = append(agents, s.Host.Name)
		}
	}
	if len(view.Untold(agents)) == 0 {
		return view, nil
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		untold := view.Untold(agents)
		if len(untold) == 0 {
			return view, nil
		}
		err := nextEvent(ctx, c.store, ledger.Root, view.Revision)
		if err == nil {
			view, err = c.View(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("the store has lost what it knew, and the berth agent on %s has not told it within %s what runs there: %w; look at \"docker logs %s\" there",
				strings.Join(untold, ", "), settleTime, err, AgentName)
		}
	}
}

// allTold refuses to give out addresses while the store, which has lost what it knew, does not know those of a host.
func (c *Cluster) allTold(view *ledger.View) error {
	var hosts []string
	for _, h := range c.inv.Hosts {
		hosts = append(hosts, h.Name)
	}
	untold := view.Untold(hosts)
	if len(untold) == 0 {
		return nil
	}
	return fmt.Errorf("no address can be given out: the store has lost what it knew, and what runs on %s is not known since; start that host and its agent, or take it out of %s if it does not come back",
		strings.Join(slices.Compact(untold), ", "), c.inv.Path)
}
