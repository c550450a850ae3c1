package agent

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"time"

	"berth/runtime/ledger"
	"berth/runtime/wireguard"
)

// A host's WireGuard key changes without a gap. The next one is published and taken in by the peers first, under the
// host's other address; when all have said so, tunnels and device change over in the same moment, and what the peers
// still send to the address before, under the key before, is taken in as well.

// stageTime is how long a host waits for its peers to take its next key in. Those that have not by then (their agents
// hang) are cut off until they do.
const stageTime = time.Minute

// staged is a key that waits for its use.
type staged struct {
	key      wireguard.Key // private; zero: none
	at       time.Time
	rotation int64 // the request that it answers

	notBefore time.Time // of the next attempt after one that failed
}

// rotate begins a change of the key when it is time, and completes it when the peers are ready.
func (a *agent) rotate(ctx context.Context) {
	e := &a.encryption
	if !e.standing || e.busy {
		return
	}
	if e.staged.key == (wireguard.Key{}) {
		if now := time.Now(); now.Before(e.staged.notBefore) || !a.rotationDue(now) {
			return
		}
		key, err := wireguard.NewKey()
		if err != nil {
			a.log.Error("key not changed", "err", err)
			return
		}
		e.staged = staged{key: key, at: time.Now(), rotation: a.view.encryption.Rotation}
		e.record.Next = key.PublicKey().String()
		a.later(ctx, stageTime)
		a.refresh()
	}
	if late := a.unready(); len(late) > 0 {
		if time.Since(e.staged.at) < stageTime {
			return
		}
		a.log.Warn("key changes although not all peers are ready for it; they are cut off until they are", "peers", late)
	}
	next, from, to := e.staged.key, a.place().Addr, wireguard.Address(a.config.Host, e.record.Generation+1)
	a.atDevice(ctx, func(ctx context.Context) (*deviceResult, error) {
		r := &deviceResult{rekeyed: true, status: wireguard.Status{Key: next}}
		if err := a.net.Move(ctx, from, to); err != nil {
			return r, err
		}
		return r, e.device.Rekey(ctx, next)
	})
}

// rekeyed takes in that the staged key is in use.
func (a *agent) rekeyed(key wireguard.Key) {
	e := &a.encryption
	e.key = key
	e.record.Key, e.record.Next = key.PublicKey().String(), ""
	e.record.Generation++
	e.record.Since = time.Now().UTC().Truncate(time.Second)
	e.record.Rotation = e.staged.rotation
	e.staged = staged{}
	a.log.Info("WireGuard key changed", "key", e.record.Key, "generation", e.record.Generation)
}

// rotationDue reports whether the key is to change: because it was asked for, or because of its age. Hosts that came up
// together change theirs one after the other. While a peer is away, a change because of age is put off by up to as long
// again: its containers may be running, and would be cut off until its agent is back.
func (a *agent) rotationDue(now time.Time) bool {
	r := a.encryption.record
	if a.view.encryption.Rotation > r.Rotation {
		return true
	}
	every := cmp.Or(a.view.encryption.Every, ledger.RotateEvery)
	h := fnv.New32a()
	h.Write([]byte(a.config.Host))
	age := now.Sub(r.Since) - every/10*time.Duration(h.Sum32()%100)/100
	if age < every {
		return false
	}
	away := slices.ContainsFunc(a.view.companions(), func(host string) bool { return !a.view.alive[host] })
	return !away || age >= 2*every
}

// unready are the peers, among those that are alive, for which this host's key cannot change yet: they have not taken in
// the staged one, or they are before this host with a change of their own. Two hosts that changed at once would greet
// each other under keys that neither has any more, until they heard of it from the store.
func (a *agent) unready() []string {
	var late []string
	for _, host := range a.view.companions() {
		w := a.view.hosts[host].WireGuard
		if w == nil || !a.view.alive[host] {
			continue
		}
		first := w.Next != "" && host < a.config.Host
		if first || !slices.Contains(w.Accepts, a.encryption.record.Next) {
			late = append(late, host)
		}
	}
	return late
}
