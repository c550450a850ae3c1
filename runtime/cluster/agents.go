package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth/placement"
	"berth/runtime/agent"
	"berth/runtime/engine"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

// settleTime bounds how long agents may take from their start to their first word in the store.
const settleTime = 45 * time.Second

// missing reports whether a host that answers has no agent, or one whose making was interrupted.
func missing(s engine.Snapshot) bool {
	return s.Host.State == placement.Ready && (s.Agent == nil || s.Agent.State == "created")
}

// complete makes the agents of store members whose bootstrap was interrupted, and starts those that stand still.
func (c *Cluster) complete(ctx context.Context, snaps []engine.Snapshot, a *Access) error {
	var absent []string
	for _, s := range snaps {
		if missing(s) && slices.Contains(a.Members, s.Host.Name) {
			absent = append(absent, s.Host.Name)
		}
	}
	if err := c.join(ctx, absent, a); err != nil {
		return err
	}
	return c.wake(ctx, snaps)
}

// wake starts agent containers that stand still.
func (c *Cluster) wake(ctx context.Context, snaps []engine.Snapshot) error {
	var errs []error
	for _, s := range snaps {
		if s.Agent != nil && s.Agent.State == "exited" {
			errs = append(errs, c.engines[s.Host.Name].Start(ctx, s.Agent.ID))
		}
	}
	return errors.Join(errs...)
}

// ensureAgents puts an agent of this berth's version on each answering host that lacks one, starts those that stand
// still, and waits until all of them have spoken. It reports whether anything was done.
func (c *Cluster) ensureAgents(ctx context.Context, snaps []engine.Snapshot, view *ledger.View) (bool, error) {
	_, version, err := c.binary()
	if err != nil {
		return false, err
	}
	var fresh, stale, quiet []string
	for _, s := range snaps {
		switch {
		case s.Host.State != placement.Ready:
		case missing(s):
			fresh = append(fresh, s.Host.Name)
		case s.Agent.Cluster != c.access.Cluster:
			return false, fmt.Errorf("host %s belongs to another cluster (%s, not %s); remove the container and volume %s there, or take the host out of %s",
				s.Host.Name, s.Agent.Cluster, c.access.Cluster, AgentName, c.inv.Path)
		case s.Agent.Version != version:
			stale = append(stale, s.Host.Name)
		case s.Agent.State != "running" || !view.Alive[s.Host.Name] || view.Hosts[s.Host.Name].Agent != version:
			quiet = append(quiet, s.Host.Name)
		}
	}
	if len(fresh)+len(stale)+len(quiet) == 0 {
		return false, nil
	}
	if err := c.join(ctx, fresh, c.access); err != nil {
		return false, err
	}
	// One after the other, so that a store of three members keeps its quorum.
	for _, h := range stale {
		c.opts.Notify("updating the berth agent on " + h)
		if err := c.update(ctx, h); err != nil {
			return false, err
		}
		if err := c.settle(ctx, []string{h}, version); err != nil {
			return false, err
		}
	}
	if err := c.wake(ctx, snaps); err != nil {
		return false, err
	}
	return true, c.settle(ctx, append(fresh, quiet...), version)
}

// join puts agents on hosts that are new to the cluster.
func (c *Cluster) join(ctx context.Context, names []string, a *Access) error {
	if len(names) == 0 {
		return nil
	}
	caKey, err := c.caKey(ctx, a)
	if err != nil {
		return fmt.Errorf("host %s cannot join: %w", names[0], err)
	}
	var hosts []placement.InventoryHost
	for _, h := range c.inv.Hosts {
		if slices.Contains(names, h.Name) {
			hosts = append(hosts, h)
		}
	}
	return c.installAll(ctx, hosts, a, caKey)
}

// caKey fetches the CA's key from a store member; nil with an external store, which has its own certificates.
func (c *Cluster) caKey(ctx context.Context, a *Access) ([]byte, error) {
	if len(a.CA) == 0 {
		return nil, nil
	}
	var errs []error
	for _, m := range a.Members {
		if c.engines[m] == nil {
			continue
		}
		b, err := c.readFile(ctx, m, caKeyFile)
		if err == nil {
			return b, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("the cluster's CA key cannot be read from any store member (%s): %w",
		strings.Join(a.Members, ", "), errors.Join(errs...))
}

// update replaces a host's agent by this berth's, keeping its configuration.
func (c *Cluster) update(ctx context.Context, host string) error {
	b, err := c.readFile(ctx, host, agent.ConfigFile)
	if err != nil {
		return err
	}
	var cfg agent.Config
	if err := json.Unmarshal(b, &cfg); err != nil {
		return fmt.Errorf("host %s: %s in volume %s is broken: %w", host, agent.ConfigFile, AgentName, err)
	}
	for _, h := range c.inv.Hosts {
		if h.Name != host {
			continue
		}
		old := cfg.Version
		if err := c.install(ctx, h, cfg, map[string][]byte{}); err != nil {
			return err
		}
		// The image of the build before is of no use any more. One that stays costs disk, no more.
		_ = c.engines[host].RemoveImage(ctx, agentRef(old))
	}
	return nil
}

// settle waits until the hosts' agents of that version hold their leases. It follows the store's events.
func (c *Cluster) settle(ctx context.Context, hosts []string, version string) error {
	if len(hosts) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		v, err := c.View(ctx)
		if err != nil {
			return err
		}
		silent := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool {
			return v.Alive[h] && v.Hosts[h].Agent == version
		})
		if len(silent) == 0 {
			return nil
		}
		if err := nextEvent(ctx, c.store, ledger.Root, v.Revision); err != nil {
			return fmt.Errorf("the berth agent on %s does not answer within %s: %w; look at \"docker logs %s\" there",
				strings.Join(silent, ", "), settleTime, err, AgentName)
		}
	}
}

// nextEvent returns at the first event under prefix after a revision.
func nextEvent(ctx context.Context, st store.Store, prefix string, after int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b, ok := <-st.Watch(ctx, prefix, after)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if !ok {
		return errors.New("the store's watch ended")
	}
	if errors.Is(b.Err, store.ErrCompacted) {
		return nil
	}
	return b.Err
}
