package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"berth/runtime/ledger"
	"berth/runtime/store"
)

// withdrawTime bounds how long a stop waits for hosts to send its container nothing new. They take some tens of
// milliseconds; one that does not answer must not keep a container from being stopped.
const withdrawTime = 3 * time.Second

// PortAnswered waits until the hosts' agents have done what this plan recorded about ports. The error is the first
// host's that cannot answer this one.
func (r *Records) PortAnswered(ctx context.Context, port string, hosts []string) error {
	ctx, cancel := context.WithTimeout(ctx, networkTime)
	defer cancel()
	r.mu.Lock()
	since := r.recorded
	r.mu.Unlock()
	silent, err := r.answers(ctx, hosts, func(host string, a ledger.Answers) (bool, error) {
		if a.Revision < since {
			return false, nil
		}
		if problem := a.Problems[port]; problem != "" {
			return false, fmt.Errorf("port %s is not published on host %s: %s", port, host, problem)
		}
		return true, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("port %s was not published on host %s within %s: its agent does not answer; look at \"docker logs %s\" there",
			port, silent, networkTime, AgentName)
	}
	return err
}

// Withdrawals prepares the store for a plan that stops containers without the project's lock: what it withdraws comes back
// at the latest with Close. The store may not answer; it is waited for as long as for hosts.
func (c *Cluster) Withdrawals(ctx context.Context, project string) (*Records, error) {
	ctx, cancel := context.WithTimeout(ctx, withdrawTime)
	defer cancel()
	if err := c.Open(ctx, false); err != nil {
		return nil, err
	}
	snap, err := c.store.Get(ctx, ledger.Alive)
	if err != nil {
		return nil, err
	}
	r := c.Records(project)
	for _, p := range snap.Pairs {
		r.alive = append(r.alive, ledger.Split(p.Key, ledger.Alive)...)
	}
	if r.lease, err = c.store.Lease(ctx, lockTTL); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// giveBack ends what only this plan withdrew.
func (r *Records) giveBack() {
	if r.lease == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), withdrawTime)
	defer cancel()
	_ = r.lease.Revoke(ctx) // else it runs out by itself
}

// Withdraw says that a container is about to be stopped, for as long as this command lives or until the container does
// not run, and waits until no host that is alive sends it anything new. One that takes too long is not waited for; nor is
// the store, by a command that works without one.
func (r *Records) Withdraw(ctx context.Context, host, container string) error {
	var lease int64
	var hosts []string
	switch {
	case r.lease != nil:
		lease, hosts = r.lease.ID, r.alive
	case r.c.lock != nil && r.c.view != nil:
		lease, hosts = r.c.lock.lease.ID, slices.Sorted(maps.Keys(r.c.view.Alive))
	default:
		return nil
	}
	within, cancel := context.WithTimeout(ctx, withdrawTime)
	defer cancel()
	committing := ctx
	if r.lease != nil {
		committing = within
	}
	rev, err := r.commit(committing, store.Txn{Puts: []store.Put{{Key: ledger.WithdrawnKey(host, container), Lease: lease}}})
	if err == nil {
		_, err = r.answers(within, hosts, func(_ string, a ledger.Answers) (bool, error) { return a.Revision >= rev, nil })
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	}
	if r.lease == nil || ctx.Err() != nil {
		return fmt.Errorf("withdraw %s in the store: %w", container, err)
	}
	r.lost.Do(func() { r.c.opts.Notify(NotWithdrawn(err)) })
	return nil
}

// NotWithdrawn is what a command says that stops containers while the store does not answer.
func NotWithdrawn(err error) string {
	return fmt.Sprintf("containers are stopped without being taken from the cluster's published ports first, so calls may be lost: %v", err)
}

// answers waits until what all hosts say of their ports holds. With an error of the context it names the first host of
// which it does not.
func (r *Records) answers(ctx context.Context, hosts []string, holds func(host string, a ledger.Answers) (bool, error)) (string, error) {
	snap, err := r.c.store.Get(ctx, ledger.Answering)
	if err != nil {
		return "", err
	}
	said := map[string]ledger.Answers{}
	take := func(p store.Pair, deleted bool) {
		k := ledger.Split(p.Key, ledger.Answering)
		var a ledger.Answers
		if len(k) == 1 && (deleted || json.Unmarshal(p.Value, &a) == nil) {
			said[k[0]] = a
		}
	}
	for _, p := range snap.Pairs {
		take(p, false)
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	events := r.c.store.Watch(watching, ledger.Answering, snap.Revision)
	for {
		silent := ""
		for _, h := range hosts {
			ok, err := holds(h, said[h])
			if err != nil {
				return h, err
			}
			if !ok && silent == "" {
				silent = h
			}
		}
		if silent == "" {
			return "", nil
		}
		b, ok := <-events
		switch {
		case ctx.Err() != nil:
			return silent, ctx.Err()
		case !ok:
			return silent, errors.New("the store's watch ended")
		case b.Err != nil:
			return silent, fmt.Errorf("watch the store: %w", b.Err)
		}
		for _, e := range b.Events {
			take(e.Pair, e.Deleted)
		}
	}
}
