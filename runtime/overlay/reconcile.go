package overlay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Report is what a reconciliation found and did.
type Report struct {
	Links   int              // links deleted because no network wants them
	Written int              // entries added or corrected
	Deleted int              // entries that nobody wanted
	Ports   int              // containers' ports put back into their bridge
	Failed  map[uint32]error // networks that do not stand as wanted; the others do
	// OwnChecksums says that the kernel computes the checksums of what goes into tunnels; see [State].
	OwnChecksums bool
}

// Changed reports whether anything was not as it should be.
func (r Report) Changed() bool { return r.Links+r.Written+r.Deleted+r.Ports > 0 }

// Reconcile makes the kernel as the state wants it: it deletes links and entries of networks that are not in the
// state, makes or corrects links, and brings the entries in line with a dump of the kernel. Trouble with one network
// is in the report and does not stop the others; the error is for what concerns all.
func (o *Overlay) Reconcile(ctx context.Context, s State) (Report, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := Report{Failed: map[uint32]error{}}
	known := o.shortcuts.way.Ports()
	links, err := o.dumpLinks()
	if err != nil {
		return r, err
	}
	want := make(map[uint32]*Network, len(s.Networks))
	for i := range s.Networks {
		want[s.Networks[i].VNI] = &s.Networks[i]
	}
	nets, devices, err := o.gather(links, &s, want, &r)
	if err != nil {
		return r, err
	}
	for vni, n := range want {
		if n.Leaving {
			if nets[vni] != nil {
				if err := o.closePlain(n, nets[vni]); err != nil {
					r.Failed[vni] = err
				}
			}
			delete(nets, vni)
			continue
		}
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if nets[vni] == nil {
			nets[vni] = newDump(vni)
		}
		i, err := o.ensure(&s, n, devices, nets[vni], carried(n, nets[vni], links))
		if err != nil {
			r.Failed[vni] = err
			delete(o.links, vni)
			delete(nets, vni)
			continue
		}
		o.links[vni] = i
	}
	if r.OwnChecksums, err = o.ownChecksums(want, s.OwnChecksums); err != nil {
		o.log.Warn("checksum offload of tunnels", "err", err)
	}
	o.removals.stand(o.links)
	o.adopt(links, want, &r)
	if err := o.fill(nets); err != nil {
		return r, err
	}
	o.mend(nets, want, &r)
	o.shorten(known, links, want)
	o.filter(links, len(nets) > 0)
	return r, nil
}

// carried is the MTU of a network's links. It does not fall below that of the containers there that were made for more:
// what is too large for the path has to get to the tunnel, where the kernel answers it; a bridge would only drop it.
func carried(n *Network, have *Dump, links []Link) int {
	mtu := n.MTU
	for _, l := range links {
		if have.Tunnel.Index != 0 && have.Tunnel.Master == have.Bridge.Index && l.Master == have.Bridge.Index && l.Index != have.Tunnel.Index {
			mtu = max(mtu, min(l.MTU, have.Tunnel.MTU))
		}
	}
	return mtu
}

// gather finds the links of wanted networks and the underlay devices, and deletes the links that nobody wants.
func (o *Overlay) gather(links []Link, s *State, want map[uint32]*Network, r *Report) (nets map[uint32]*Dump, devices lowers, err error) {
	nets, devices = map[uint32]*Dump{}, lowers{}
	names := map[string]uint32{}
	for vni := range want {
		names[BridgeName(vni)], names[TunnelName(vni)] = vni, vni
	}
	var failed []error
	var doomed []Link
	for _, l := range links {
		devices[l.Name] = l.Index
		// A link with a wanted network's name is taken over even without our group: the engine makes the bridge
		// itself when it comes up first after a reboot.
		if vni, ok := names[l.Name]; ok {
			if nets[vni] == nil {
				nets[vni] = newDump(vni)
			}
			if l.Name == BridgeName(vni) {
				nets[vni].Bridge = l
			} else {
				nets[vni].Tunnel = l
			}
		} else if vni, ok := l.ours(); ok {
			delete(o.links, vni)
			doomed = append(doomed, l)
		}
	}
	r.Links = len(doomed)
	failed = append(failed, o.deleteLinks(doomed, links))
	for vni := range o.links {
		if want[vni] == nil {
			delete(o.links, vni)
		}
	}
	if devices[s.Underlay.Device] == 0 && len(want) > 0 {
		failed = append(failed, fmt.Errorf("overlay: the underlay device %q is not there", s.Underlay.Device))
	}
	return nets, devices, errors.Join(failed...)
}

// mend writes the difference between what is and what shall be. All deletions go before all additions: an entry may
// stand in the way of the one that replaces it.
func (o *Overlay) mend(nets map[uint32]*Dump, want map[uint32]*Network, r *Report) {
	var msgs []message
	var whose []uint32
	for _, deletions := range []bool{true, false} {
		for vni, have := range nets {
			var add []message
			if deletions {
				add = deletionsOf(o.links[vni], want[vni], have)
			} else {
				add = additionsOf(o.links[vni], want[vni], have)
			}
			msgs = append(msgs, add...)
			for range add {
				whose = append(whose, vni)
			}
		}
	}
	for i, err := range o.batch(msgs) {
		switch deletion := msgs[i].kind == unix.RTM_DELNEIGH; {
		case deletion && (err == nil || gone(err)):
			r.Deleted++
		case err == nil:
			r.Written++
		case r.Failed[whose[i]] == nil:
			r.Failed[whose[i]] = fmt.Errorf("overlay: write forwarding entries of network %d: %w", whose[i], err)
		}
	}
	for vni, have := range nets {
		if want[vni].Gateway.IsValid() {
			o.dropLinkLocal(have)
		}
		for _, gateway := range []netip.Prefix{want[vni].Gateway, want[vni].Gateway6} {
			if err := o.ensureGateway(vni, gateway, have); err != nil && r.Failed[vni] == nil {
				r.Failed[vni] = err
			}
		}
	}
}

func deletionsOf(i ifaces, n *Network, have *Dump) []message {
	macs := make(map[MAC]bool, len(n.Remote))
	ips := make(map[netip.Addr]bool, len(n.Remote))
	for _, e := range n.Remote {
		macs[e.MAC] = true
		for _, ip := range e.addresses() {
			ips[ip] = true
		}
	}
	var out []message
	for mac, route := range have.Routes {
		if mac == (MAC{}) {
			for _, vtep := range route.VTEPs {
				if !slices.Contains(n.Peers, vtep) {
					out = append(out, dropTunnelEntry(i.tunnel, mac, vtep))
				}
			}
		} else if !macs[mac] {
			out = append(out, dropTunnelEntry(i.tunnel, mac, netip.Addr{}))
		}
	}
	for mac := range have.Behind {
		if !macs[mac] {
			out = append(out, dropBridgeEntry(i.tunnel, mac))
		}
	}
	for ip := range have.Neighbours {
		if !ips[ip] {
			out = append(out, dropNeighEntry(i.bridge, ip))
		}
	}
	return out
}

func additionsOf(i ifaces, n *Network, have *Dump) []message {
	var out []message
	for _, p := range n.Peers {
		if !slices.Contains(have.Routes[MAC{}].VTEPs, p) {
			out = append(out, tunnelEntry(i.tunnel, MAC{}, p))
		}
	}
	for _, e := range n.Remote {
		if r := have.Routes[e.MAC]; !r.Permanent || len(r.VTEPs) != 1 || r.VTEPs[0] != e.VTEP {
			out = append(out, tunnelEntry(i.tunnel, e.MAC, e.VTEP))
		}
		if have.Behind[e.MAC] != unix.NUD_NOARP {
			out = append(out, bridgeEntry(i.tunnel, e.MAC))
		}
		for _, ip := range e.addresses() {
			if mac, ok := have.Neighbours[ip]; !ok || mac != e.MAC {
				out = append(out, neighEntry(i.bridge, ip, e.MAC))
			}
		}
	}
	return out
}

// Stands reports whether the links of a network are there, as far as this Overlay knows without asking the kernel.
func (o *Overlay) Stands(vni uint32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.links[vni]
	return ok
}
