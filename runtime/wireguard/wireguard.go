// Package wireguard is this host's end of the encryption between hosts: one WireGuard device, the kernel's where there
// is one, and else one of the userspace library in a process of its own, which outlives the agent.
//
//	vxlan vx<VNI> (of an encrypted network) ── berthwg0 ── UDP 23581 on the underlay ── berthwg0 of the peers
//
// The VXLAN ports of encrypted networks begin and end at IPv6 link-local addresses of the device, one for each host
// ([Address]). That keeps plaintext off the wire without a firewall rule: a VXLAN port with a link-local address sends
// through its device or not at all, takes in only what came through that device (linux/net/vxlan, VXLAN_F_IPV6_LINKLOCAL),
// and is deleted by the kernel together with the device. WireGuard lets in a packet only from the peer whose address it
// bears. Link-local addresses overlap no network of anyone.
//
// A host has two such addresses, for even and odd generations of its key, so that the key can change without a gap:
// peers take the next key in under the other address before the host uses it.
//
// A private key is nowhere but in the memory of kernel, device process and agent.
package wireguard

import (
	"crypto/sha256"
	"net/netip"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

const (
	// Name is the device's name, the same on every host.
	Name = "berthwg0"
	// DefaultPort is the UDP port that the device listens on unless the inventory says otherwise.
	DefaultPort = 23581
	// Keepalive is the time between two packets to a peer to which nothing else is sent. It keeps paths through NAT
	// open, and lets handshakes happen whose absence can be told.
	Keepalive = 25 * time.Second
	// ServeVersion is the version of the userspace device: raised when Serve or its library changes, so that agents
	// replace the processes that are older, which costs encrypted traffic a moment.
	ServeVersion = "3"
	// StaleAfter is the age at which the last handshake with a peer means that none completes any more: with keepalives
	// there is one every two to three minutes.
	StaleAfter = 5 * time.Minute
)

// Key is a private or a public key.
type Key = wgtypes.Key

// NewKey makes a private key.
func NewKey() (Key, error) { return wgtypes.GeneratePrivateKey() }

// ParseKey reads a key in base64.
func ParseKey(s string) (Key, error) { return wgtypes.ParseKey(s) }

// Address is where a host's end of encrypted networks is while it uses a key of that generation: link-local, made from
// the host's name.
func Address(host string, generation int) netip.Addr {
	sum := sha256.Sum256([]byte("wireguard\x00" + host))
	a := [16]byte{0: 0xfe, 1: 0x80}
	copy(a[8:], sum[:8])
	a[15] = a[15]&^1 | byte(generation&1)
	return netip.AddrFrom16(a)
}

// Overhead is what the device takes of the underlay's MTU, bytes: 20 (IPv4) or 40 (IPv6), 8 (UDP), 32 (WireGuard).
func Overhead(underlay netip.Addr) int {
	if underlay.Is4() {
		return 60
	}
	return 80
}

// Peer is another host, under one of its keys.
type Peer struct {
	Key      Key            // public
	Address  netip.Addr     // the one that it may send from and is reached at
	Endpoint netip.AddrPort // on the underlay
	Keep     bool           // the key is in use: send keepalives
}

// Want is how the device shall be.
type Want struct {
	Host  string // name of this host
	Port  int    // UDP
	MTU   int    // bytes, of the device
	Key   Key    // private; zero keeps the device's own, or makes one
	Peers []Peer
}

// PeerStatus is what is known of a peer.
type PeerStatus struct {
	Endpoint  netip.AddrPort // where it was last heard
	Handshake time.Time      // last one completed; zero: never
	Received  int64          // bytes of what was the peer's beyond doubt, since the device was told of it
	Sent      int64          // bytes
}

// Status is how the device is.
type Status struct {
	Link   int  // the link's index: another one means that the device was made anew, and all that stood on it is gone
	Kernel bool // the kernel's own WireGuard
	Key    Key  // private
	Peers  map[Key]PeerStatus
}
