package overlay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// probed is a world whose hosts have gateways and know each other's bridges.
func probed(t *testing.T, n int) *world {
	t.Helper()
	w := newWorld(t, n)
	w.jumbo(t, 9000)
	for _, h := range w.hosts {
		h.reconcile(w.jumboState(h, 8950))
	}
	return w
}

// jumbo gives all links of the underlay an MTU.
func (w *world) jumbo(t *testing.T, mtu int) {
	t.Helper()
	for i, h := range w.hosts {
		mtuOf(t, h.ns, "eth0", mtu)
		mtuOf(t, w.sw, fmt.Sprintf("p%d", i), mtu)
	}
	mtuOf(t, w.sw, "br0", mtu)
}

func mtuOf(t *testing.T, ns netns.NsHandle, name string, mtu int) {
	t.Helper()
	inside(t, ns, func() {
		l, err := netlink.LinkByName(name)
		must(t, err)
		must(t, netlink.LinkSetMTU(l, mtu))
	})
}

func (w *world) gateway(h *host) netip.Addr {
	for i, o := range w.hosts {
		if o == h {
			return netip.AddrFrom4([4]byte{10, 128, 200, byte(1 + i)})
		}
	}
	return netip.Addr{}
}

// jumboState is the state of a host of a network with that MTU.
func (w *world) jumboState(h *host, mtu int, all ...*container) State {
	s := w.state(h, testVNI, all...)
	n := &s.Networks[0]
	n.MTU, s.Underlay.MTU = mtu, 9000
	n.Gateway = netip.PrefixFrom(w.gateway(h), 16)
	for _, o := range w.hosts {
		if o != h {
			n.Remote = append(n.Remote, Endpoint{MAC: BridgeMAC(o.name, testVNI), VTEP: o.addr})
		}
	}
	return s
}

// probe asks from one host what the path to another carries.
func (w *world) probe(t *testing.T, from, to *host, last int) Answer {
	t.Helper()
	var answers []Answer
	inside(t, from.ns, func() {
		var err error
		answers, err = Probe(t.Context(), []Target{{VNI: testVNI, VTEP: to.addr, MAC: BridgeMAC(to.name, testVNI), IP: w.gateway(to),
			From: netip.MustParseAddr("10.128.200.100"), Own: BridgeMAC(from.name, testVNI), Full: 9000, Last: last}})
		must(t, err)
	})
	return answers[0]
}

func TestProbesFindWhatAPathCarries(t *testing.T) {
	w := probed(t, 2)
	a, b := w.hosts[0], w.hosts[1]
	if got := w.probe(t, a, b, 0); got != (Answer{Heard: true, MTU: 9000}) {
		t.Errorf("a jumbo path: %+v", got)
	}
	// A switch on the way carries less and tells nobody.
	for _, mtu := range []int{1500, 1495} {
		mtuOf(t, w.sw, "p1", mtu)
		if got := w.probe(t, a, b, 0); got != (Answer{Heard: true, MTU: mtu}) {
			t.Errorf("a path of %d: %+v", mtu, got)
		}
	}
	if got := w.probe(t, a, b, 1495); got != (Answer{Heard: true, MTU: 1495}) {
		t.Errorf("the same again: %+v", got)
	}
	mtuOf(t, w.sw, "p1", 9000)
	if got := w.probe(t, a, b, 1495); got != (Answer{Heard: true, MTU: 9000}) {
		t.Errorf("a path that became better: %+v", got)
	}
	inside(t, w.sw, func() {
		l, err := netlink.LinkByName("p1")
		must(t, err)
		must(t, netlink.LinkSetDown(l))
	})
	if got := w.probe(t, a, b, 9000); got != (Answer{}) {
		t.Errorf("a path that is cut: %+v", got)
	}
}

func TestWhatTheRouteSaysLess(t *testing.T) {
	w := probed(t, 2)
	inside(t, w.hosts[0].ns, func() {
		o, to := w.hosts[0].o, w.hosts[1].addr
		if mtu, err := o.RouteMTU(to); err != nil || mtu != 9000 {
			t.Errorf("by the device: %d, %v", mtu, err)
		}
		must(t, TellPathMTU(w.hosts[0].addr, to, 1400))
		if mtu, err := o.RouteMTU(to); err != nil || mtu != 9000 {
			t.Errorf("what was learned counts as the route's own: %d, %v", mtu, err)
		}
		eth0, err := netlink.LinkByName("eth0")
		must(t, err)
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: &net.IPNet{IP: to.AsSlice(), Mask: net.CIDRMask(32, 32)}, MTU: 4000}))
		if mtu, err := o.RouteMTU(to); err != nil || mtu != 4000 {
			t.Errorf("by the route: %d, %v", mtu, err)
		}
	})
}

func TestABridgeThatIsNotThereKeepsNoOtherFromBeingAsked(t *testing.T) {
	w := probed(t, 2)
	a, b := w.hosts[0], w.hosts[1]
	stands := Target{VNI: testVNI, VTEP: b.addr, MAC: BridgeMAC(b.name, testVNI), IP: w.gateway(b),
		From: netip.MustParseAddr("10.128.200.100"), Own: BridgeMAC(a.name, testVNI), Full: 9000}
	removed := stands
	removed.VNI++
	inside(t, a.ns, func() {
		answers, err := Probe(t.Context(), []Target{removed, stands})
		must(t, err)
		if want := []Answer{{Gone: true}, {Heard: true, MTU: 9000}}; !slices.Equal(answers, want) {
			t.Errorf("%+v, want %+v", answers, want)
		}
	})
}

func TestContainersMadeForMoreLearnWhatTheTunnelCarries(t *testing.T) {
	w := probed(t, 2)
	a, b := w.hosts[0].run(10), w.hosts[1].run(20)
	for _, c := range []*container{a, b} {
		mtuOf(t, c.ns, "eth0", 8950)
		mtuOf(t, c.at.ns, c.leg, 8950)
	}
	for _, h := range w.hosts {
		h.reconcile(w.jumboState(h, 8950, a, b))
	}
	mtuOf(t, w.sw, "p1", 1500)
	for i, h := range w.hosts {
		inside(t, h.ns, func() { must(t, TellPathMTU(h.addr, w.hosts[1-i].addr, 1500)) })
	}
	b.listen(t)
	mtu := a.learns(t, b)
	if mtu != 1500-Overhead {
		t.Errorf("the container believes in %d bytes, want %d", mtu, 1500-Overhead)
	}
	a.reach(t, b.ip, soon)
}

func TestLinksKeepToTheContainersThatWereMadeForMore(t *testing.T) {
	w := probed(t, 1)
	h := w.hosts[0]
	c := h.run(10)
	mtuOf(t, h.ns, c.leg, 8950)
	h.reconcile(w.jumboState(h, 1450))
	if d := h.dump(t)[0]; d.Tunnel.MTU != 8950 || d.Bridge.MTU != 8950 {
		t.Errorf("with a container of 8950: tunnel %d, bridge %d", d.Tunnel.MTU, d.Bridge.MTU)
	}
	mtuOf(t, h.ns, c.leg, 1450)
	h.reconcile(w.jumboState(h, 1450))
	if d := h.dump(t)[0]; d.Tunnel.MTU != 1450 || d.Bridge.MTU != 1450 {
		t.Errorf("with a container of 1450: tunnel %d, bridge %d", d.Tunnel.MTU, d.Bridge.MTU)
	}
}

// learns sends too much to another container until the kernel tells what goes through, bytes.
func (c *container) learns(t *testing.T, to *container) int {
	t.Helper()
	var conn *net.UDPConn
	inside(t, c.ns, func() {
		var err error
		conn, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.ip, 7)))
		must(t, err)
	})
	defer conn.Close()
	raw, err := conn.SyscallConn()
	must(t, err)
	option := func(get func(fd int) error) {
		t.Helper()
		must(t, raw.Control(func(fd uintptr) { err = get(int(fd)) }))
		must(t, err)
	}
	option(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	})
	big := make([]byte, 8000)
	for begin := time.Now(); !errors.Is(err, unix.EMSGSIZE); _, err = conn.Write(big) {
		if time.Since(begin) > soon {
			t.Fatal("nobody tells the container that the path carries less")
		}
	}
	var mtu int
	option(func(fd int) (err error) {
		mtu, err = unix.GetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU)
		return err
	})
	return mtu
}
