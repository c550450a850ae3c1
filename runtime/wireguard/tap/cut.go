package tap

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// burst is what one read brought: a packet, or a long TCP segment whose cutting into packets the kernel left to us. The
// long one is in a VXLAN frame, or plain.
type burst struct {
	header []byte // all headers of the packets, which differ in little; empty for a packet that is sent as it is
	data   []byte // what is left to send
	size   int    // of a packet's part of data
	index  int    // of the next packet

	udp   int // where in header that of UDP begins; 0: none, a plain segment
	inner int // the same, of the IP header before TCP's
	tcp   int
}

// TCP flags (RFC 9293).
const (
	flagFIN = 0x01
	flagPSH = 0x08
	flagACK = 0x10
	flagCWR = 0x80
)

const protocolTCP = 6

// parse reads what the kernel gave. It is false for what cannot be sent: no IP, or headers that are not where the kernel
// says.
func parse(b []byte) (burst, bool) {
	if len(b) < headerLen+etherLen+20 {
		return burst{}, false
	}
	h, kind := decode(b), binary.BigEndian.Uint16(b[headerLen+12:])
	packet := b[headerLen+etherLen:]
	if kind != unix.ETH_P_IPV6 && kind != unix.ETH_P_IP {
		return burst{}, false
	}
	start := int(h.sumStart) - etherLen
	if h.gso == unix.VIRTIO_NET_HDR_GSO_NONE {
		if h.flags&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 {
			at := start + int(h.sumOffset)
			if start < 0 || at+2 > len(packet) {
				return burst{}, false
			}
			putChecksum(packet[at:], sum(packet[start:], 0)) // the field holds the sum of the pseudo-header
		}
		return burst{data: packet, size: len(packet)}, true
	}
	f := burst{size: int(h.size), tcp: start}
	if h.gso&tunnelGSO != 0 {
		f.udp, f.inner = int(h.outerTransport)-etherLen, int(h.innerNetwork)-etherLen
		if f.udp < ipLen(packet) || f.inner < f.udp+8 {
			return burst{}, false
		}
	}
	if f.size == 0 || f.inner > len(packet) || f.tcp+20 > len(packet) || f.tcp < f.inner+ipLen(packet[f.inner:]) {
		return burst{}, false
	}
	end := f.tcp + int(packet[f.tcp+12]>>4)*4
	switch h.gso &^ (tunnelGSO | unix.VIRTIO_NET_HDR_GSO_ECN) {
	case unix.VIRTIO_NET_HDR_GSO_TCPV4, unix.VIRTIO_NET_HDR_GSO_TCPV6:
	default:
		return burst{}, false
	}
	if end < f.tcp+20 || end > len(packet) {
		return burst{}, false
	}
	f.header, f.data = packet[:end], packet[end:]
	return f, true
}

// ipLen is the least that an IP header takes; more than any packet has if it is none.
func ipLen(b []byte) int {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return max(20, int(b[0]&15)*4)
	case len(b) >= 40 && b[0]>>4 == 6:
		return 40
	}
	return 1 << 20
}

// next writes the next packet and returns its length; 0 when it does not fit.
func (f *burst) next(out []byte) int {
	n := min(f.size, len(f.data))
	data := f.data[:n]
	f.data = f.data[n:]
	length := len(f.header) + n
	if length > len(out) {
		return 0
	}
	p := out[:length]
	copy(p, f.header)
	copy(p[len(f.header):], data)
	if f.tcp == 0 {
		return length
	}
	if f.udp != 0 {
		setLength(p, f.index)
		binary.BigEndian.PutUint16(p[f.udp+4:], uint16(length-f.udp))
	}
	setLength(p[f.inner:], f.index)
	t := p[f.tcp:]
	binary.BigEndian.PutUint32(t[4:], binary.BigEndian.Uint32(t[4:])+uint32(f.index*f.size))
	if len(f.data) > 0 {
		t[13] &^= flagFIN | flagPSH
	}
	if f.index > 0 {
		t[13] &^= flagCWR
	}
	t[16], t[17] = 0, 0
	putChecksum(t[16:], sum(t, pseudo(p[f.inner:], len(t))))
	f.index++
	return length
}

// setLength makes the IP header at the beginning of b that of a packet that ends where b does, the index-th of those that
// were one.
func setLength(b []byte, index int) {
	if b[0]>>4 == 6 {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
		return
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[4:], binary.BigEndian.Uint16(b[4:])+uint16(index))
	b[10], b[11] = 0, 0
	putChecksum(b[10:], sum(b[:int(b[0]&15)*4], 0))
}
