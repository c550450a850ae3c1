package overlay

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// ndmsg is the header of a neighbour or forwarding entry (linux/neighbour.h, struct ndmsg).
func ndmsg(family uint8, index int, state uint16, flags uint8) []byte {
	b := make([]byte, 0, 64)
	b = append(b, family, 0, 0, 0)
	b = order.AppendUint32(b, uint32(index))
	b = order.AppendUint16(b, state)
	return append(b, flags, 0)
}

const replace = unix.NLM_F_CREATE | unix.NLM_F_REPLACE

// tunnelEntry says which host has a MAC, or with the zero MAC which hosts get broadcasts (more than one may be).
func tunnelEntry(tunnel port, mac MAC, vtep netip.Addr) message {
	b := ndmsg(unix.AF_BRIDGE, tunnel.index, unix.NUD_PERMANENT, unix.NTF_SELF)
	b = appendAttr(b, unix.NDA_LLADDR, mac[:])
	b = tunnel.vtepAttrs(b, vtep)
	flags := uint16(replace)
	if mac == (MAC{}) {
		flags = unix.NLM_F_CREATE | unix.NLM_F_APPEND
	}
	return message{unix.RTM_NEWNEIGH, flags, b}
}

// dropTunnelEntry removes a MAC, or with a VTEP only that destination of it.
func dropTunnelEntry(tunnel port, mac MAC, vtep netip.Addr) message {
	b := ndmsg(unix.AF_BRIDGE, tunnel.index, unix.NUD_PERMANENT, unix.NTF_SELF)
	b = appendAttr(b, unix.NDA_LLADDR, mac[:])
	if vtep.IsValid() {
		b = tunnel.vtepAttrs(b, vtep)
	}
	return message{unix.RTM_DELNEIGH, 0, b}
}

// bridgeEntry says that a MAC is behind the tunnel; static, so that it does not age.
func bridgeEntry(tunnel port, mac MAC) message {
	b := ndmsg(unix.AF_BRIDGE, tunnel.index, unix.NUD_NOARP, unix.NTF_MASTER)
	return message{unix.RTM_NEWNEIGH, replace, appendAttr(b, unix.NDA_LLADDR, mac[:])}
}

func dropBridgeEntry(tunnel port, mac MAC) message {
	b := ndmsg(unix.AF_BRIDGE, tunnel.index, unix.NUD_NOARP, unix.NTF_MASTER)
	return message{unix.RTM_DELNEIGH, 0, appendAttr(b, unix.NDA_LLADDR, mac[:])}
}

// neighEntry lets the bridge answer ARP or ND for a remote address (neigh_suppress reads it).
func neighEntry(bridge int, ip netip.Addr, mac MAC) message {
	b := ndmsg(family(ip), bridge, unix.NUD_PERMANENT, 0)
	b = appendAttr(b, unix.NDA_DST, ip.AsSlice())
	return message{unix.RTM_NEWNEIGH, replace, appendAttr(b, unix.NDA_LLADDR, mac[:])}
}

func dropNeighEntry(bridge int, ip netip.Addr) message {
	b := ndmsg(family(ip), bridge, 0, 0)
	return message{unix.RTM_DELNEIGH, 0, appendAttr(b, unix.NDA_DST, ip.AsSlice())}
}

// family is the address family of an address.
func family(ip netip.Addr) uint8 { return familyOf(!ip.Is4()) }

func familyOf(six bool) uint8 {
	if six {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// put is the entries of a remote endpoint.
func put(i ifaces, e Endpoint) []message {
	out := []message{tunnelEntry(i.tunnel, e.MAC, e.VTEP), bridgeEntry(i.tunnel, e.MAC)}
	for _, ip := range e.addresses() {
		out = append(out, neighEntry(i.bridge, ip, e.MAC))
	}
	return out
}

// drop removes them, whatever host they name.
func drop(i ifaces, e Endpoint) []message {
	out := []message{dropTunnelEntry(i.tunnel, e.MAC, netip.Addr{}), dropBridgeEntry(i.tunnel, e.MAC)}
	for _, ip := range e.addresses() {
		out = append(out, dropNeighEntry(i.bridge, ip))
	}
	return out
}
