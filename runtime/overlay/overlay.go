// Package overlay is the data plane of a host: for each network a plain bridge and a VXLAN port in it, made and kept
// by netlink alone, and the forwarding entries that lead to the containers of other hosts.
//
//	container ── veth ── bridge bt<VNI> ── vxlan vx<VNI> ── underlay ── peers (their VTEPs)
//
// Nothing is learned from traffic. For each endpoint on another host three entries are written (four with IPv6), so that
// a unicast frame goes to one host and nobody has to ask for an address:
//
//	vxlan  MAC → VTEP              (self, permanent)    which host has it
//	bridge MAC → vx<VNI>           (master, static)     it is behind the tunnel
//	neigh  IP  → MAC on bt<VNI>    (permanent)          ARP and ND are answered here (neigh_suppress)
//
// and for each peer one all-zero entry, for broadcast. [Overlay.Reconcile] compares a kernel dump with the wanted
// [State] and mends the difference; [Overlay.Apply] writes single changes without a dump. With nobody running, the
// entries stay and traffic flows.
//
// What berth made is known by three marks together: the device group [Group], the name (bt or vx and the VNI) and the
// kind of the link. Nothing else is ever changed or removed, but for the bridge netfilter switches (see filter.go).
package overlay

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth/runtime/overlay/shortcut"
)

const (
	// Port is the UDP port of the tunnels (RFC 7348).
	Port = 4789
	// Overhead is what the tunnel takes of the underlay's MTU, bytes: outer Ethernet is not counted, inner is
	// (20 IPv4 + 8 UDP + 8 VXLAN + 14 Ethernet); see [Underlay.Overhead] for IPv6.
	Overhead = 50
	// Group is the device group of every link that berth makes: "ip link show group 47890" lists them,
	// "ip link delete group 47890" removes them.
	Group = 47890
	// doomedGroup is where links are for the moment in which they are deleted.
	doomedGroup = Group + 1
	// FirstVNI is the smallest VNI of berth; Swarm's begin at 4096.
	FirstVNI = 1 << 20
)

// MAC is an Ethernet address. The zero value stands for "whom no entry names": broadcast.
type MAC [6]byte

// ParseMAC reads an Ethernet address of six bytes.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return MAC{}, fmt.Errorf("overlay: %q is no Ethernet address", s)
	}
	return MAC(hw), nil
}

// String is the address in the usual notation.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// Endpoint is a container on another host, or that host's bridge.
type Endpoint struct {
	IP   netip.Addr // IPv4; zero for one that is to be asked for
	IP6  netip.Addr // zero for none
	MAC  MAC
	VTEP netip.Addr // underlay address of its host
}

// addresses are those whose neighbour entry leads to the endpoint.
func (e Endpoint) addresses() []netip.Addr {
	var out []netip.Addr
	for _, a := range []netip.Addr{e.IP, e.IP6} {
		if a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}

// Network is what one overlay network shall be on this host.
type Network struct {
	VNI uint32
	MTU int // bytes, of bridge and tunnel; at most the underlay's less Overhead
	// Filter makes bridged traffic pass the host's firewall, which costs 10–18 % of TCP; needed for icc=false.
	Filter bool
	// Gateway is the bridge's address with the subnet's prefix length; the zero value leaves addresses alone. The
	// engine gives a bridge its addresses and looks for them when it makes its network, so set it only once that is
	// there: it is for repair.
	Gateway  netip.Prefix
	Gateway6 netip.Prefix // the same for IPv6
	Peers    []netip.Addr // VTEPs of the other hosts on the network
	Remote   []Endpoint
	Local    []MAC // of this host's containers; their ports are put back when they have lost their bridge
	// Encrypted says that the tunnel begins at Underlay, a link-local address of the WireGuard device, and nowhere else.
	Encrypted bool
	Underlay  Underlay
	// Leaving keeps the links of a network that is about to be removed: they are neither mended nor deleted.
	Leaving bool
}

// Underlay is where the tunnels of a host begin.
type Underlay struct {
	Addr   netip.Addr // the host's VTEP; on a WireGuard device link-local IPv6
	Device string     // interface that has it
	MTU    int        // bytes
}

// State is all that shall be on this host.
type State struct {
	Host     string // name of the host; the MAC addresses of its links come from it
	Underlay Underlay
	Networks []Network
	// OwnChecksums makes the kernel compute the checksums of what goes into tunnels, because the network card gets them wrong.
	OwnChecksums bool
}

// BridgeName is the name of a network's bridge, at most 10 characters.
func BridgeName(vni uint32) string { return "bt" + strconv.FormatUint(uint64(vni), 10) }

// TunnelName is the name of a network's VXLAN port, at most 10 characters.
func TunnelName(vni uint32) string { return "vx" + strconv.FormatUint(uint64(vni), 10) }

// vniOf reads the VNI out of a name made by BridgeName or TunnelName; ok is false for all other names.
func vniOf(name, prefix string) (vni uint32, ok bool) {
	digits, found := strings.CutPrefix(name, prefix)
	if !found || digits == "" || digits[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 24)
	if err != nil || n < FirstVNI {
		return 0, false
	}
	return uint32(n), true
}

// BridgeMAC is the address of a network's bridge on a host.
func BridgeMAC(host string, vni uint32) MAC { return linkMAC(host, "bridge", vni) }

// linkMAC derives the MAC address of a link from host and network, so that it outlives reboots: peers that remember
// a changed one send into nothing (flannel#1155). Locally administered, and never 02:42 as containers have.
func linkMAC(host, role string, vni uint32) MAC {
	sum := sha256.Sum256([]byte(role + "\x00" + strconv.FormatUint(uint64(vni), 10) + "\x00" + host))
	m := MAC(sum[:6])
	m[0] = 0x0a
	return m
}

// Config is how an Overlay is opened.
type Config struct {
	// Marker is the path of a small file that remembers, for this boot, that bridge netfilter was switched off by
	// berth and not by the host's administrator; "" remembers it only while the Overlay lives.
	Marker string
	Log    *slog.Logger // nil: slog.Default()
	// Shortcut spares frames the way through the bridges, where the kernel can; nil: none. It is the caller's to close.
	Shortcut *shortcut.Shortcut
}

// Overlay works on the network namespace that it was opened in. Its methods are safe for concurrent use; they do not
// overlap.
type Overlay struct {
	log    *slog.Logger
	marker string
	handle *netlink.Handle // addresses and routes

	removals removals

	mu        sync.Mutex
	conn      *conn
	links     map[uint32]ifaces // networks that stand, by VNI
	switched  bool              // bridge netfilter was switched off by us, in this life
	filterLog sync.Once
	shortcuts shortcuts
	offloads  map[int]bool // whether checksums are left to the network card, by the index of the tunnel
}

// ifaces are the indexes of a network's links.
type ifaces struct {
	bridge int
	tunnel port
}

// Open binds to the network namespace of the calling thread.
func Open(c Config) (*Overlay, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	k, err := dial()
	if err != nil {
		return nil, err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		k.close()
		return nil, fmt.Errorf("overlay: open a netlink socket: %w", err)
	}
	o := &Overlay{log: c.Log, marker: c.Marker, handle: h, conn: k, links: map[uint32]ifaces{}, offloads: map[int]bool{}}
	if c.Shortcut != nil {
		o.shortcuts = shortcuts{way: c.Shortcut, refused: map[int]bool{}}
		if o.shortcuts.conn, err = dial(); err != nil {
			o.Close()
			return nil, err
		}
	}
	return o, nil
}

// Close releases the sockets. What is in the kernel stays.
func (o *Overlay) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conn.close()
	o.handle.Close()
	if o.shortcuts.conn != nil {
		o.shortcuts.conn.close()
	}
}

// order is the byte order of netlink messages: the machine's own.
var order = binary.NativeEndian
