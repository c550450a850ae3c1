package tap

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// drawn is a long TCP segment in a VXLAN frame as the kernel hands it over: all of it, with the header before.
func drawn(t *rapid.T) []byte {
	six := rapid.Bool().Draw(t, "IPv6 inside")
	ip := make([]byte, 20)
	ip[0], ip[8], ip[9] = 0x45, 64, protocolTCP
	if rapid.Bool().Draw(t, "don't fragment") {
		ip[6] = 0x40
	}
	kind, gso := uint16(unix.ETH_P_IP), uint8(unix.VIRTIO_NET_HDR_GSO_TCPV4|tunnelGSO6)
	if six {
		ip = make([]byte, 40)
		ip[0], ip[6], ip[7] = 0x60, protocolTCP, 64
		kind, gso = unix.ETH_P_IPV6, unix.VIRTIO_NET_HDR_GSO_TCPV6|tunnelGSO6
	}
	copy(ip[len(ip)-8:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "addresses"))
	tcp := make([]byte, 20+4*rapid.IntRange(0, 10).Draw(t, "words of options"))
	copy(tcp, rapid.SliceOfN(rapid.Byte(), 12, 12).Draw(t, "ports, numbers"))
	tcp[12] = byte(len(tcp)/4) << 4
	tcp[13] = flagACK | rapid.SampledFrom([]byte{0, flagPSH}).Draw(t, "flags")
	size := rapid.IntRange(1, 1400).Draw(t, "size")
	data := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "data")
	data = bytes.Repeat(data, 1+rapid.IntRange(0, 20*size).Draw(t, "length")/len(data))

	outer := make([]byte, innerAt)
	outer[0], outer[6], outer[7] = 0x60, unix.IPPROTO_UDP, 64
	binary.BigEndian.PutUint16(outer[udpAt+2:], 4789)
	outer[vxlanAt] = 8
	binary.BigEndian.PutUint16(outer[innerAt-2:], kind)
	p := bytes.Join([][]byte{outer, ip, tcp, data}, nil)
	s := segment{packet: p, tcp: innerAt + len(ip), data: innerAt + len(ip) + len(tcp)}
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)-udpAt))
	binary.BigEndian.PutUint16(p[udpAt+4:], uint16(len(p)-udpAt))
	setLength(p[innerAt:], 0)
	putSum(p[s.tcp+16:], pseudo(p[innerAt:], len(p)-s.tcp))

	frame := make([]byte, headerLen+etherLen, headerLen+etherLen+len(p))
	header{flags: unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, gso: gso, size: uint16(size), length: uint16(etherLen + s.data),
		sumStart: uint16(etherLen + s.tcp), sumOffset: 16, outerTransport: etherLen + udpAt, innerNetwork: etherLen + innerAt}.encode(frame)
	binary.BigEndian.PutUint16(frame[headerLen+12:], unix.ETH_P_IPV6)
	return append(frame, p...)
}

func TestALongSegmentIsCutIntoPacketsThatAreRightAndJoinToTheSameAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frame := drawn(t)
		h, whole := decode(frame), bytes.Clone(frame[headerLen+etherLen:])
		b, ok := parse(frame)
		if !ok {
			t.Fatal("not understood")
		}
		var g group
		var packets int
		for len(b.data) > 0 {
			out := make([]byte, 2000)
			p := out[:b.next(out)]
			packets++
			s, ok := segmentOf(p) // which looks at all lengths and checksums
			if !ok {
				t.Fatalf("packet %d is not right: %x", packets, p)
			}
			if n := len(p) - s.data; n > int(h.size) || n < int(h.size) && len(b.data) > 0 {
				t.Fatalf("packet %d has %d bytes of data, not %d", packets, n, h.size)
			}
			if packets == 1 {
				g.begin(s)
			} else if !g.add(s) {
				t.Fatalf("packet %d does not follow the one before", packets)
			}
		}
		if packets == 1 {
			return // it goes as it is
		}
		if got := g.seal(); got != h {
			t.Errorf("the kernel would be told %+v, and had told %+v", got, h)
		}
		if got := bytes.Join(append([][]byte{g.first.packet}, g.more...), nil); !bytes.Equal(got, whole) {
			t.Errorf("joined again\n%x\nit was\n%x", got, whole)
		}
	})
}

func TestOnlyWhatTheKernelWouldJoinIsJoined(t *testing.T) {
	cut := func(t *rapid.T) (a, b []byte) {
		for {
			f, _ := parse(drawn(t))
			if len(f.data) <= f.size {
				continue
			}
			x, y := make([]byte, 2000), make([]byte, 2000)
			return x[:f.next(x)], y[:f.next(y)]
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := cut(t)
		first, _ := segmentOf(a)
		second, _ := segmentOf(b)
		var g group
		g.begin(first)
		if !g.add(second) {
			t.Fatal("the next segment is not joined")
		}
		at := rapid.IntRange(0, second.data-1).Draw(t, "byte")
		flipped := bytes.Clone(b)
		flipped[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if at >= second.tcp { // not by its checksum alone
			c := flipped[second.tcp:]
			c[16], c[17] = 0, 0
			putChecksum(c[16:], sum(c, pseudo(flipped[innerAt:], len(c))))
		}
		s, ok := segmentOf(flipped)
		if bytes.Equal(flipped, b) || ok && s.packet[s.tcp+13] == b[second.tcp+13]^flagPSH {
			return // nothing is left of it, or it is a flag that may differ
		}
		g.begin(first)
		if ok && g.add(s) {
			t.Errorf("joined although byte %d differs", at)
		}
	})
}

func TestWhatComesInNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frame := drawn(t)
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			frame[rapid.IntRange(0, min(len(frame), 200)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		frame = frame[:rapid.IntRange(0, len(frame)).Draw(t, "length")]
		b, ok := parse(frame)
		if !ok {
			return
		}
		var g group
		out := make([]byte, 1<<16)
		for len(b.data) > 0 {
			if s, ok := segmentOf(out[:b.next(out)]); ok && (g.length == 0 || !g.add(s)) {
				g.begin(s)
			}
		}
		g.seal()
	})
}
