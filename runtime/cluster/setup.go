package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/ledger"
)

// setupName is the mark that a command holds on the first host that answers while it puts agents on hosts: two
// commands that made the same cluster at once would make two.
const setupName = AgentName + "-setup"

// setupTime bounds the wait for a command on another machine that is putting agents on hosts. It sends each host an
// image of some 20 MB, perhaps over a slow line.
const setupTime = 10 * time.Minute

// alone runs work, with fresh snapshots, while no other command puts agents on these hosts. A mark left by a dead
// process of this machine is taken over.
func (c *Cluster) alone(ctx context.Context, snaps []engine.Snapshot, work func([]engine.Snapshot) error) error {
	var e *engine.Engine
	for _, s := range snaps {
		if s.Host.State == placement.Ready {
			e = c.engines[s.Host.Name]
			break
		}
	}
	id, err := c.setup(ctx, e)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opts.Timeout)
		defer cancel()
		_ = e.Remove(ctx, id, false) // one that stays is taken over
	}()
	if snaps, err = c.Snapshots(ctx, engine.Query{Light: true}, nil); err != nil {
		return err
	}
	return work(snaps)
}

// setup takes the mark and gives its ID.
func (c *Cluster) setup(ctx context.Context, e *engine.Engine) (string, error) {
	binary, version, err := c.binary()
	if err != nil {
		return "", err
	}
	if err := runsHere(ctx, e, e.Host()); err != nil {
		return "", err
	}
	if err := ensureImage(ctx, e, binary, version); err != nil {
		return "", err
	}
	me, err := self("berth")
	if err != nil {
		return "", err
	}
	holder, err := json.Marshal(me)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	for {
		id, err := e.Mark(ctx, setupName, agentRef(version), string(holder))
		if !engine.IsConflict(err) {
			return id, err
		}
		if err := c.awaitSetup(ctx, e, me); err != nil {
			return "", err
		}
	}
}

// awaitSetup waits until the mark is given back, or takes away one that a dead process left.
func (c *Cluster) awaitSetup(ctx context.Context, e *engine.Engine, me ledger.Lock) error {
	m, err := e.MarkOf(ctx, setupName)
	if engine.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var holder ledger.Lock
	if json.Unmarshal([]byte(m.Holder), &holder) == nil && dead(holder, me) {
		return e.Remove(ctx, m.ID, false)
	}
	c.opts.Notify(fmt.Sprintf("waiting for another berth (process %d on %s) to put its agents on the hosts", holder.PID, holder.Machine))
	hub := e.Events(ctx)
	defer hub.Close()
	_, err = e.Await(ctx, hub, m.ID, func(engine.State) (bool, error) { return false, nil })
	switch {
	case engine.IsNotFound(err):
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("another berth (process %d on %s) has been putting agents on the hosts for %s; if it is gone, remove the container %s on host %s",
			holder.PID, holder.Machine, setupTime, setupName, e.Host())
	}
	return err
}

// sweepSetup takes away a mark of a process of this machine that died after its work was done.
func (c *Cluster) sweepSetup(ctx context.Context, snaps []engine.Snapshot) error {
	for _, s := range snaps {
		for _, m := range s.Marks {
			if m.Name != setupName {
				continue
			}
			me, err := self("berth")
			if err != nil {
				return err
			}
			var holder ledger.Lock
			if json.Unmarshal([]byte(m.Holder), &holder) == nil && dead(holder, me) {
				if err := c.engines[s.Host.Name].Remove(ctx, m.ID, false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
