package tap

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Where the headers of a TCP segment in a VXLAN frame over IPv6 begin.
const (
	udpAt   = 40
	vxlanAt = udpAt + 8
	etherAt = vxlanAt + 8
	innerAt = etherAt + etherLen
)

// longest is what a joined packet may have, bytes: lengths in headers have 16 bits.
const longest = 1<<16 - 1

// segment is a packet that may be joined with others.
type segment struct {
	packet []byte
	tcp    int // where TCP's header begins
	data   int // where its data begins
}

// segmentOf is false for a packet that is no TCP segment in a VXLAN frame over IPv6, or one with which something is
// special. The kernel shall see that one as it came, a wrong checksum included.
func segmentOf(p []byte) (segment, bool) {
	if len(p) < innerAt+40 || p[0]>>4 != 6 || p[6] != unix.IPPROTO_UDP ||
		int(binary.BigEndian.Uint16(p[4:])) != len(p)-udpAt || int(binary.BigEndian.Uint16(p[udpAt+4:])) != len(p)-udpAt ||
		p[udpAt+6] != 0 || p[udpAt+7] != 0 {
		return segment{}, false
	}
	s, ip := segment{packet: p}, p[innerAt:]
	switch binary.BigEndian.Uint16(p[innerAt-2:]) {
	case unix.ETH_P_IP:
		const fragment = 0x3fff // offset, and whether more come
		if ip[0] != 0x45 || ip[9] != protocolTCP || int(binary.BigEndian.Uint16(ip[2:])) != len(ip) ||
			binary.BigEndian.Uint16(ip[6:])&fragment != 0 || fold(sum(ip[:20], 0)) != 0xffff {
			return segment{}, false
		}
		s.tcp = innerAt + 20
	case unix.ETH_P_IPV6:
		if len(ip) < 60 || ip[0]>>4 != 6 || ip[6] != protocolTCP || int(binary.BigEndian.Uint16(ip[4:])) != len(ip)-40 {
			return segment{}, false
		}
		s.tcp = innerAt + 40
	default:
		return segment{}, false
	}
	t := p[s.tcp:]
	s.data = s.tcp + int(t[12]>>4)*4
	if t[13]&^flagPSH != flagACK || s.data < s.tcp+20 || s.data >= len(p) || fold(sum(t, pseudo(ip, len(t)))) != 0xffff {
		return segment{}, false
	}
	return s, true
}

// group is segments of one stream, one after the other.
type group struct {
	first  segment
	last   []byte   // TCP's header of the last one
	more   [][]byte // data of all after the first
	length int      // of the packet that they are together
	size   int      // of the data of each but the last, which may be shorter
	closed bool     // nothing may follow
}

func (g *group) begin(s segment) {
	g.first, g.last, g.more = s, s.packet[s.tcp:s.data], g.more[:0]
	g.length, g.size = len(s.packet), len(s.packet)-s.data
	g.closed = s.packet[s.tcp+13]&flagPSH != 0
}

// add joins a segment; false if it is not the next one of the stream, or differs in more than the kernel would let differ
// where it joins packets itself (net/ipv4/tcp_offload.c, tcp_gro_receive).
func (g *group) add(s segment) bool {
	a, b := g.first.packet, s.packet
	n := len(b) - s.data
	if g.closed || s.tcp != g.first.tcp || s.data != g.first.data || n > g.size || g.length+n > longest {
		return false
	}
	same := func(from, to int) bool { return bytes.Equal(a[from:to], b[from:to]) }
	if !same(0, 4) || !same(6, udpAt+4) || !same(vxlanAt, innerAt) || !g.sameIP(b) {
		return false
	}
	t := s.tcp
	next := binary.BigEndian.Uint32(a[t+4:]) + uint32(g.length-g.first.data)
	if binary.BigEndian.Uint32(b[t+4:]) != next || !same(t, t+4) || !same(t+8, t+13) || !same(t+14, t+16) || !same(t+18, s.data) {
		return false
	}
	g.more = append(g.more, b[s.data:])
	g.last = b[t:s.data]
	g.length += n
	g.closed = n < g.size || b[t+13]&flagPSH != 0
	return true
}

// sameIP compares the inner IP header with the first one's. An IPv4 one without "don't fragment" has to bear the next
// identification, because that is what it gets when it is cut again.
func (g *group) sameIP(b []byte) bool {
	x, y := g.first.packet[innerAt:g.first.tcp], b[innerAt:g.first.tcp]
	if x[0]>>4 == 6 {
		return bytes.Equal(x[:4], y[:4]) && bytes.Equal(x[6:], y[6:])
	}
	const dontFragment = 0x40
	id := binary.BigEndian.Uint16(x[4:]) + uint16(len(g.more)) + 1
	return bytes.Equal(x[:2], y[:2]) && bytes.Equal(x[6:10], y[6:10]) && bytes.Equal(x[12:], y[12:]) &&
		(x[6]&dontFragment != 0 || binary.BigEndian.Uint16(y[4:]) == id)
}

// seal makes the first packet's headers those of the whole, and returns what the kernel is to be told of it.
func (g *group) seal() header {
	if len(g.more) == 0 {
		return header{}
	}
	p, inner, t := g.first.packet, g.first.packet[innerAt:], g.first.packet[g.first.tcp:]
	binary.BigEndian.PutUint16(p[4:], uint16(g.length-udpAt))
	binary.BigEndian.PutUint16(p[udpAt+4:], uint16(g.length-udpAt))
	h := header{
		flags: unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, gso: unix.VIRTIO_NET_HDR_GSO_TCPV4 | tunnelGSO6,
		length: uint16(etherLen + g.first.data), size: uint16(g.size),
		sumStart: uint16(etherLen + g.first.tcp), sumOffset: 16,
		outerTransport: etherLen + udpAt, innerNetwork: etherLen + innerAt,
	}
	if inner[0]>>4 == 6 {
		h.gso = unix.VIRTIO_NET_HDR_GSO_TCPV6 | tunnelGSO6
		binary.BigEndian.PutUint16(inner[4:], uint16(g.length-innerAt-40))
	} else {
		binary.BigEndian.PutUint16(inner[2:], uint16(g.length-innerAt))
		inner[10], inner[11] = 0, 0
		putChecksum(inner[10:], sum(inner[:20], 0))
	}
	t[13] |= g.last[13] & flagPSH
	putSum(t[16:], pseudo(inner, g.length-g.first.tcp))
	return h
}
