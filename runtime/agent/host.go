package agent

import (
	"maps"
	"net/netip"
	"slices"

	"berth/runtime/ledger"
)

// refresh looks at the host's underlay and routes and publishes them.
func (a *agent) refresh() {
	var peers []netip.Addr
	if a.view != nil {
		for name, h := range a.view.hosts {
			if name != a.config.Host && h.VTEP.IsValid() {
				peers = append(peers, h.VTEP)
			}
		}
	}
	u, err := a.net.FindUnderlay(a.config.Address, peers)
	if err != nil {
		a.log.Error("no underlay", "err", err)
		return
	}
	if u != a.underlay {
		a.log.Info("underlay", "vtep", u.Addr, "device", u.Device, "mtu", u.MTU)
		a.underlay = u
	}
	if said := a.net.Firewall(u.Addr.Is6()); said != a.firewall {
		a.firewall = said
		if said != "" {
			a.log.Warn(said)
		}
	}
	if a.facts.ID == "" || a.view == nil {
		return // the host's record is written once the engine has said who it is, and the store what it was
	}
	routes, err := a.net.Routes()
	if err != nil {
		a.log.Warn("routes not listed", "err", err)
	}
	a.tellOverlaps(routes)
	a.publish.set(ledger.HostKey(a.config.Host), ledger.Host{
		Name: a.config.Host, Engine: a.facts, VTEP: u.Addr, Device: u.Device, MTU: u.MTU, Routes: routes, Agent: a.config.Version,
		Epoch: a.epoch, Problems: a.problems,
		WireGuard: a.publishedWireGuard(),
		Paths:     a.known(), Silent: slices.Sorted(maps.Keys(a.paths.silent)), OwnChecksums: a.paths.own,
		Store: a.member.fares(),
	}, false)
	a.publish.set(ledger.AliveKey(a.config.Host), "", true)
}
