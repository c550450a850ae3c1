package overlay

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// entry is a forwarding or neighbour entry.
type entry struct {
	index int
	state uint16
	flags uint8
	mac   MAC
	dst   netip.Addr
}

func parseEntry(b []byte) (e entry, ok bool) {
	if len(b) < unix.SizeofNdMsg {
		return e, false
	}
	e.index, e.state, e.flags = int(int32(order.Uint32(b[4:]))), order.Uint16(b[8:]), b[10]
	eachAttr(b[unix.SizeofNdMsg:], func(kind uint16, v []byte) {
		switch {
		case kind == unix.NDA_LLADDR && len(v) == 6:
			e.mac = MAC(v)
		case kind == unix.NDA_DST:
			e.dst, _ = netip.AddrFromSlice(v)
		}
	})
	return e, true
}

func parseAddr(b []byte) (index int, addr netip.Addr, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return 0, addr, false
	}
	index = int(order.Uint32(b[4:]))
	var local netip.Addr
	eachAttr(b[unix.SizeofIfAddrmsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.IFA_ADDRESS:
			addr, _ = netip.AddrFromSlice(v)
		case unix.IFA_LOCAL: // on IPv4 the address itself; the other one is the peer's on point-to-point links
			local, _ = netip.AddrFromSlice(v)
		}
	})
	if local.IsValid() {
		addr = local
	}
	return index, addr, addr.IsValid()
}

func parseLink(b []byte) (l Link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return l, false
	}
	l.Index = int(int32(order.Uint32(b[4:])))
	l.Up = order.Uint32(b[8:])&unix.IFF_UP != 0
	eachAttr(b[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = text(v)
		case unix.IFLA_ADDRESS:
			if len(v) == 6 {
				l.MAC = MAC(v)
			}
		case unix.IFLA_MTU:
			l.MTU = int(number(v))
		case unix.IFLA_GROUP:
			l.Group = number(v)
		case unix.IFLA_MASTER:
			l.Master = int(number(v))
		case unix.IFLA_LINK:
			l.Peer = int(number(v))
		case unix.IFLA_LINK_NETNSID:
			l.PeerNS, l.Apart = int32(number(v)), true
		case unix.IFLA_LINKINFO:
			l.info(v)
		}
	})
	l.Carrier = l.Kind == "veth" && order.Uint32(b[8:])&unix.IFF_LOWER_UP != 0
	return l, true
}

// info reads what is particular to a kind of link. The kind comes before its data in the message.
func (l *Link) info(b []byte) {
	eachAttr(b, func(kind uint16, v []byte) {
		switch kind {
		case nl.IFLA_INFO_KIND:
			l.Kind = text(v)
		case nl.IFLA_INFO_DATA:
			switch l.Kind {
			case "bridge":
				eachAttr(v, l.bridge)
			case "vxlan":
				eachAttr(v, l.vxlan)
			}
		case nl.IFLA_INFO_SLAVE_DATA:
			eachAttr(v, func(kind uint16, v []byte) {
				switch kind {
				case nl.IFLA_BRPORT_LEARNING:
					l.PortLearning = number(v) != 0
				case nl.IFLA_BRPORT_NEIGH_SUPPRESS:
					l.Suppress = number(v) != 0
				}
			})
		}
	})
}

func (l *Link) bridge(kind uint16, v []byte) {
	switch kind {
	case nl.IFLA_BR_NF_CALL_IPTABLES:
		l.HasFilter, l.Filter = true, number(v) != 0
	case nl.IFLA_BR_MCAST_SNOOPING:
		l.Snooping = number(v) != 0
	}
}

func (l *Link) vxlan(kind uint16, v []byte) {
	switch kind {
	case nl.IFLA_VXLAN_ID:
		l.VNI = number(v)
	case nl.IFLA_VXLAN_LOCAL, nl.IFLA_VXLAN_LOCAL6:
		l.Local, _ = netip.AddrFromSlice(v)
	case nl.IFLA_VXLAN_LINK:
		l.Lower = int(number(v))
	case nl.IFLA_VXLAN_PORT:
		if len(v) == 2 {
			l.Port = binary.BigEndian.Uint16(v)
		}
	case nl.IFLA_VXLAN_LEARNING:
		l.Learning = number(v) != 0
	}
}

// number reads an attribute of one or four bytes.
func number(v []byte) uint32 {
	switch len(v) {
	case 1:
		return uint32(v[0])
	case 4:
		return order.Uint32(v)
	}
	return 0
}

func text(v []byte) string { return string(bytes.TrimRight(v, "\x00")) }
