package ledger

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"berth/placement"
)

// Warnings are sentences about what the agents have found wrong between hosts, sorted by host: tunnels that are not
// answered, and routes that came to lie over a network's subnet. Hosts whose lease ran out say nothing.
func (v *View) Warnings() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(v.Hosts)) {
		if !v.Alive[name] {
			continue
		}
		h := v.Hosts[name]
		for _, peer := range h.Silent {
			if at := v.Hosts[peer].VTEP; v.Alive[peer] && at.Is4() != h.VTEP.Is4() {
				out = append(out, fmt.Sprintf("host %s (%s): containers do not reach those of %s (%s), because one host is at an IPv4 address and the other at an IPv6 one; "+
					"give the hosts addresses of one kind in the inventory, and put the agent of one of them anew (docker rm -f berth-agent there, then berth up)", name, h.VTEP, peer, at))
			} else if v.Alive[peer] {
				out = append(out, fmt.Sprintf("host %s: UDP 4789 to %s (%s) is not answered, so containers of the two do not reach each other; let it pass between them, in firewalls as well",
					name, peer, at))
			}
		}
		if h.OwnChecksums {
			out = append(out, fmt.Sprintf("host %s: its network card (%s) gets checksums in tunnels wrong, so the kernel computes them, which costs throughput; "+
				"a newer driver or kernel may help, and is tried when the host starts anew", name, h.Device))
		}
		for i := range v.Networks {
			out = append(out, Overlaps(name, h.Routes, &v.Networks[i])...)
		}
	}
	return out
}

// Overlaps are sentences about routes of a host that lie over a network that the host is on.
func Overlaps(host string, routes []netip.Prefix, n *placement.Network) []string {
	if _, on := n.Blocks[host]; !on {
		return nil
	}
	var out []string
	for _, subnet := range []netip.Prefix{n.Subnet, n.Subnet6} {
		for _, r := range routes {
			if subnet.IsValid() && r.Overlaps(subnet) {
				out = append(out, fmt.Sprintf("host %s: its route %s lies over network %s (%s), so addresses of one of them are not reached; remove the route, or run berth down and up for another subnet",
					host, r, n.Name, subnet))
			}
		}
	}
	return out
}
