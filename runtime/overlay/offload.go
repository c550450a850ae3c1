package overlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A kernel leaves checksums to the network card, those of packets in tunnels too. Some cards and drivers get these wrong
// (moby#41775, calico#4727), and then what is small and answered by a kernel goes through a tunnel, and nothing else. That
// is found out between the kernels of two hosts, so that again nothing has to run at the other end: a datagram to a port
// where nobody listens is answered with "port unreachable", and one whose checksum is wrong is dropped in silence. One
// without a checksum, which nobody can get wrong, tells that from a firewall. The remedy is not to leave them to the card.

const (
	// checkPort is a UDP port on which hardly anybody listens on a bridge's address.
	checkPort = Group
	// checkRounds is how often both kinds are tried in turn before the card gets the blame: kernels answer few such datagrams
	// a second.
	checkRounds = 3
)

// checker asks a host by way of a tunnel with datagrams of both kinds.
type checker struct {
	without, with *net.UDPConn // their checksum
}

// newChecker opens the sockets; it is nil when there is no address to ask from, or it is not on the bridge yet.
func newChecker(t Target) *checker {
	if !t.Gateway.IsValid() {
		return nil
	}
	c := &checker{}
	for _, conn := range []**net.UDPConn{&c.without, &c.with} {
		var err error
		*conn, err = net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(t.Gateway, 0)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(t.IP, checkPort)))
		if err != nil {
			c.close()
			return nil
		}
	}
	raw, err := c.without.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
		}), err)
	}
	if err != nil {
		c.close()
		return nil
	}
	return c
}

func (c *checker) close() {
	for _, conn := range []*net.UDPConn{c.without, c.with} {
		if conn != nil {
			conn.Close()
		}
	}
}

// miscomputed reports whether datagrams arrive without a checksum and with one do not.
func (c *checker) miscomputed(ctx context.Context, wait time.Duration) bool {
	if c == nil || answered(c.with, wait) {
		return false
	}
	for range checkRounds {
		if ctx.Err() != nil || !answered(c.without, wait) || answered(c.with, wait) {
			return false
		}
	}
	return true
}

// answered reports whether a datagram is answered, by whatever.
func answered(conn *net.UDPConn, wait time.Duration) bool {
	if _, err := conn.Write([]byte("berth")); err != nil {
		return errors.Is(err, unix.ECONNREFUSED) // the answer to an earlier one
	}
	if conn.SetReadDeadline(time.Now().Add(wait)) != nil {
		return false
	}
	_, err := conn.Read(make([]byte, 1))
	return err == nil || errors.Is(err, unix.ECONNREFUSED)
}

// ownChecksums makes the kernel compute the checksums of what goes into tunnels over the underlay, if that is asked for or one
// of the tunnels is made so already: what was found out outlives the agent, and not the host's next start. They are looked
// at once; it is never undone. It reports whether the kernel does.
func (o *Overlay) ownChecksums(want map[uint32]*Network, asked bool) (own bool, err error) {
	tunnels := map[int]string{}
	for vni, i := range o.links {
		if n := want[vni]; n != nil && !n.Encrypted {
			tunnels[i.tunnel.index] = TunnelName(vni)
		}
	}
	for index := range o.offloads {
		if tunnels[index] == "" {
			delete(o.offloads, index)
		}
	}
	var errs []error
	for index, name := range tunnels {
		if _, known := o.offloads[index]; !known {
			offload, err := checksumOffload(name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			o.offloads[index] = offload
		}
		asked = asked || !o.offloads[index]
	}
	if !asked {
		return false, errors.Join(errs...)
	}
	for index, name := range tunnels {
		if !o.offloads[index] {
			continue
		}
		if err := stopChecksumOffload(name); err != nil {
			errs = append(errs, err)
			continue
		}
		o.offloads[index] = false
	}
	return true, errors.Join(errs...)
}

// The commands of linux/ethtool.h that read and set whether checksums are left to a device.
const (
	ethtoolGetTxChecksum = 0x16
	ethtoolSetTxChecksum = 0x17
)

// checksumOffload reports whether checksums are left to what is under a link of the calling thread's network namespace.
func checksumOffload(link string) (bool, error) {
	value, err := ethtool(link, ethtoolGetTxChecksum, 0)
	return value != 0, err
}

func stopChecksumOffload(link string) error {
	_, err := ethtool(link, ethtoolSetTxChecksum, 0)
	return err
}

// ethtool does one command that takes or gives a number.
func ethtool(link string, command, value uint32) (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("overlay: checksum offload of %s: %w", link, os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	data := [2]uint32{command, value} // struct ethtool_value
	request := struct {               // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&data)}
	copy(request.name[:unix.IFNAMSIZ-1], link)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); e != 0 {
		return 0, fmt.Errorf("overlay: checksum offload of %s: %w", link, os.NewSyscallError("ioctl", e))
	}
	return data[1], nil
}
