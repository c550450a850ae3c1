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

// quietTime is how long agents are waited for that run and have not spoken, before somebody looks why.
const quietTime = 5 * time.Second

// missing reports whether a host that answers has no agent, or one whose making was interrupted.
func missing(s engine.Snapshot) bool {
	return s.Host.State == placement.Ready && (s.Agent == nil || s.Agent.State == "created")
}

// incomplete reports whether store members lack their agents, or any agent stands still.
func (c *Cluster) incomplete(snaps []engine.Snapshot, a *Access) bool {
	return slices.ContainsFunc(snaps, func(s engine.Snapshot) bool {
		return missing(s) && slices.Contains(a.Members, s.Host.Name) || s.Agent != nil && s.Agent.State == "exited"
	})
}

// complete makes the agents of store members whose bootstrap was interrupted, and starts those that stand still.
func (c *Cluster) complete(ctx context.Context, snaps []engine.Snapshot, a *Access) error {
	var absent, asleep []string
	for _, s := range snaps {
		if missing(s) && slices.Contains(a.Members, s.Host.Name) {
			absent = append(absent, s.Host.Name)
		} else if s.Agent != nil && s.Agent.State == "exited" {
			asleep = append(asleep, s.Host.Name)
		}
	}
	if err := c.join(ctx, absent, a, installation{begins: true, began: c.began(ctx, snaps)}, nil); err != nil {
		return err
	}
	return c.wake(ctx, asleep)
}

// began reports whether a member of the store has served already.
func (c *Cluster) began(ctx context.Context, snaps []engine.Snapshot) bool {
	return slices.ContainsFunc(snaps, func(s engine.Snapshot) bool {
		if s.Agent == nil || missing(s) {
			return false
		}
		cfg, err := c.agentConfig(ctx, s.Host.Name)
		return err == nil && cfg.Store.Member != nil && cfg.Store.Member.Began
	})
}

// wake starts agents that stand still.
func (c *Cluster) wake(ctx context.Context, hosts []string) error {
	var errs []error
	for _, h := range hosts {
		errs = append(errs, c.engines[h].Start(ctx, AgentName))
	}
	return errors.Join(errs...)
}

// ensureAgents puts an agent of this berth's version on each answering host that lacks one, starts those that stand
// still, and waits until all of them have spoken. It reports whether anything was done.
func (c *Cluster) ensureAgents(ctx context.Context, snaps []engine.Snapshot, view *ledger.View) (bool, error) {
	if err := c.sweepSetup(ctx, snaps); err != nil {
		return false, err
	}
	_, version, err := c.binary()
	if err != nil {
		return false, err
	}
	t, err := c.triage(snaps, view, version)
	switch {
	case err != nil || t.well():
		return false, err
	case t.onlyQuiet(view) && c.settle(ctx, t.quiet, version, quietTime) == nil:
		return true, nil
	}
	return true, c.alone(ctx, snaps, func(snaps []engine.Snapshot) error {
		view, err := c.View(ctx)
		if err != nil {
			return err
		}
		t, err := c.triage(snaps, view, version)
		if err != nil {
			return err
		}
		return c.mendAgents(ctx, t, view, version)
	})
}

// triage sorts the answering hosts that are not as they shall be by what they lack.
type triage struct {
	fresh  []string // an agent
	stale  []string // an agent of this version
	asleep []string // a running one
	quiet  []string // a word from it in the store
}

// onlyQuiet reports whether there is nothing to do but to wait, as just after the agents were made.
func (t *triage) onlyQuiet(view *ledger.View) bool {
	refused := slices.ContainsFunc(t.quiet, func(h string) bool { _, is := view.Refused[h]; return is })
	return len(t.fresh)+len(t.stale)+len(t.asleep) == 0 && !refused
}

func (t *triage) well() bool { return len(t.fresh)+len(t.stale)+len(t.asleep)+len(t.quiet) == 0 }

func (c *Cluster) triage(snaps []engine.Snapshot, view *ledger.View, version string) (*triage, error) {
	t := &triage{}
	for _, s := range snaps {
		switch {
		case s.Host.State != placement.Ready:
		case missing(s):
			t.fresh = append(t.fresh, s.Host.Name)
		case s.Agent.Cluster != c.access.Cluster:
			return nil, fmt.Errorf("host %s belongs to another cluster (%s, not %s); remove the container and volume %s there, or take the host out of %s",
				s.Host.Name, s.Agent.Cluster, c.access.Cluster, AgentName, c.inv.Path)
		case s.Agent.Version != version:
			t.stale = append(t.stale, s.Host.Name)
		case s.Agent.State == "exited":
			t.asleep = append(t.asleep, s.Host.Name)
		case s.Agent.State != "running" || !view.Alive[s.Host.Name] || view.Hosts[s.Host.Name].Agent != version || !view.Told(s.Host.Name):
			t.quiet = append(t.quiet, s.Host.Name)
		}
	}
	return t, nil
}

// mendAgents gives hosts what they lack.
func (c *Cluster) mendAgents(ctx context.Context, t *triage, view *ledger.View, version string) error {
	again := func(hosts []string) (known []string, err error) {
		for _, h := range hosts {
			refused, err := c.remind(ctx, h, view)
			if err != nil {
				return nil, err
			}
			if refused {
				t.fresh = append(t.fresh, h)
			} else {
				known = append(known, h)
			}
		}
		return known, nil
	}
	var err error
	if t.quiet, err = again(t.quiet); err != nil {
		return err
	}
	if t.asleep, err = again(t.asleep); err != nil {
		return err
	}
	if err := c.join(ctx, t.fresh, c.access, installation{}, view); err != nil {
		return err
	}
	// One after the other, so that a store of three members keeps its quorum.
	for _, h := range t.stale {
		c.opts.Notify("updating the berth agent on " + h)
		if err := c.update(ctx, h); err != nil {
			return err
		}
		if err := c.settle(ctx, []string{h}, version, settleTime); err != nil {
			return err
		}
	}
	if err := c.wake(ctx, t.asleep); err != nil {
		return err
	}
	return c.settle(ctx, slices.Concat(t.fresh, t.asleep, t.quiet), version, settleTime)
}

// join puts agents on hosts that are new to the cluster, or were refused and are let in again.
func (c *Cluster) join(ctx context.Context, names []string, a *Access, with installation, view *ledger.View) error {
	if len(names) == 0 {
		return nil
	}
	var err error
	if with.caKey, err = c.caKey(ctx, a); err != nil {
		return fmt.Errorf("host %s cannot join: %w", names[0], err)
	}
	if err := c.newlySealed(ctx, a); err != nil {
		return fmt.Errorf("host %s cannot join: %w", names[0], err)
	}
	if view != nil {
		c.told = vteps(view)
		if with.admissions, err = c.admit(ctx, names, view); err != nil {
			return fmt.Errorf("host %s cannot join: %w", names[0], err)
		}
	}
	var hosts []placement.InventoryHost
	for _, h := range c.inv.Hosts {
		if slices.Contains(names, h.Name) {
			hosts = append(hosts, h)
		}
	}
	return c.installAll(ctx, hosts, a, with)
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
		b, err := c.readFile(ctx, m, agent.CAKeyFile)
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
	cfg, err := c.agentConfig(ctx, host)
	if err != nil {
		return err
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

// agentConfig reads a host's agent configuration.
func (c *Cluster) agentConfig(ctx context.Context, host string) (agent.Config, error) {
	var cfg agent.Config
	b, err := c.readFile(ctx, host, agent.ConfigFile)
	if err == nil {
		if err = json.Unmarshal(b, &cfg); err != nil {
			err = fmt.Errorf("host %s: %s in volume %s is broken: %w", host, agent.ConfigFile, AgentName, err)
		}
	}
	return cfg, err
}

// settle waits until the hosts' agents of that version hold their leases. It follows the store's events.
func (c *Cluster) settle(ctx context.Context, hosts []string, version string, limit time.Duration) error {
	if len(hosts) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		v, err := c.View(ctx)
		if err != nil {
			return err
		}
		silent := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool {
			return v.Alive[h] && v.Hosts[h].Agent == version && v.Told(h)
		})
		if len(silent) == 0 {
			return nil
		}
		if err := nextEvent(ctx, c.store, ledger.Root, v.Revision); err != nil {
			return fmt.Errorf("the berth agent on %s does not answer within %s: %w; look at \"docker logs %s\" there",
				strings.Join(silent, ", "), limit, err, AgentName)
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
