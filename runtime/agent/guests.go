package agent

import (
	"context"
	"strings"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/store"
)

// A guest is a container that came onto a network by hand ("docker run --network", "docker network connect") and not by
// the store's word. The engine has given it an address of this host's block, or one that was asked for. Its agent
// publishes it under the host's lease, so that the other hosts find the way to it and all know its name, and takes it
// back when it is gone.
type guest struct{ host, container string }

// host publishes the guests of this host and takes back those that are gone.
func (a *agent) host(ctx context.Context) {
	if a.view == nil || a.joined == nil {
		return
	}
	now := map[string]placement.Endpoint{}
	for name, at := range a.joined {
		for network, address := range at.networks {
			r, known := a.view.networks[network]
			_, here := r.block(a.config.Host)
			info, stands := a.engineNets[network]
			if !known || !here || !stands || info.ID != address.NetworkID || !address.IP.IsValid() {
				continue
			}
			e := placement.Endpoint{Network: network, Container: name, Host: a.config.Host, IP: address.IP, IP6: address.IP6,
				MAC: address.MAC, Aliases: address.Aliases}
			if _, recorded := a.view.of(network)[name]; recorded || a.clashes(e) {
				continue
			}
			now[ledger.GuestKey(e)] = e
			if !at.looked {
				a.observe.look(ctx, at.id) // for the names that it was given there
			}
		}
	}
	old := a.guests
	a.guests = now
	for key, e := range now {
		if _, was := old[key]; !was {
			a.log.Info("container on a network by hand", "container", e.Container, "network", e.Network, "ip", e.IP)
		}
		a.publish.set(key, e, true)
	}
	gone := false
	for key := range old {
		if _, is := now[key]; !is {
			gone = true
			a.publish.delete(key)
		}
	}
	for _, network := range a.view.guests { // of an earlier life
		for g, e := range network {
			if _, is := now[ledger.GuestKey(e)]; g.host == a.config.Host && !is {
				a.publish.delete(ledger.GuestKey(e))
			}
		}
	}
	if gone || len(now) != len(old) {
		a.stateKeys()
	}
}

// clashes reports whether somebody has one of the addresses, and says so. A container of berth's own that does not have
// its final name yet, and one that is on its way out, have the address of their endpoint.
func (a *agent) clashes(e placement.Endpoint) bool {
	for _, other := range a.view.on(e.Network) {
		if other.Host == e.Host && other.Container == e.Container ||
			other.IP != e.IP && !strings.EqualFold(other.MAC, e.MAC) && (other.IP6 != e.IP6 || !e.IP6.IsValid()) {
			continue
		}
		if key := ledger.GuestKey(e); other.Host != e.Host && !a.warned[key] {
			a.warned[key] = true
			a.log.Warn("container on a network by hand has an address that another has; it is not known to other hosts", "container", e.Container,
				"network", e.Network, "ip", e.IP, "mac", e.MAC, "other", other.Container, "on", other.Host)
		}
		return true
	}
	return false
}

func (v *view) applyGuest(who guest, network string, e store.Event, c *changes) {
	var now placement.Endpoint
	if !e.Deleted && !v.decode(e, &now) {
		return
	}
	if v.guests[network] == nil {
		v.guests[network] = map[guest]placement.Endpoint{}
	}
	old, was := v.guests[network][who]
	if e.Deleted {
		delete(v.guests[network], who)
	} else {
		v.guests[network][who] = now
	}
	v.moved(network, old, was, now, !e.Deleted, c)
}
