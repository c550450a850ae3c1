package overlay

import "encoding/binary"

const (
	arpLen     = 28
	arpRequest = 1
	arpReply   = 2
	etherARP   = 0x0806
	vxlanLen   = 8
	etherLen   = 14
	udpLen     = 8
	ipv4Len    = 20
	ipv6Len    = 40
)

// ethARP is the protocol of ARP as a packet socket takes it, in network byte order.
var ethARP = order.Uint16([]byte{etherARP >> 8, etherARP & 0xff})

// packet is a VXLAN header (RFC 7348 section 5), an Ethernet header and an ARP request (RFC 826), padded so that the whole
// is an IP packet of the size.
func (t Target) packet(mtu int) []byte {
	b := make([]byte, 0, max(mtu, 64))
	b = append(b, 0x08, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, t.VNI<<8)
	b = append(b, t.MAC[:]...)
	b = append(b, t.Own[:]...)
	b = binary.BigEndian.AppendUint16(b, etherARP)
	b = append(b, 0, 1, 0x08, 0, 6, 4, 0, arpRequest)
	b = append(b, t.Own[:]...)
	b = append(b, t.From.AsSlice()...)
	b = append(b, make([]byte, 6)...)
	b = append(b, t.IP.AsSlice()...)
	size := mtu - ipv4Len - udpLen
	if t.VTEP.Is6() {
		size = mtu - ipv6Len - udpLen
	}
	if fill := size - len(b); fill > 0 {
		b = append(b, make([]byte, fill)...)
	}
	return b
}
