package agent

import (
	"cmp"
	"context"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"berth/runtime/ledger"
	"berth/runtime/overlay"
	"berth/runtime/wireguard"
)

// Encrypted networks of this host stand on one WireGuard device. It is made when the host gets its first such network,
// and removed with the last. Until it stands they are neither made nor touched.

// encryption is what the loop knows of the device. What is done at the device is done by jobs, one at a time.
type encryption struct {
	device *wireguard.Device

	busy     bool // a job is at the device
	again    bool // something changed meanwhile
	looked   bool // in this life: without it, one of an earlier life may be there
	standing bool
	link     int              // index of the device's link
	mtu      int              // of the device
	record   ledger.WireGuard // what this host says of it; empty while it does not stand
	key      wireguard.Key    // private, in use; kept in case the device's process dies
	peers    []wireguard.Peer // as the device has them
	hosts    map[wireguard.Key]string
	heard    map[wireguard.Key]heard
	problem  string
	pause    time.Duration
	staged   staged
}

// deviceResult is what a job at the device found.
type deviceResult struct {
	removed bool
	rekeyed bool
	want    wireguard.Want
	hosts   map[wireguard.Key]string // whose keys those of want are
	status  wireguard.Status
}

// tunnels is what the device shall be: its peers are the hosts that share an encrypted network with this one, and no
// others.
func (a *agent) tunnels() (wireguard.Want, map[wireguard.Key]string) {
	w := wireguard.Want{Host: a.config.Host, Port: cmp.Or(a.view.encryption.Port, wireguard.DefaultPort),
		MTU: a.underlay.MTU - wireguard.Overhead(a.underlay.Addr), Key: a.encryption.key}
	hosts := map[wireguard.Key]string{}
	for _, host := range a.view.companions() {
		h := a.view.hosts[host]
		if h.WireGuard == nil || !h.VTEP.IsValid() {
			continue
		}
		for i, text := range []string{h.WireGuard.Key, h.WireGuard.Next} {
			key, err := wireguard.ParseKey(text)
			if err != nil {
				if text != "" {
					a.log.Warn("host left out of encrypted networks: its key is not understood", "peer", host, "err", err)
				}
				continue
			}
			hosts[key] = host
			w.Peers = append(w.Peers, wireguard.Peer{Key: key, Address: wireguard.Address(host, h.WireGuard.Generation+i),
				Endpoint: netip.AddrPortFrom(h.VTEP, uint16(h.WireGuard.Port)), Keep: i == 0})
		}
	}
	return w, hosts
}

// encrypt starts a job that makes the device as it shall be, or removes it.
func (a *agent) encrypt(ctx context.Context) {
	e := &a.encryption
	if a.view == nil || !a.underlay.Addr.IsValid() {
		return
	}
	if e.busy {
		e.again = true
		return
	}
	if !a.view.onEncrypted() {
		if !e.looked || e.record.Key != "" {
			a.atDevice(ctx, func(ctx context.Context) (*deviceResult, error) {
				return &deviceResult{removed: true}, e.device.Remove(ctx)
			})
		}
		return
	}
	want, hosts := a.tunnels()
	a.atDevice(ctx, func(ctx context.Context) (*deviceResult, error) {
		s, err := e.device.Ensure(ctx, want)
		return &deviceResult{want: want, hosts: hosts, status: s}, err
	})
}

func (a *agent) atDevice(ctx context.Context, f func(context.Context) (*deviceResult, error)) {
	a.encryption.busy, a.encryption.again = true, false
	a.job(ctx, func(ctx context.Context) result {
		r, err := f(ctx)
		return result{device: r, err: err}
	})
}

// finishDevice takes in what a job found.
func (a *agent) finishDevice(ctx context.Context, r *deviceResult, err error) {
	e := &a.encryption
	e.busy = false
	before, stood, link := e.record, e.standing, e.link
	switch {
	case err != nil:
		if r.rekeyed { // the device is asked next which key it has
			e.staged, e.record.Next = staged{notBefore: time.Now().Add(reconcileEvery)}, ""
		} else {
			e.standing = false
		}
		if e.problem != err.Error() {
			a.log.Error("encrypted networks do not stand", "err", err)
		}
		e.problem = err.Error()
		e.pause = min(max(2*e.pause, time.Second), reconcileEvery)
		a.later(ctx, e.pause)
	case r.removed:
		if e.record.Key != "" {
			a.log.Info("WireGuard device removed")
		}
		*e = encryption{device: e.device, looked: true, again: e.again}
	case r.rekeyed:
		a.rekeyed(r.status.Key)
	default:
		a.found(ctx, r)
	}
	if !reflect.DeepEqual(before, e.record) {
		a.refresh()
	}
	if e.standing != stood || e.link != link || before.Generation != e.record.Generation || err != nil {
		a.compare(ctx)
	}
	if e.again || r.rekeyed {
		a.encrypt(ctx)
	} else {
		a.rotate(ctx)
	}
}

// found takes in how the device stands.
func (a *agent) found(ctx context.Context, r *deviceResult) {
	e := &a.encryption
	if r.status.Key != e.key {
		a.adopt(r.status.Key)
	}
	e.looked, e.standing, e.problem, e.pause = true, true, "", 0
	if e.link != r.status.Link {
		e.heard = nil // the device was made anew, and has shaken hands with nobody
	}
	e.link, e.mtu, e.peers, e.hosts = r.status.Link, r.want.MTU, r.want.Peers, r.hosts
	e.record.Port, e.record.Kernel, e.record.Accepts = r.want.Port, r.status.Kernel, nil
	for _, p := range e.peers {
		if !p.Keep {
			e.record.Accepts = append(e.record.Accepts, p.Key.String())
		}
	}
	slices.Sort(e.record.Accepts)
	if a.listen(r.status, time.Now()) {
		a.later(ctx, silentAfter)
	}
}

// adopt makes the device's key this host's. One that the store knows already goes on under its generation: the agent was
// restarted, before it could say so perhaps. Any other begins a new one.
func (a *agent) adopt(key wireguard.Key) {
	e := &a.encryption
	public := key.PublicKey().String()
	var told ledger.WireGuard
	if w := a.view.hosts[a.config.Host].WireGuard; w != nil {
		told = *w
	}
	e.key, e.staged = key, staged{}
	switch public {
	case told.Key:
		e.record = ledger.WireGuard{Key: public, Generation: told.Generation, Since: told.Since, Rotation: told.Rotation}
	default:
		e.record = ledger.WireGuard{Key: public, Generation: told.Generation + 1, Since: time.Now().UTC().Truncate(time.Second),
			Rotation: a.view.encryption.Rotation}
	}
	a.log.Info("WireGuard device stands", "key", public, "generation", e.record.Generation)
}

// place is where encrypted networks of this host begin.
func (a *agent) place() overlay.Underlay {
	e := &a.encryption
	return overlay.Underlay{Addr: wireguard.Address(a.config.Host, e.record.Generation), Device: wireguard.Name, MTU: e.mtu}
}

func sorted(set map[string]bool) []string {
	var out []string
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
