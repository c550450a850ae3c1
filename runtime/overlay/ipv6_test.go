package overlay

import (
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
)

// withIPv6 gives a container an IPv6 address and nothing else of IPv6: no link-local address that asks around.
func (c *container) withIPv6(t *testing.T, ip string) {
	t.Helper()
	c.ip6 = netip.MustParseAddr(ip)
	inside(t, c.ns, func() {
		for _, s := range []struct{ name, value string }{{"addr_gen_mode", "1"}, {"disable_ipv6", "0"}} {
			must(t, os.WriteFile("/proc/sys/net/ipv6/conf/eth0/"+s.name, []byte(s.value), 0))
		}
		address(t, "eth0", netip.PrefixFrom(c.ip6, 64))
	})
}

func TestIPv6NeighboursAreAnsweredOnTheAskersHost(t *testing.T) {
	w := newWorld(t, 3)
	for _, h := range w.hosts {
		h.reconcile(w.state(h, testVNI))
	}
	a, b := w.hosts[0].run(10), w.hosts[1].run(20)
	a.withIPv6(t, "fd01::10")
	b.withIPv6(t, "fd01::20")
	for _, h := range w.hosts {
		if r := h.reconcile(w.state(h, testVNI, a, b)); r.Written == 0 {
			t.Fatalf("%s: nothing written", h.name)
		}
		if r := h.reconcile(w.state(h, testVNI, a, b)); r.Changed() {
			t.Errorf("%s: a second run found work: %+v", h.name, r)
		}
	}
	b.listen(t)
	a.reach(t, b.ip6, soon)
	const rounds = 60
	before := w.hosts[2].received(t)
	for range rounds {
		for _, c := range []*container{a, b} {
			inside(t, c.ns, func() { // each round asks for the neighbour anew
				eth0, err := netlink.LinkByName("eth0")
				must(t, err)
				neighbours, err := netlink.NeighList(eth0.Attrs().Index, netlink.FAMILY_V6)
				must(t, err)
				for _, n := range neighbours {
					must(t, netlink.NeighDel(&n))
				}
			})
		}
		a.reach(t, b.ip6, soon)
	}
	// A few frames are the containers' own announcements of the multicast groups that they are in.
	if got := w.hosts[2].received(t) - before; got > rounds/3 {
		t.Errorf("%d rounds of neighbour discovery between host1 and host2 sent %d frames to host3", rounds, got)
	}

	must(t, w.hosts[0].o.Apply(t.Context(), Change{VNI: testVNI, Drop: []Endpoint{b.endpoint()}}))
	if d := w.hosts[0].dump(t)[0]; len(d.Neighbours) != 0 || len(d.Behind) != 0 {
		t.Errorf("left after the endpoint went: %v, %v", d.Neighbours, d.Behind)
	}
}

func TestABridgeMadeAnewGetsItsGatewaysBack(t *testing.T) {
	w := newWorld(t, 1)
	h := w.hosts[0]
	inside(t, h.ns, func() {
		must(t, os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0))
	})
	s := w.state(h, testVNI)
	s.Networks[0].Gateway, s.Networks[0].Gateway6 = netip.MustParsePrefix("10.128.0.1/16"), netip.MustParsePrefix("fd01::1/64")
	h.reconcile(s)
	d := h.dump(t)[0]
	for _, ip := range []string{"10.128.0.1", "fd01::1"} {
		if !d.Addresses[netip.MustParseAddr(ip)] {
			t.Errorf("the bridge lacks %s: %v", ip, d.Addresses)
		}
	}
	if r := h.reconcile(s); r.Changed() {
		t.Errorf("a second run found work: %+v", r)
	}
}
