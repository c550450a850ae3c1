package overlay

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const testVNI = FirstVNI + 7

// world is a few hosts as network namespaces on one switch, with an Overlay each, gone when the test ends.
type world struct {
	t     testing.TB
	sw    netns.NsHandle // the switch: br0 with a port p<i> for each host
	hosts []*host
}

type host struct {
	w    *world
	name string
	ns   netns.NsHandle
	addr netip.Addr
	o    *Overlay
}

// container is a namespace with one leg on a host's bridge: all of a container that the overlay sees.
type container struct {
	ns  netns.NsHandle
	ip  netip.Addr
	ip6 netip.Addr // zero: no IPv6
	mac MAC
	at  *host
	leg string // name of the veth on the host
}

// newWorld needs root; without it the test is skipped.
func newWorld(t testing.TB, n int) *world {
	t.Helper()
	if unix.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	w := &world{t: t}
	sw := w.namespace()
	w.sw = sw
	inside(t, sw, func() {
		must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}))
		up(t, "br0")
	})
	for i := range n {
		h := &host{w: w, name: fmt.Sprintf("host%d", i+1), ns: w.namespace(), addr: netip.AddrFrom4([4]byte{10, 99, 0, byte(11 + i)})}
		inside(t, sw, func() {
			port := fmt.Sprintf("p%d", i)
			must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: port}, PeerName: "eth0", PeerNamespace: netlink.NsFd(h.ns)}))
			br, err := netlink.LinkByName("br0")
			must(t, err)
			l, err := netlink.LinkByName(port)
			must(t, err)
			must(t, netlink.LinkSetMaster(l, br))
			up(t, port)
		})
		inside(t, h.ns, func() {
			up(t, "lo")
			up(t, "eth0")
			address(t, "eth0", netip.PrefixFrom(h.addr, 24))
			var err error
			h.o, err = Open(Config{Log: slog.New(slog.DiscardHandler)})
			must(t, err)
			t.Cleanup(h.o.Close)
		})
		w.hosts = append(w.hosts, h)
	}
	return w
}

func (w *world) namespace() netns.NsHandle {
	w.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	must(w.t, err)
	defer old.Close()
	ns, err := netns.New()
	must(w.t, err)
	must(w.t, netns.Set(old))
	w.t.Cleanup(func() { ns.Close() })
	return ns
}

// inside runs f in a network namespace, on a thread of its own.
func inside(t testing.TB, ns netns.NsHandle, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	must(t, err)
	defer old.Close()
	must(t, netns.Set(ns))
	defer func() { must(t, netns.Set(old)) }()
	f()
}

// state is what a host shall have when these containers are all there is.
func (w *world) state(h *host, vni uint32, all ...*container) State {
	n := Network{VNI: vni, MTU: 1450}
	for _, p := range w.hosts {
		if p != h {
			n.Peers = append(n.Peers, p.addr)
		}
	}
	for _, c := range all {
		if c.at != h {
			n.Remote = append(n.Remote, c.endpoint())
		}
	}
	return State{Host: h.name, Underlay: Underlay{Addr: h.addr, Device: "eth0", MTU: 1500}, Networks: []Network{n}}
}

func (c *container) endpoint() Endpoint {
	return Endpoint{IP: c.ip, IP6: c.ip6, MAC: c.mac, VTEP: c.at.addr}
}

func (h *host) reconcile(s State) Report {
	h.w.t.Helper()
	var r Report
	inside(h.w.t, h.ns, func() {
		var err error
		r, err = h.o.Reconcile(h.w.t.Context(), s)
		must(h.w.t, err)
	})
	for vni, err := range r.Failed {
		h.w.t.Fatalf("%s: network %d: %v", h.name, vni, err)
	}
	return r
}

// run attaches a new container to the host's bridge of testVNI.
func (h *host) run(n byte) *container {
	h.w.t.Helper()
	c := &container{ns: h.w.namespace(), ip: netip.AddrFrom4([4]byte{10, 128, 0, n}), mac: MAC{2, 0x42, 10, 128, 0, n}}
	inside(h.w.t, c.ns, func() {
		up(h.w.t, "lo")
		// No router solicitations among the frames that the tests count.
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	})
	h.attach(c)
	return c
}

// attach gives the container its leg on this host; a leg elsewhere is removed first.
func (h *host) attach(c *container) {
	t := h.w.t
	t.Helper()
	if c.at != nil {
		inside(t, c.at.ns, func() {
			l, err := netlink.LinkByName(c.leg)
			must(t, err)
			must(t, netlink.LinkDel(l))
		})
	}
	c.at, c.leg = h, fmt.Sprintf("leg%d", c.ip.As4()[3])
	inside(t, h.ns, func() {
		must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: c.leg, MTU: 1450}, PeerName: "eth0",
			PeerNamespace: netlink.NsFd(c.ns), PeerHardwareAddr: net.HardwareAddr(c.mac[:])}))
		l, err := netlink.LinkByName(c.leg)
		must(t, err)
		br, err := netlink.LinkByName(BridgeName(testVNI))
		must(t, err)
		must(t, netlink.LinkSetMaster(l, br))
		up(t, c.leg)
	})
	inside(t, c.ns, func() {
		l, err := netlink.LinkByName("eth0")
		must(t, err)
		must(t, netlink.LinkSetMTU(l, 1450))
		up(t, "eth0")
		address(t, "eth0", netip.PrefixFrom(c.ip, 16))
	})
}

// listen opens a UDP socket in the container that answers everything.
func (c *container) listen(t *testing.T) {
	t.Helper()
	inside(t, c.ns, func() {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: 7})
		must(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			buf := make([]byte, 2000)
			for {
				n, from, err := conn.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				_, _ = conn.WriteToUDPAddrPort(buf[:n], from)
			}
		}()
		t.Cleanup(func() { conn.Close(); <-done })
	})
}

// reach sends to the echo server of another container until an answer comes, and returns how long that took; it
// fails after the limit.
func (c *container) reach(t testing.TB, ip netip.Addr, limit time.Duration) time.Duration {
	t.Helper()
	var conn *net.UDPConn
	inside(t, c.ns, func() {
		var err error
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 7)))
		must(t, err)
	})
	defer conn.Close()
	begin := time.Now()
	buf := make([]byte, 64)
	for time.Since(begin) < limit {
		_, _ = conn.Write([]byte("hello"))
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if n, err := conn.Read(buf); err == nil && n == 5 {
			return time.Since(begin)
		}
	}
	t.Fatalf("%s does not reach %s within %s", c.ip, ip, limit)
	return 0
}

// received counts the frames that came out of the tunnel on a host.
func (h *host) received(t *testing.T) uint64 {
	t.Helper()
	var n uint64
	inside(t, h.ns, func() {
		l, err := netlink.LinkByName(TunnelName(testVNI))
		must(t, err)
		n = l.Attrs().Statistics.RxPackets
	})
	return n
}

func up(t testing.TB, name string) {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	must(t, netlink.LinkSetUp(l))
}

func address(t testing.TB, link string, p netip.Prefix) {
	t.Helper()
	l, err := netlink.LinkByName(link)
	must(t, err)
	flags := 0
	if p.Addr().Is6() {
		flags = unix.IFA_F_NODAD
	}
	must(t, netlink.AddrReplace(l, &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}, Flags: flags}))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
