package main_test

import (
	"bytes"
	endian "encoding/binary"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"berth/fixtures/lab/lab"
)

// onNet runs f in a host's network namespace.
func onNet(t *testing.T, h *lab.Host, f func()) {
	t.Helper()
	there, err := h.NetNS()
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	if err := netns.Set(netns.NsHandle(there.Fd())); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := netns.Set(here); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// capture counts the frames of a link that hold certain bytes, in both directions.
type capture struct {
	file *os.File
	done chan struct{}

	mu   sync.Mutex
	seen map[string]int // by marker; "" is all frames
}

// listenOn captures on a host's link until the test ends.
func listenOn(t *testing.T, h *lab.Host, link string, markers ...string) *capture {
	t.Helper()
	c := &capture{done: make(chan struct{}), seen: map[string]int{}}
	onNet(t, h, func() {
		l, err := netlink.LinkByName(link)
		if err != nil {
			t.Fatalf("%s: %s: %v", h.Name(), link, err)
		}
		all := endian.NativeEndian.Uint16(endian.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.Attrs().Index}); err != nil {
			t.Fatal(err)
		}
		c.file = os.NewFile(uintptr(fd), "packets")
	})
	go func() {
		defer close(c.done)
		buf := make([]byte, 1<<17)
		for {
			n, err := c.file.Read(buf)
			if err != nil {
				return
			}
			c.mu.Lock()
			c.seen[""]++
			for _, m := range markers {
				if bytes.Contains(buf[:n], []byte(m)) {
					c.seen[m]++
				}
			}
			c.mu.Unlock()
		}
	}()
	t.Cleanup(func() { c.file.Close(); <-c.done })
	return c
}

func (c *capture) count(marker string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[marker]
}

// forge sends a VXLAN frame to every address of a host's underlay, as anyone on the wire can.
func forge(t *testing.T, from, to *lab.Host, vni uint32, mac [6]byte, payload string) {
	t.Helper()
	frame := endian.BigEndian.AppendUint32([]byte{8, 0, 0, 0}, vni<<8)
	frame = append(append(frame, mac[:]...), 0x0a, 1, 2, 3, 4, 5, 0x88, 0xb5) // an EtherType for experiments
	frame = append(frame, payload...)
	targets := []netip.Addr{netip.MustParseAddr(to.Address())}
	onNet(t, to, func() {
		targets = append(targets, linkLocals(t, "eth0")...)
		targets = append(targets, linkLocals(t, "berthwg0")...) // of another link, and that must hold
	})
	onNet(t, from, func() {
		for _, a := range targets {
			at := &net.UDPAddr{IP: a.AsSlice(), Port: 4789}
			if a.Is6() {
				at.Zone = "eth0"
			}
			c, err := net.DialUDP("udp", nil, at)
			if err != nil {
				t.Fatalf("%s: %v", a, err)
			}
			if _, err := c.Write(frame); err != nil {
				t.Fatalf("%s: %v", a, err)
			}
			c.Close()
		}
	})
}

func linkLocals(t *testing.T, link string) []netip.Addr {
	t.Helper()
	l, err := netlink.LinkByName(link)
	if err != nil {
		t.Fatal(err)
	}
	list, err := netlink.AddrList(l, netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	var out []netip.Addr
	for _, one := range list {
		if a, ok := netip.AddrFromSlice(one.IP); ok && a.IsLinkLocalUnicast() {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s has no link-local address", link)
	}
	return out
}

// marked is a payload of one byte, repeated: what ping -p fills its packets with.
func marked(b byte) string { return strings.Repeat(string([]byte{b}), 32) }
