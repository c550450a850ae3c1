package overlay

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Link is a network interface as the kernel has it. Which fields are filled depends on Kind.
type Link struct {
	Index  int
	Name   string
	Kind   string // bridge, vxlan, veth …
	Group  uint32
	MAC    MAC
	MTU    int
	Up     bool
	Master int // index of the bridge it is a port of; 0: none

	Peer    int   // veth: index of the other end
	PeerNS  int32 // veth: number of the network namespace that the other end is in
	Apart   bool  // veth: the other end is in another network namespace
	Carrier bool  // veth: both ends are up

	HasFilter bool // bridge: the kernel has bridge netfilter at all
	Filter    bool // bridge: nf_call_iptables
	Snooping  bool // bridge: mcast_snooping

	VNI      uint32 // vxlan
	Local    netip.Addr
	Lower    int // vxlan: index of the underlay device
	Port     uint16
	Learning bool

	PortLearning bool // port of a bridge: learning
	Suppress     bool // port of a bridge: neigh_suppress
}

// ours reports whether the link carries all marks of berth, and its VNI.
func (l Link) ours() (vni uint32, ok bool) {
	if l.Group != Group && l.Group != doomedGroup {
		return 0, false
	}
	switch l.Kind {
	case "bridge":
		return vniOf(l.Name, "bt")
	case "vxlan":
		return vniOf(l.Name, "vx")
	}
	return 0, false
}

// Route is what the tunnel knows of one MAC.
type Route struct {
	VTEPs     []netip.Addr // sorted; several only for broadcast
	Permanent bool         // false: learned or aging, so not written by berth
}

// Dump is one network as the kernel has it.
type Dump struct {
	VNI            uint32
	Bridge, Tunnel Link                // Index 0: not there
	Routes         map[MAC]Route       // the tunnel's entries; the zero MAC is broadcast
	Behind         map[MAC]uint16      // the bridge's entries for the tunnel's port: MAC → NUD_… state, the port's own MAC left out
	Neighbours     map[netip.Addr]MAC  // permanent ones of the bridge device
	Addresses      map[netip.Addr]bool // of the bridge device, IPv4 and IPv6
}

// Dump returns what is in the kernel of networks made by berth, sorted by VNI.
func (o *Overlay) Dump(ctx context.Context) ([]Dump, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	links, err := o.dumpLinks()
	if err != nil {
		return nil, err
	}
	nets := map[uint32]*Dump{}
	for _, l := range links {
		if vni, ok := l.ours(); ok {
			d := nets[vni]
			if d == nil {
				d = newDump(vni)
				nets[vni] = d
			}
			d.take(l)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := o.fill(nets); err != nil {
		return nil, err
	}
	out := make([]Dump, 0, len(nets))
	for _, d := range nets {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Dump) int { return cmp.Compare(a.VNI, b.VNI) })
	return out, nil
}

func newDump(vni uint32) *Dump {
	d := &Dump{VNI: vni}
	d.clearEntries()
	d.Neighbours = map[netip.Addr]MAC{}
	d.Addresses = map[netip.Addr]bool{}
	return d
}

func (d *Dump) take(l Link) {
	if l.Kind == "bridge" {
		d.Bridge = l
	} else {
		d.Tunnel = l
	}
}

func (d *Dump) clearEntries() { d.Routes, d.Behind = map[MAC]Route{}, map[MAC]uint16{} }

// dumpLinks reads all links of the namespace.
func (o *Overlay) dumpLinks() ([]Link, error) {
	var links []Link
	err := o.conn.dump(unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg),
		func() { links = nil },
		func(b []byte) {
			if l, ok := parseLink(b); ok {
				links = append(links, l)
			}
		})
	return links, err
}

// fill reads entries, neighbours and addresses into the networks.
func (o *Overlay) fill(nets map[uint32]*Dump) error {
	bridges, tunnels := map[int]*Dump{}, map[int]*Dump{}
	for _, d := range nets {
		if d.Bridge.Index != 0 {
			bridges[d.Bridge.Index] = d
		}
		if d.Tunnel.Index != 0 {
			tunnels[d.Tunnel.Index] = d
		}
	}
	if len(bridges)+len(tunnels) == 0 {
		return nil
	}
	each := func(f func(*Dump)) func() {
		return func() {
			for _, d := range nets {
				f(d)
			}
		}
	}
	err := o.conn.dump(unix.RTM_GETNEIGH, ndmsg(unix.AF_BRIDGE, 0, 0, 0), each((*Dump).clearEntries), func(b []byte) {
		if e, ok := parseEntry(b); ok && tunnels[e.index] != nil {
			tunnels[e.index].entry(e)
		}
	})
	if err != nil {
		return err
	}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		v4 := family == unix.AF_INET
		forget := each(func(d *Dump) {
			maps.DeleteFunc(d.Neighbours, func(ip netip.Addr, _ MAC) bool { return ip.Is4() == v4 })
		})
		err = o.conn.dump(unix.RTM_GETNEIGH, ndmsg(family, 0, 0, 0), forget, func(b []byte) {
			if e, ok := parseEntry(b); ok && e.state&unix.NUD_PERMANENT != 0 && bridges[e.index] != nil {
				bridges[e.index].Neighbours[e.dst] = e.mac
			}
		})
		if err != nil {
			return err
		}
		body := make([]byte, unix.SizeofIfAddrmsg)
		body[0] = family
		err = o.conn.dump(unix.RTM_GETADDR, body, func() {}, func(b []byte) {
			if index, addr, ok := parseAddr(b); ok && bridges[index] != nil {
				bridges[index].Addresses[addr] = true
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// entry adds one forwarding entry of the tunnel's device.
func (d *Dump) entry(e entry) {
	if e.flags&unix.NTF_SELF != 0 {
		r := d.Routes[e.mac]
		at, found := slices.BinarySearchFunc(r.VTEPs, e.dst, netip.Addr.Compare)
		if !found {
			r.VTEPs = slices.Insert(r.VTEPs, at, e.dst)
		}
		r.Permanent = e.state&unix.NUD_PERMANENT != 0
		d.Routes[e.mac] = r
	} else if e.mac != d.Tunnel.MAC {
		d.Behind[e.mac] = e.state
	}
}
