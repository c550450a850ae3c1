package overlay

import (
	"golang.org/x/sys/unix"
)

// adopt puts back the ports of this host's containers that are in no bridge: when a bridge is deleted, by hand or by a
// tool that restarts the network, its ports stay behind, and no engine looks for them again. Whose port one is says the
// MAC address of its other end, which the kernel reads for us in the container's own network namespace.
//
// An engine that makes a port moves its other end into the container only when the port is in its bridge, so that none
// is taken here that is being made.
func (o *Overlay) adopt(links []Link, want map[uint32]*Network, r *Report) {
	var owner map[MAC]uint32
	for _, l := range links {
		if !l.orphan() {
			continue
		}
		if owner == nil {
			owner = map[MAC]uint32{}
			for vni, n := range want {
				for _, mac := range n.Local {
					owner[mac] = vni
				}
			}
		}
		mac, err := otherEnd(o.conn, l)
		if err != nil {
			o.log.Debug("other end of a port not read", "port", l.Name, "err", err)
			continue
		}
		vni, ok := owner[mac]
		if !ok || o.links[vni].bridge == 0 {
			continue
		}
		m := appendAttr(ifinfo(unix.AF_UNSPEC, l.Index, unix.IFF_UP), unix.IFLA_MASTER, u32(uint32(o.links[vni].bridge)))
		if err := o.conn.one(message{unix.RTM_SETLINK, 0, m}); err != nil {
			o.log.Warn("container's port not put back into its bridge", "port", l.Name, "bridge", BridgeName(vni), "err", err)
			continue
		}
		r.Ports++
	}
}

// otherEnd is the MAC address of the other end of a veth pair, in whatever network namespace it is.
func otherEnd(c *conn, l Link) (MAC, error) {
	body := appendAttr(make([]byte, unix.SizeofIfInfomsg), unix.IFLA_TARGET_NETNSID, u32(uint32(l.PeerNS)))
	var mac MAC
	err := c.dump(unix.RTM_GETLINK, body, func() {}, func(b []byte) {
		if other, ok := parseLink(b); ok && other.Index == l.Peer {
			mac = other.MAC
		}
	})
	return mac, err
}

// orphan reports whether a link is the host's end of a container's port, and in no bridge.
func (l Link) orphan() bool { return l.Kind == "veth" && l.Master == 0 && l.Apart }
