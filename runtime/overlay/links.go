package overlay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ensure makes the links of a network or corrects those that are there, which have that MTU, and returns their indexes.
func (o *Overlay) ensure(s *State, n *Network, devices lowers, have *Dump, mtu int) (ifaces, error) {
	var i ifaces
	u := n.underlay(s)
	lower := devices[u.Device]
	wrap := func(name string, err error) error {
		return fmt.Errorf("overlay: set up %s of network %d: %w", name, n.VNI, err)
	}
	bridge, tunnel := BridgeName(n.VNI), TunnelName(n.VNI)
	if have.Bridge.Index != 0 && have.Bridge.Kind != "bridge" || have.Tunnel.Index != 0 && have.Tunnel.Kind != "vxlan" {
		return i, wrap(bridge, errors.New("a link of another kind has that name; remove it"))
	}
	if lower == 0 {
		return i, wrap(tunnel, fmt.Errorf("the device %q under it is not there", u.Device))
	}
	if n.MTU > u.MTU-u.Overhead() {
		return i, wrap(tunnel, fmt.Errorf("an MTU of %d does not fit: %s carries %d, the tunnel takes %d of it; "+
			"set a smaller one under networks: in hosts.yml", n.MTU, u.Device, u.MTU, u.Overhead()))
	}
	filter := n.filtered()

	if err := o.ensureBridge(s, n, have.Bridge, filter, mtu); err != nil {
		return i, wrap(bridge, err)
	}
	if have.Bridge.Index == 0 {
		b, err := o.linkByName(bridge)
		if err != nil {
			return i, wrap(bridge, err)
		}
		have.Bridge = b
	}
	i.bridge = have.Bridge.Index

	t := have.Tunnel
	if t.Index != 0 && t.Local != u.Addr && t.Local.IsLinkLocalUnicast() && n.Encrypted && t.Lower == lower &&
		errors.Join(o.conn.batch([]message{moveTunnel(t, u.Addr), passingRoute(lower, unix.RTM_NEWROUTE), passingRoute(lower, unix.RTM_DELROUTE)})...) == nil {
		t.Local = u.Addr
	}
	if t.Index != 0 && (t.VNI != n.VNI || t.Local != u.Addr || t.Lower != lower || t.Port != Port || t.Learning) {
		// These do not change on a link that is up; made anew, it starts with empty tables.
		if err := o.deleteLink(t.Index); err != nil {
			return i, wrap(tunnel, err)
		}
		t = Link{}
	}
	if t.Index == 0 {
		mtu = n.MTU
		if err := o.conn.one(newTunnel(s, n, lower, i.bridge)); err != nil {
			if errors.Is(err, unix.EEXIST) {
				err = fmt.Errorf("VNI %d is in use on this host already: %w", n.VNI, err)
			}
			return i, wrap(tunnel, err)
		}
		var err error
		if t, err = o.linkByName(tunnel); err != nil {
			return i, wrap(tunnel, err)
		}
	}
	if err := o.ensureTunnel(s, n, t, i.bridge, mtu); err != nil {
		return i, wrap(tunnel, err)
	}
	have.Tunnel = t
	i.tunnel = port{t.Index, lower}
	return i, nil
}

// ensureBridge makes the bridge, or corrects one that the engine made first (after a reboot, from its own records).
func (o *Overlay) ensureBridge(s *State, n *Network, b Link, filter bool, mtu int) error {
	mac := linkMAC(s.Host, "bridge", n.VNI)
	info := func(create bool) []byte {
		var data []byte
		if create || b.Snooping {
			data = appendAttr(data, nl.IFLA_BR_MCAST_SNOOPING, u8(false))
		}
		if create || b.HasFilter && b.Filter != filter {
			data = appendAttr(data, nl.IFLA_BR_NF_CALL_IPTABLES, u8(filter))
		}
		if data == nil {
			return nil
		}
		return linkInfo("bridge", data)
	}
	if b.Index == 0 {
		m := ifinfo(unix.AF_UNSPEC, 0, 0)
		m = appendAttr(m, unix.IFLA_IFNAME, append([]byte(BridgeName(n.VNI)), 0))
		m = appendAttr(m, unix.IFLA_ADDRESS, mac[:])
		m = appendAttr(m, unix.IFLA_MTU, u32(uint32(n.MTU)))
		m = appendAttr(m, unix.IFLA_GROUP, u32(Group))
		m = append(m, info(true)...)
		err := o.conn.one(message{unix.RTM_NEWLINK, unix.NLM_F_CREATE | unix.NLM_F_EXCL, m})
		if err != nil {
			return err
		}
		b, err = o.linkByName(BridgeName(n.VNI))
		if err != nil {
			return err
		}
	} else if i := info(false); i != nil {
		if err := o.conn.one(message{unix.RTM_NEWLINK, 0, append(ifinfo(unix.AF_UNSPEC, b.Index, 0), i...)}); err != nil {
			return err
		}
	}
	if b.MAC != mac {
		o.announce(BridgeName(n.VNI))
	}
	if b.Group != Group || !b.Up {
		o.noIPv6(b.Index)
	}
	return o.correct(b, mac, mtu)
}

// newTunnel makes the VXLAN port, in the bridge from the beginning but not up yet.
func newTunnel(s *State, n *Network, lower, bridge int) message {
	mac := linkMAC(s.Host, "tunnel", n.VNI)
	m := ifinfo(unix.AF_UNSPEC, 0, 0)
	m = appendAttr(m, unix.IFLA_IFNAME, append([]byte(TunnelName(n.VNI)), 0))
	m = appendAttr(m, unix.IFLA_ADDRESS, mac[:])
	m = appendAttr(m, unix.IFLA_MTU, u32(uint32(n.MTU)))
	m = appendAttr(m, unix.IFLA_GROUP, u32(Group))
	m = appendAttr(m, unix.IFLA_MASTER, u32(uint32(bridge)))
	var data []byte
	data = appendAttr(data, nl.IFLA_VXLAN_ID, u32(n.VNI))
	data = appendAttr(data, nl.IFLA_VXLAN_LINK, u32(uint32(lower)))
	data = localAttrs(data, n.underlay(s).Addr)
	data = appendAttr(data, nl.IFLA_VXLAN_LEARNING, u8(false))
	data = appendAttr(data, nl.IFLA_VXLAN_PORT, []byte{Port >> 8, Port & 0xff})
	return message{unix.RTM_NEWLINK, unix.NLM_F_CREATE | unix.NLM_F_EXCL, append(m, linkInfo("vxlan", data)...)}
}

// ensureTunnel corrects what can be changed on a VXLAN port, and lets it up last.
func (o *Overlay) ensureTunnel(s *State, n *Network, t Link, bridge, mtu int) error {
	if t.Master != bridge {
		m := appendAttr(ifinfo(unix.AF_UNSPEC, t.Index, 0), unix.IFLA_MASTER, u32(uint32(bridge)))
		if err := o.conn.one(message{unix.RTM_SETLINK, 0, m}); err != nil {
			return err
		}
		t.PortLearning = true // a new port learns
	}
	if t.PortLearning || !t.Suppress {
		var port []byte
		port = appendAttr(port, nl.IFLA_BRPORT_LEARNING, u8(false))
		port = appendAttr(port, nl.IFLA_BRPORT_NEIGH_SUPPRESS, u8(true))
		m := appendAttr(ifinfo(unix.AF_BRIDGE, t.Index, 0), unix.IFLA_PROTINFO|unix.NLA_F_NESTED, port)
		if err := o.conn.one(message{unix.RTM_SETLINK, 0, m}); err != nil {
			return err
		}
	}
	if !t.Up {
		o.noIPv6(t.Index)
	}
	return o.correct(t, linkMAC(s.Host, "tunnel", n.VNI), mtu)
}

// correct sets what all links have: MAC address, MTU, group, and that it is up.
func (o *Overlay) correct(l Link, mac MAC, mtu int) error {
	var attrs []byte
	if l.MAC != mac {
		attrs = appendAttr(attrs, unix.IFLA_ADDRESS, mac[:])
	}
	if l.MTU != mtu {
		attrs = appendAttr(attrs, unix.IFLA_MTU, u32(uint32(mtu)))
	}
	if l.Group != Group {
		attrs = appendAttr(attrs, unix.IFLA_GROUP, u32(Group))
	}
	if attrs == nil && l.Up {
		return nil
	}
	return o.conn.one(message{unix.RTM_SETLINK, 0, append(ifinfo(unix.AF_UNSPEC, l.Index, unix.IFF_UP), attrs...)})
}

// noIPv6 keeps the kernel from giving a link an IPv6 address of its own: it would only send router solicitations and
// duplicate checks to all hosts. Without IPv6 in the kernel the request fails, and nothing is lost.
func (o *Overlay) noIPv6(index int) {
	inet6 := appendAttr(nil, inet6AddrGenMode, []byte{1}) // IN6_ADDR_GEN_MODE_NONE
	spec := appendAttr(nil, unix.AF_INET6|unix.NLA_F_NESTED, inet6)
	m := appendAttr(ifinfo(unix.AF_UNSPEC, index, 0), unix.IFLA_AF_SPEC|unix.NLA_F_NESTED, spec)
	if err := o.conn.one(message{unix.RTM_SETLINK, 0, m}); err != nil {
		o.log.Debug("no IPv6 on link", "index", index, "err", err)
	}
}

// announce makes the kernel tell a bridge's neighbours when its MAC address changes. An engine that comes up first after a
// reboot makes the bridge with another one, and containers that have asked for their gateway by then would send to that
// for the better part of a minute: no name would be answered to them.
func (o *Overlay) announce(bridge string) {
	for _, file := range []string{"/proc/sys/net/ipv4/conf/" + bridge + "/arp_notify", "/proc/sys/net/ipv6/conf/" + bridge + "/ndisc_notify"} {
		if err := os.WriteFile(file, []byte("1"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			o.log.Debug("a new MAC address is not announced", "bridge", bridge, "err", err)
		}
	}
}

func (o *Overlay) deleteLink(index int) error {
	err := o.conn.one(message{unix.RTM_DELLINK, 0, ifinfo(unix.AF_UNSPEC, index, 0)})
	if gone(err) {
		return nil
	}
	return err
}

// deleteLinks deletes several links at once: the kernel takes some 50 ms for each deletion, however many links it has.
// They are gathered in a device group of their own for that; a stranger in that group makes it one by one.
func (o *Overlay) deleteLinks(doomed, all []Link) error {
	if len(doomed) == 0 {
		return nil
	}
	stranger := slices.ContainsFunc(all, func(l Link) bool {
		_, ours := l.ours()
		return l.Group == doomedGroup && !ours
	})
	if !stranger {
		var msgs []message
		for _, l := range doomed {
			msgs = append(msgs, message{unix.RTM_SETLINK, 0, appendAttr(ifinfo(unix.AF_UNSPEC, l.Index, 0), unix.IFLA_GROUP, u32(doomedGroup))})
		}
		msgs = append(msgs, message{unix.RTM_DELLINK, 0, appendAttr(ifinfo(unix.AF_UNSPEC, 0, 0), unix.IFLA_GROUP, u32(doomedGroup))})
		errs := o.conn.batch(msgs)
		if errs[len(errs)-1] == nil {
			return nil
		}
	}
	var failed []error
	for _, l := range doomed {
		if err := o.deleteLink(l.Index); err != nil {
			failed = append(failed, fmt.Errorf("overlay: delete %s: %w", l.Name, err))
		}
	}
	return errors.Join(failed...)
}

// linkByName reads one link by way of a dump: asking for one by name would need a second way of reading answers, and
// links are made rarely.
func (o *Overlay) linkByName(name string) (Link, error) {
	links, err := o.dumpLinks()
	if err != nil {
		return Link{}, err
	}
	for _, l := range links {
		if l.Name == name {
			return l, nil
		}
	}
	return Link{}, fmt.Errorf("link %s: %w", name, unix.ENODEV)
}

// ifinfo is the header of link messages; flags are set among themselves only.
func ifinfo(family byte, index int, flags uint32) []byte {
	b := make([]byte, 0, 160)
	b = append(b, family, 0, 0, 0)
	b = order.AppendUint32(b, uint32(index))
	b = order.AppendUint32(b, flags)
	return order.AppendUint32(b, flags)
}

func linkInfo(kind string, data []byte) []byte {
	info := appendAttr(nil, nl.IFLA_INFO_KIND, []byte(kind))
	info = appendAttr(info, nl.IFLA_INFO_DATA|unix.NLA_F_NESTED, data)
	return appendAttr(nil, unix.IFLA_LINKINFO|unix.NLA_F_NESTED, info)
}

// inet6AddrGenMode is IFLA_INET6_ADDR_GEN_MODE (linux/if_link.h).
const inet6AddrGenMode = 8
