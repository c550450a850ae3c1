package overlay

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
)

// world6 is a jumbo world whose hosts have IPv6 addresses only. On the wire a tunnel's packet is 20 bytes more there.
func world6(t *testing.T, n int) *world {
	t.Helper()
	w := newWorld(t, n)
	w.jumbo(t, 9000)
	for i, h := range w.hosts {
		four := h.addr
		h.addr = netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x99, 15: byte(11 + i)})
		inside(t, h.ns, func() {
			eth0, err := netlink.LinkByName("eth0")
			must(t, err)
			must(t, netlink.AddrDel(eth0, &netlink.Addr{IPNet: &net.IPNet{IP: four.AsSlice(), Mask: net.CIDRMask(24, 32)}}))
			address(t, "eth0", netip.PrefixFrom(h.addr, 64))
		})
	}
	return w
}

func TestTunnelsOverIPv6(t *testing.T) {
	w := world6(t, 3)
	for _, h := range w.hosts {
		h.reconcile(w.jumboState(h, 8930))
	}
	a, b := w.hosts[0].run(10), w.hosts[1].run(20)
	for _, h := range w.hosts {
		h.reconcile(w.jumboState(h, 8930, a, b))
		if r := h.reconcile(w.jumboState(h, 8930, a, b)); r.Changed() {
			t.Errorf("%s: a second run found work: %+v", h.name, r)
		}
	}
	b.listen(t)
	a.reach(t, b.ip, soon)

	inside(t, w.hosts[0].ns, func() {
		tooMuch, err := w.hosts[0].o.Reconcile(t.Context(), w.jumboState(w.hosts[0], 8931, a, b))
		must(t, err)
		if tooMuch.Failed[testVNI] == nil {
			t.Error("an MTU that leaves 69 bytes for the tunnel is taken")
		}
	})
}

func TestWhereTunnelsOverIPv6Begin(t *testing.T) {
	w := world6(t, 2)
	h, peer := w.hosts[0], w.hosts[1].addr
	inside(t, h.ns, func() {
		for name, c := range map[string]struct {
			hint  netip.Addr
			peers []netip.Addr
		}{
			"own address":            {h.addr, nil},
			"unknown, but the peers": {netip.Addr{}, []netip.Addr{peer}},
			"one that nobody has":    {netip.MustParseAddr("2001:db8::7"), []netip.Addr{netip.MustParseAddr("10.99.0.9"), peer}},
		} {
			u, err := h.o.FindUnderlay(c.hint, c.peers)
			must(t, err)
			if want := (Underlay{Addr: h.addr, Device: "eth0", MTU: 9000}); u != want {
				t.Errorf("%s: underlay %+v, want %+v", name, u, want)
			}
		}
		if u, err := h.o.FindUnderlay(netip.MustParseAddr("10.0.0.1"), []netip.Addr{peer}); err == nil {
			t.Errorf("a host without IPv4 has the IPv4 underlay %+v", u)
		}
		must(t, os.WriteFile("/proc/sys/net/ipv6/conf/eth0/mtu", []byte("4000"), 0)) // as a router announces it
		if u, err := h.o.FindUnderlay(h.addr, nil); err != nil || u.MTU != 4000 {
			t.Errorf("underlay %+v, %v; want an MTU of 4000", u, err)
		}
		if mtu, err := h.o.RouteMTU(peer); err != nil || mtu != 4000 {
			t.Errorf("the route to %s carries %d, %v; want 4000", peer, mtu, err)
		}
	})
}

func TestPathsOverIPv6(t *testing.T) {
	w := world6(t, 2)
	for _, h := range w.hosts {
		h.reconcile(w.jumboState(h, 8930))
	}
	a, b := w.hosts[0].run(10), w.hosts[1].run(20)
	for _, c := range []*container{a, b} {
		mtuOf(t, c.ns, "eth0", 8930)
		mtuOf(t, c.at.ns, c.leg, 8930)
	}
	for _, h := range w.hosts {
		h.reconcile(w.jumboState(h, 8930, a, b))
	}
	if got := w.probe(t, w.hosts[0], w.hosts[1], 0); got != (Answer{Heard: true, MTU: 9000}) {
		t.Errorf("a jumbo path: %+v", got)
	}
	mtuOf(t, w.sw, "p1", 1500) // it tells nobody
	if got := w.probe(t, w.hosts[0], w.hosts[1], 0); got != (Answer{Heard: true, MTU: 1500}) {
		t.Errorf("a path of 1500: %+v", got)
	}
	for i, h := range w.hosts {
		inside(t, h.ns, func() { must(t, TellPathMTU(h.addr, w.hosts[1-i].addr, 1500)) })
	}
	b.listen(t)
	if got := a.learns(t, b); got != 1500-Overhead-20 {
		t.Errorf("the container believes in %d bytes, want %d", got, 1500-Overhead-20)
	}
	a.reach(t, b.ip, soon)
	learned := func() (mtu int) {
		inside(t, w.hosts[0].ns, func() {
			routes, err := netlink.RouteGet(w.hosts[1].addr.AsSlice())
			must(t, err)
			mtu = routes[0].MTU
		})
		return mtu
	}
	if got := learned(); got != 1500 {
		t.Errorf("the kernel has learned %d, want 1500", got)
	}
	inside(t, w.hosts[0].ns, func() { must(t, w.hosts[0].o.ForgetPathMTUs([]netip.Addr{w.hosts[1].addr, w.hosts[0].addr})) })
	if got := learned(); got != 0 {
		t.Errorf("the kernel still believes in %d", got)
	}
}
