package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth/runtime/ledger"
	"berth/runtime/store"
)

// tellEncryption puts what the inventory says about encrypted networks into the store, for the agents.
func (c *Cluster) tellEncryption(ctx context.Context, view *ledger.View) error {
	want := c.inv.Encryption
	if view.Encryption.Port == want.Port && view.Encryption.Every == want.Rotate {
		return nil
	}
	_, err := c.changeEncryption(ctx, func(e *ledger.Encryption) { e.Port, e.Every = want.Port, want.Rotate })
	return err
}

// changeEncryption changes the record that all agents follow.
func (c *Cluster) changeEncryption(ctx context.Context, change func(*ledger.Encryption)) (ledger.Encryption, error) {
	for {
		var e ledger.Encryption
		snap, err := c.store.Get(ctx, ledger.EncryptionKey)
		if err != nil {
			return e, err
		}
		known := int64(0)
		for _, p := range snap.Pairs {
			if p.Key != ledger.EncryptionKey {
				continue
			}
			if err := json.Unmarshal(p.Value, &e); err != nil {
				return e, fmt.Errorf("read the store: key %s: %w", p.Key, err)
			}
			known = p.Modified
		}
		change(&e)
		raw, err := json.Marshal(e)
		if err != nil {
			return e, err
		}
		_, err = c.store.Commit(ctx, store.Txn{
			Compares: []store.Compare{{Key: ledger.EncryptionKey, Modified: known}},
			Puts:     []store.Put{{Key: ledger.EncryptionKey, Value: raw}},
		})
		if !errors.Is(err, store.ErrConflict) {
			return e, err
		}
	}
}

// rotationTime bounds the wait for hosts to change their keys. One waits up to a minute for its peers.
const rotationTime = 2 * time.Minute

// RotateKeys has every host that is on an encrypted network change its key, and waits until those have that are alive.
// It returns them, sorted.
func (c *Cluster) RotateKeys(ctx context.Context) ([]string, error) {
	asked, err := c.changeEncryption(ctx, func(e *ledger.Encryption) { e.Rotation++ })
	if err != nil {
		return nil, fmt.Errorf("rotate keys: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, rotationTime)
	defer cancel()
	for {
		v, err := c.View(ctx)
		if err != nil {
			return nil, fmt.Errorf("rotate keys: %w", err)
		}
		var done, late []string
		for name, h := range v.Hosts {
			switch {
			case h.WireGuard == nil || !v.Alive[name]:
			case h.WireGuard.Rotation < asked.Rotation:
				late = append(late, name)
			default:
				done = append(done, name)
			}
		}
		slices.Sort(done)
		if len(late) == 0 {
			return done, nil
		}
		slices.Sort(late)
		if err := nextEvent(ctx, c.store, ledger.Root, v.Revision); err != nil {
			return done, fmt.Errorf("rotate keys: %s has not changed its key within %s: %w; look at \"docker logs %s\" there, it goes on by itself",
				strings.Join(late, ", "), rotationTime, err, AgentName)
		}
	}
}
