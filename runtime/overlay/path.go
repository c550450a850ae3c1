package overlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

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
	return familyMTU(link.Attrs(), to.Is6()), nil
}

// TellPathMTU tells the kernel what a path carries, as a router on it should have done: in an ICMP message to this host
// itself (RFC 1191 section 4, RFC 4443 section 3.2), about a datagram that it may have sent. The kernel keeps that for ten
// minutes as what it is, a finding about one destination, and no route is changed. From then on it tells containers in its
// turn what goes through the tunnel to that host, also those whose interfaces were made for more (from Linux 5.9 on).
// IPv6 takes nothing below 1280 bytes: each link has to carry those.
func TellPathMTU(from, to netip.Addr, mtu int) error {
	wrap := func(err error) error {
		return fmt.Errorf("overlay: tell the kernel that the path to %s carries %d bytes: %w", to, mtu, err)
	}
	if from.Is4() != to.Is4() {
		return nil
	}
	// The message is about a socket: the kernel looks for the one that has sent the datagram.
	of, err := unix.Socket(int(family(to)), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return wrap(err)
	}
	defer unix.Close(of)
	if err := unix.Connect(of, sockaddr(netip.AddrPortFrom(to, Port))); err != nil {
		return wrap(err)
	}
	name, err := unix.Getsockname(of)
	if err != nil {
		return wrap(err)
	}
	local := addrPort(name)
	if local.Addr() != from {
		return nil // the route to it begins elsewhere than the tunnel
	}
	protocol := unix.IPPROTO_ICMP
	if to.Is6() {
		protocol = unix.IPPROTO_ICMPV6
	}
	raw, err := unix.Socket(int(family(to)), unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return wrap(err)
	}
	defer unix.Close(raw)
	// A busy kernel takes it in later, and drops what is about a socket that is not there any more.
	for range tellAttempts {
		if err := unix.Sendto(raw, tooLarge(local, netip.AddrPortFrom(to, Port), mtu), 0, sockaddr(netip.AddrPortFrom(from, 0))); err != nil {
			return wrap(err)
		}
		taken := []unix.PollFd{{Fd: int32(of)}}
		if _, err := unix.Poll(taken, int(tellWait.Milliseconds())); err == nil && taken[0].Revents&unix.POLLERR != 0 {
			return nil
		}
	}
	return wrap(errors.New("it does not take that in"))
}

// How often and how long it is waited for that the kernel takes in what it is told of a path; it does at once when it is idle.
const (
	tellAttempts = 5
	tellWait     = 200 * time.Millisecond
)

// tooLarge is an ICMP message about an empty datagram: it is larger than what the path carries.
func tooLarge(from, to netip.AddrPort, mtu int) []byte {
	var b, about []byte
	if to.Addr().Is4() {
		const unreachable, fragmentationNeeded = 3, 4
		b = []byte{unreachable, fragmentationNeeded, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}
		about = []byte{0x45, 0, byte(mtu >> 8), byte(mtu), 0, 0, 0x40, 0, 64, unix.IPPROTO_UDP, 0, 0}
	} else {
		const packetTooBig = 2
		b = binary.BigEndian.AppendUint32([]byte{packetTooBig, 0, 0, 0}, uint32(mtu))
		about = []byte{0x60, 0, 0, 0, byte((mtu - ipv6Len) >> 8), byte(mtu - ipv6Len), unix.IPPROTO_UDP, 64}
	}
	about = append(about, from.Addr().AsSlice()...)
	about = append(about, to.Addr().AsSlice()...)
	if to.Addr().Is4() {
		binary.BigEndian.PutUint16(about[10:], checksum(about))
	}
	about = binary.BigEndian.AppendUint16(about, from.Port())
	about = binary.BigEndian.AppendUint16(about, to.Port())
	about = append(about, 0, udpLen, 0, 0)
	b = append(b, about...)
	if to.Addr().Is4() { // the kernel computes that of ICMPv6
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

// sockaddr is an address as system calls take it.
func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

// addrPort is an address as system calls return it.
func addrPort(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// ForgetPathMTUs makes the kernel forget what it has learned of the paths to hosts, after one has become better; over IPv4 that
// of all others with it, which it learns again.
func (o *Overlay) ForgetPathMTUs(to []netip.Addr) error {
	var errs []error
	four := false
	for _, host := range to {
		if host.Is4() {
			four = true
			continue
		}
		// What was learned is a route of its own beside the one it came from, and marked so; a flush leaves it alone.
		dst := &net.IPNet{IP: host.AsSlice(), Mask: net.CIDRMask(host.BitLen(), host.BitLen())}
		if err := o.handle.RouteDel(&netlink.Route{Dst: dst, Flags: unix.RTM_F_CLONED}); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, err)
		}
	}
	if four {
		errs = append(errs, os.WriteFile("/proc/sys/net/ipv4/route/flush", []byte("1"), 0))
	}
	if err := errors.Join(errs...); err != nil {
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
