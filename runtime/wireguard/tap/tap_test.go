package tap

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"

	"berth/fixtures/lab/lab"
)

// host is a network namespace with a link in it, and on that a VXLAN tunnel.
type host struct {
	ns   netns.NsHandle
	link *Device
}

func (h *host) inside(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	must(t, err)
	defer old.Close()
	must(t, netns.Set(h.ns))
	defer func() { must(t, netns.Set(old)) }()
	f()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newHost(t *testing.T, i, more int) *host {
	t.Helper()
	if unix.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	h := &host{}
	runtime.LockOSThread()
	old, err := netns.Get()
	must(t, err)
	h.ns, err = netns.New()
	must(t, err)
	must(t, netns.Set(old))
	old.Close()
	runtime.UnlockOSThread()
	t.Cleanup(func() { h.ns.Close() })
	h.inside(t, func() {
		h.link, err = open("link", 1440, more)
		must(t, err)
		l, err := netlink.LinkByName("link")
		must(t, err)
		must(t, netlink.LinkSetIP6AddrGenMode(l, 1))
		must(t, netlink.LinkSetUp(l))
		here, there := net.ParseIP(fmt.Sprintf("fe80::%d", i)), net.ParseIP(fmt.Sprintf("fe80::%d", 3-i))
		must(t, netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: here, Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD}))
		x := &netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "tunnel", MTU: 1370}, VxlanId: 1, VtepDevIndex: l.Attrs().Index,
			SrcAddr: here, Group: there, Port: 4789, UDP6ZeroCSumTx: true, UDP6ZeroCSumRx: true}
		must(t, netlink.LinkAdd(x))
		for _, a := range []string{fmt.Sprintf("10.9.0.%d/24", i), fmt.Sprintf("fd00::%d/64", i)} {
			addr, err := netlink.ParseAddr(a)
			must(t, err)
			addr.Flags = unix.IFA_F_NODAD
			must(t, netlink.AddrAdd(x, addr))
		}
		must(t, netlink.LinkSetUp(x))
	})
	go func() {
		for range h.link.Events() {
		}
	}()
	return h
}

// average is how long the packets are that the kernel was given and gave, bytes.
func (h *host) average(t *testing.T) (in, out uint64) {
	t.Helper()
	h.inside(t, func() {
		l, err := netlink.LinkByName("link")
		must(t, err)
		s := l.Attrs().Statistics
		in, out = s.RxBytes/s.RxPackets, s.TxBytes/s.TxPackets
	})
	return in, out
}

// carry moves packets from one link to the other, as the library does, until one is closed.
func carry(from, to *host) error {
	const offset = 16
	bufs, sizes := make([][]byte, from.link.BatchSize()), make([]int, from.link.BatchSize())
	for {
		for i := range bufs {
			bufs[i] = make([]byte, 1<<11)
		}
		n, err := from.link.Read(bufs, sizes, offset)
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		var packets [][]byte
		for i, size := range sizes[:n] {
			if size > 1440 {
				return fmt.Errorf("a packet has %d bytes", size)
			}
			if size > 0 {
				packets = append(packets, bufs[i][:offset+size])
			}
		}
		if _, err := to.link.Write(packets, offset); err != nil {
			if errors.Is(err, os.ErrClosed) {
				return nil
			}
			return err
		}
	}
}

func TestWhatIsSentThroughTwoLinksArrives(t *testing.T) {
	for _, more := range []int{offloadTunnel, 0} {
		a, b := newHost(t, 1, more), newHost(t, 2, more)
		if more != 0 && !a.link.joins {
			t.Log("this kernel hands over no long segments in VXLAN frames")
		}
		ended := make(chan error, 2)
		go func() { ended <- carry(a, b) }()
		go func() { ended <- carry(b, a) }()
		for _, addr := range []string{"10.9.0.2", "fd00::2"} {
			t.Run(fmt.Sprintf("%s long=%t", addr, more != 0), func(t *testing.T) { exchange(t, a, b, addr) })
		}
		for _, h := range []*host{a, b} {
			if in, out := h.average(t); h.link.joins && (in < 1500 || out < 1500) {
				t.Errorf("the kernel gave %d bytes a packet and was given %d: they are not long ones", out, in)
			}
		}
		must(t, a.link.Close())
		must(t, b.link.Close())
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
}

// exchange sends some megabytes to the other host, which sends them back.
func exchange(t *testing.T, a, b *host, addr string) {
	var l net.Listener
	b.inside(t, func() {
		var err error
		l, err = net.Listen("tcp", net.JoinHostPort(addr, "0"))
		must(t, err)
	})
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	var c net.Conn
	a.inside(t, func() {
		var err error
		c, err = net.DialTimeout("tcp", l.Addr().String(), lab.Patience)
		must(t, err)
	})
	defer c.Close()
	data := make([]byte, 4<<20)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(data)
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(c, bytes.NewReader(data))
		sent <- errors.Join(err, c.(*net.TCPConn).CloseWrite())
	}()
	table, got := crc64.MakeTable(crc64.ECMA), crc64.New(crc64.MakeTable(crc64.ECMA))
	n, err := io.Copy(got, c)
	must(t, err)
	must(t, <-sent)
	if n != int64(len(data)) || got.Sum64() != crc64.Checksum(data, table) {
		t.Errorf("of %d bytes %d came back, and not the same", len(data), n)
	}
}

func TestALinkTellsItsEventsAndThatItIsGone(t *testing.T) {
	h := newHost(t, 1, offloadTunnel) // which reads the events
	var again *Device
	h.inside(t, func() {
		var err error
		if _, err = Open("link", 1400); err == nil {
			t.Error("one link was made twice")
		}
		again, err = Open("another", 1400)
		must(t, err)
		l, err := netlink.LinkByName("another")
		must(t, err)
		must(t, netlink.LinkSetUp(l))
		if e := <-again.Events(); e != tun.EventUp {
			t.Errorf("event %d, not up", e)
		}
		must(t, netlink.LinkSetMTU(l, 1300))
		if e := <-again.Events(); e != tun.EventMTUUpdate {
			t.Errorf("event %d, not another MTU", e)
		}
		if mtu, err := again.MTU(); err != nil || mtu != 1300 {
			t.Errorf("MTU %d, %v", mtu, err)
		}
		must(t, netlink.LinkSetDown(l))
		if e := <-again.Events(); e != tun.EventDown {
			t.Errorf("event %d, not down", e)
		}
		must(t, netlink.LinkDel(l))
	})
	<-again.Removed()
	if _, err := again.Read([][]byte{make([]byte, 2000)}, []int{0}, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a link that is gone is read: %v", err)
	}
	must(t, again.Close())
	if _, open := <-again.Events(); open {
		t.Error("its events do not end")
	}
	must(t, h.link.Close())
}

// On a host where many containers start, the kernel may have more to tell of links than the socket holds.
func TestALinkIsFollowedOnWhenNewsOfOthersWereTooMany(t *testing.T) {
	h := newHost(t, 1, offloadTunnel)
	h.inside(t, func() {
		d, err := Open("busy", 1400)
		must(t, err)
		busy, err := netlink.LinkByName("busy")
		must(t, err)
		must(t, netlink.LinkSetMTU(busy, 1300)) // an event that nobody takes yet
		if !lab.Happens(func() bool { return d.watch.mtu() == 1300 }) {
			t.Fatal("the first MTU is not noticed")
		}
		for i := range 300 {
			must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprintf("other%d", i)}}))
		}
		must(t, netlink.LinkSetMTU(busy, 1200))
		must(t, netlink.LinkSetUp(busy))
		up := false
		for e := range d.Events() {
			if up = up || e == tun.EventUp; up && d.watch.mtu() == 1200 {
				break
			}
		}
		if mtu := d.watch.mtu(); mtu != 1200 || !up {
			t.Fatalf("it is taken for one of %d bytes, up %t", mtu, up)
		}
		must(t, netlink.LinkDel(busy))
		for gone := false; !gone; { // it goes down first, which is news as well
			select {
			case <-d.Events():
			case <-d.Removed():
				gone = true
			}
		}
		must(t, d.Close())
	})
	must(t, h.link.Close())
}
