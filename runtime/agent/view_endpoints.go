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

// settle puts the entries of endpoints again whose address or MAC another one has given up among these changes: in one
// revision the new owner may come before the old one goes, and a guest may have had a task's address all the time.
func (v *view) settle(c *changes) {
	given := map[uint32]map[any]bool{}
	for _, change := range c.entries {
		for _, e := range change.Drop {
			if given[change.VNI] == nil {
				given[change.VNI] = map[any]bool{}
			}
			given[change.VNI][e.MAC], given[change.VNI][e.IP] = true, true
			if e.IP6.IsValid() {
				given[change.VNI][e.IP6] = true
			}
		}
	}
	if len(given) == 0 {
		return
	}
	for name, r := range v.networks {
		up := given[r.VNI]
		if up == nil {
			continue
		}
		again := overlay.Change{VNI: r.VNI}
		for _, e := range v.on(name) {
			if o, err := v.entry(e); err == nil && o.VTEP.IsValid() && (up[o.MAC] || up[o.IP] || up[o.IP6]) {
				again.Put = append(again.Put, o)
			}
		}
		if again.Put != nil {
			c.entries = append(c.entries, again)
		}
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

// vtep is where another host's part of a network is; invalid when that is not known, or of another family than this host's
// tunnels, which lead nowhere else.
func (v *view) vtep(network, host string) netip.Addr {
	if host == v.me {
		return netip.Addr{}
	}
	if n := v.networks[network]; n.Encrypted() {
		return v.encryptedVTEP(host)
	}
	vtep := v.hosts[host].VTEP
	if own := v.hosts[v.me].VTEP; own.IsValid() && own.Is4() != vtep.Is4() {
		return netip.Addr{}
	}
	return vtep
}
