// Package tap is the link of the userspace WireGuard device: what the library calls a TUN device, made for what goes
// through ours, which is VXLAN. The library's own moves one packet a read there, so that each goes through all its queues
// and through the sockets alone, which costs ten times as much as the encryption. Here
//
//   - a read takes as many packets as wait;
//   - where the kernel can (Linux 6.17, TUN_F_UDP_TUNNEL_GSO), it hands over TCP segments of up to 64 KiB in their VXLAN
//     frame, which are cut here, and takes those that come in joined again.
//
// The kernel does the latter for Ethernet frames only, so the link is a TAP device without neighbour discovery, and the
// Ethernet header ends here.
package tap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/tun"
)

// header is struct virtio_net_hdr_v1_hash_tunnel (linux/virtio_net.h), which stands before each frame; what is not used
// here is left out.
type header struct {
	flags, gso          uint8
	length, size        uint16 // of all headers; of the data of a packet
	sumStart, sumOffset uint16
	outerTransport      uint16 // where the UDP header of the tunnel begins
	innerNetwork        uint16
}

const (
	headerLen = 24
	etherLen  = 14

	// linux/virtio_net.h and linux/if_tun.h, since 6.17
	tunnelGSO4    = 0x20 // VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4
	tunnelGSO6    = 0x40 // VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6
	tunnelGSO     = tunnelGSO4 | tunnelGSO6
	offloadTunnel = 0x80 // TUN_F_UDP_TUNNEL_GSO
	offloads      = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	largest       = headerLen + etherLen + 1<<16 + 256 // of what a read brings
	etherTypeAt   = headerLen + 12
)

func decode(b []byte) header {
	le := binary.LittleEndian
	return header{flags: b[0], gso: b[1], length: le.Uint16(b[2:]), size: le.Uint16(b[4:]), sumStart: le.Uint16(b[6:]),
		sumOffset: le.Uint16(b[8:]), outerTransport: le.Uint16(b[20:]), innerNetwork: le.Uint16(b[22:])}
}

func (h header) encode(b []byte) {
	clear(b[:headerLen])
	le := binary.LittleEndian
	b[0], b[1] = h.flags, h.gso
	le.PutUint16(b[2:], h.length)
	le.PutUint16(b[4:], h.size)
	le.PutUint16(b[6:], h.sumStart)
	le.PutUint16(b[8:], h.sumOffset)
	le.PutUint16(b[20:], h.outerTransport)
	le.PutUint16(b[22:], h.innerNetwork)
}

// Device is the link and its end here. It is gone when it is closed.
type Device struct {
	name  string
	file  *os.File
	raw   syscall.RawConn
	joins bool // the kernel takes and gives long segments in VXLAN frames
	watch *watch
	close sync.Once

	reading sync.Mutex
	rest    burst
	buf     [largest]byte

	writing sync.Mutex
	group   group
	head    [headerLen + etherLen]byte
	vectors []unix.Iovec
}

var _ tun.Device = (*Device)(nil)

// Open makes the link, which must not exist. mtu is without the Ethernet header, bytes.
func Open(name string, mtu int) (*Device, error) { return open(name, mtu, offloadTunnel) }

// open asks the kernel for more than every one has.
func open(name string, mtu, more int) (*Device, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	d := &Device{name: name}
	if err := d.configure(fd, more); err != nil {
		unix.Close(fd)
		return nil, err
	}
	d.file = os.NewFile(uintptr(fd), "/dev/net/tun") // non-blocking and with its options by now, as its poller wants it
	if d.raw, err = d.file.SyscallConn(); err == nil {
		d.watch, err = newWatch(name, mtu)
	}
	if err != nil {
		d.file.Close()
		return nil, err
	}
	return d, nil
}

func (d *Device) configure(fd, more int) error {
	req, err := unix.NewIfreq(d.name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return fmt.Errorf("make the link: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, headerLen); err != nil {
		return fmt.Errorf("set the length of its headers: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETLE, 1); err != nil {
		return fmt.Errorf("set the byte order of its headers: %w", err)
	}
	if more != 0 && unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads|more) == nil {
		d.joins = true
		return nil
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads); err != nil {
		return fmt.Errorf("set its offloads: %w", err)
	}
	return nil
}

// Read waits for packets and takes as many as are there and find room.
func (d *Device) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	d.reading.Lock()
	defer d.reading.Unlock()
	n := 0
	for n < len(bufs) {
		if len(d.rest.data) > 0 {
			sizes[n] = d.rest.next(bufs[n][offset:])
			n++
			continue
		}
		got, err := d.receive(n == 0)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return n, err
		}
		d.rest, _ = parse(d.buf[:got])
	}
	return n, nil
}

// receive reads one frame.
func (d *Device) receive(wait bool) (n int, err error) {
	failed := d.raw.Read(func(fd uintptr) bool {
		for {
			n, err = unix.Read(int(fd), d.buf[:])
			if err != unix.EINTR {
				return err != unix.EAGAIN || !wait
			}
		}
	})
	return n, ended(failed, err)
}

// ended makes the errors of a link that is no longer there the one that the library ends on without a complaint. failed
// is that of the poller, which only has the one that the file is closed.
func ended(failed, err error) error {
	if failed != nil || errors.Is(err, unix.EBADFD) {
		return os.ErrClosed
	}
	return err
}

// Write hands packets to the kernel, in their order. Those of one stream that follow each other go as one.
func (d *Device) Write(bufs [][]byte, offset int) (int, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	var errs error
	flush := func() {
		if g := &d.group; g.length > 0 {
			errs = errors.Join(errs, d.send(g.seal(), g.first.packet, g.more))
			g.length = 0
		}
	}
	for _, b := range bufs {
		p := b[offset:]
		s, ok := segment{}, false
		if d.joins {
			s, ok = segmentOf(p)
		}
		switch {
		case ok && d.group.length > 0 && d.group.add(s):
		case ok:
			flush()
			d.group.begin(s)
		default:
			flush()
			errs = errors.Join(errs, d.send(header{}, p, nil))
		}
	}
	flush()
	return len(bufs), errs
}

// send writes one frame.
func (d *Device) send(h header, packet []byte, more [][]byte) error {
	h.encode(d.head[:])
	mac := d.watch.address()
	copy(d.head[headerLen:], mac[:])   // to the link
	copy(d.head[headerLen+6:], mac[:]) // from anyone, so from itself
	kind := uint16(unix.ETH_P_IPV6)
	if packet[0]>>4 == 4 {
		kind = unix.ETH_P_IP
	}
	binary.BigEndian.PutUint16(d.head[etherTypeAt:], kind)
	d.vectors = append(d.vectors[:0], vector(d.head[:]), vector(packet))
	for _, b := range more {
		d.vectors = append(d.vectors, vector(b))
	}
	var errno unix.Errno
	failed := d.raw.Write(func(fd uintptr) bool {
		for {
			_, _, errno = unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&d.vectors[0])), uintptr(len(d.vectors)))
			if errno != unix.EINTR {
				return errno != unix.EAGAIN
			}
		}
	})
	clear(d.vectors)
	if errno != 0 {
		return ended(failed, errno)
	}
	return ended(failed, nil)
}

func vector(b []byte) unix.Iovec {
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	return v
}

// File is the file of /dev/net/tun.
func (d *Device) File() *os.File { return d.file }

// Name is the link's name.
func (d *Device) Name() (string, error) { return d.name, nil }

// MTU is what the link's is now, without the Ethernet header, bytes.
func (d *Device) MTU() (int, error) { return d.watch.mtu(), nil }

// Events tells when the link comes up, goes down, or gets another MTU.
func (d *Device) Events() <-chan tun.Event { return d.watch.events }

// Removed is closed when the link is gone that was made.
func (d *Device) Removed() <-chan struct{} { return d.watch.removed }

// BatchSize is how many packets a read brings at most.
func (d *Device) BatchSize() int { return conn.IdealBatchSize }

// Close removes the link.
func (d *Device) Close() error {
	var err error
	d.close.Do(func() {
		err = d.file.Close()
		d.watch.close()
	})
	return err
}
