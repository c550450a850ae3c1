package overlay

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RouteMTU is what the route to a host carries by its own word: the MTU of the route where an administrator has set one,
// or else that of the device, bytes. What routers on the way have told meanwhile does not count: it is forgotten again.
func (o *Overlay) RouteMTU(to netip.Addr) (int, error) {
	routes, err := o.handle.RouteGetWithOptions(to.AsSlice(), &netlink.RouteGetOptions{FIBMatch: true})
	if err != nil || len(routes) == 0 {
		return 0, fmt.Errorf("overlay: find the route to %s: %w", to, err)
	}
	if mtu := routes[0].MTU; mtu > 0 {
		return mtu, nil
	}
	index := routes[0].LinkIndex
	if len(routes[0].MultiPath) > 0 {
		index = routes[0].MultiPath[0].LinkIndex
	}
	link, err := o.handle.LinkByIndex(index)
	if err != nil {
		return 0, fmt.Errorf("overlay: find the route to %s: %w", to, err)
	}
	return link.Attrs().MTU, nil
}

// TellPathMTU tells the kernel what a path carries, as a router on it should have done: in an ICMP message to this host
// itself (RFC 1191 section 4), about a datagram that it may have sent. The kernel keeps that for ten minutes as what it
// is, a finding about one destination, and no route is changed. From then on it tells containers in its turn what
// goes through the tunnel to that host, also those whose interfaces were made for more (from Linux 5.9 on).
// It is for IPv4; IPv6 has no fragments on the way, and its routers tell.
func TellPathMTU(from, to netip.Addr, mtu int) error {
	wrap := func(err error) error {
		return fmt.Errorf("overlay: tell the kernel that the path to %s carries %d bytes: %w", to, mtu, err)
	}
	if !from.Is4() || !to.Is4() {
		return nil
	}
	// The message is about a socket: the kernel looks for the one that has sent the datagram.
	of, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return wrap(err)
	}
	defer unix.Close(of)
	if err := unix.Connect(of, &unix.SockaddrInet4{Addr: to.As4(), Port: Port}); err != nil {
		return wrap(err)
	}
	name, err := unix.Getsockname(of)
	if err != nil {
		return wrap(err)
	}
	local, ok := name.(*unix.SockaddrInet4)
	if !ok || netip.AddrFrom4(local.Addr) != from {
		return nil // the route to it begins elsewhere than the tunnel
	}
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		return wrap(err)
	}
	defer unix.Close(raw)
	about := []byte{0x45, 0, byte(mtu >> 8), byte(mtu), 0, 0, 0x40, 0, 64, unix.IPPROTO_UDP, 0, 0}
	about = append(about, from.AsSlice()...)
	about = append(about, to.AsSlice()...)
	binary.BigEndian.PutUint16(about[10:], checksum(about))
	about = binary.BigEndian.AppendUint16(about, uint16(local.Port))
	about = binary.BigEndian.AppendUint16(about, Port)
	about = append(about, 0, 8, 0, 0)
	const unreachable, tooLarge = 3, 4
	b := append([]byte{unreachable, tooLarge, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}, about...)
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	if err := unix.Sendto(raw, b, 0, &unix.SockaddrInet4{Addr: from.As4()}); err != nil {
		return wrap(err)
	}
	return nil
}

// ForgetPathMTUs makes the kernel forget what it has learned of paths, after one has become better. It learns the
// others again.
func ForgetPathMTUs() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/route/flush", []byte("1"), 0); err != nil {
		return fmt.Errorf("overlay: forget path MTUs: %w", err)
	}
	return nil
}

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
