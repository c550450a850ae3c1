package agent

import (
	"net/netip"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
	"berth/runtime/store"
)

func (v *view) applyEndpoint(network, container string, e store.Event, c *changes) {
	if v.keepUnread(network, container, e) {
		return
	}
	var now placement.Endpoint
	if !e.Deleted && !v.decode(e, &now) {
		return
	}
	if v.endpoints[network] == nil {
		v.endpoints[network] = map[string]placement.Endpoint{}
	}
	old, was := v.endpoints[network][container]
	if e.Deleted {
		delete(v.endpoints[network], container)
		if len(v.endpoints[network]) == 0 {
			delete(v.endpoints, network)
		}
	} else {
		v.endpoints[network][container] = now
	}
	v.moved(network, old, was, now, !e.Deleted, c)
	if was { // a guest that had the address as well has it alone now
		for _, g := range v.guests[network] {
			v.stays(network, old, g, c)
		}
	}
}

// moved notes what the coming, going or change of an endpoint of a network means here.
func (v *view) moved(network string, old placement.Endpoint, was bool, now placement.Endpoint, is bool, c *changes) {
	c.local = c.local || was && old.Host == v.me || is && now.Host == v.me
	// The network may come later in the same revision; all its endpoints are then written together.
	n := v.networks[network]
	if _, here := n.block(v.me); !here {
		return
	}
	if c.zones == nil {
		c.zones = map[string]bool{}
	}
	c.zones[network] = true
	change := overlay.Change{VNI: n.VNI}
	if was {
		if o, err := v.entry(old); err == nil {
			change.Drop = append(change.Drop, o)
		}
	}
	if is {
		if o, err := v.entry(now); err != nil {
			v.log.Warn("endpoint left out", "key", ledger.EndpointKey(now), "err", err)
		} else if now.Host == v.me {
			// Now local: whatever led elsewhere must be gone before its container starts.
			change.Drop = append(change.Drop, o)
		} else if o.VTEP.IsValid() {
			// The same address elsewhere is replaced in place; dropping it first would leave a gap.
			if len(change.Drop) == 1 && change.Drop[0].MAC == o.MAC && change.Drop[0].IP == o.IP && change.Drop[0].IP6 == o.IP6 {
				change.Drop = nil
			}
			change.Put = append(change.Put, o)
		}
	}
	c.entries = append(c.entries, change)
}

// stays puts an endpoint's entries again after another one with the same address or MAC went, whose entries are gone now.
func (v *view) stays(network string, went, e placement.Endpoint, c *changes) {
	if e.Host == v.me || e.IP != went.IP && e.MAC != went.MAC && (e.IP6 != went.IP6 || !e.IP6.IsValid()) {
		return
	}
	if o, err := v.entry(e); err == nil && o.VTEP.IsValid() {
		c.entries = append(c.entries, overlay.Change{VNI: v.networks[network].VNI, Put: []overlay.Endpoint{o}})
	}
}

// entry is an endpoint as the overlay wants it; without a VTEP while its host has not spoken yet.
func (v *view) entry(e placement.Endpoint) (overlay.Endpoint, error) {
	mac, err := overlay.ParseMAC(e.MAC)
	if err != nil {
		return overlay.Endpoint{}, err
	}
	return overlay.Endpoint{IP: e.IP.Unmap(), IP6: e.IP6, MAC: mac, VTEP: v.vtep(e.Network, e.Host)}, nil
}

// vtep is where another host's part of a network is.
func (v *view) vtep(network, host string) netip.Addr {
	if host == v.me {
		return netip.Addr{}
	}
	if n := v.networks[network]; n.Encrypted() {
		return v.encryptedVTEP(host)
	}
	return v.hosts[host].VTEP
}
