package overlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// soon is long for what happens at once, on a busy machine too, and short for what happens when kernels forget:
// neighbours after half a minute, forwarding entries after five.
const soon = 10 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUnicastGoesToOneHostOnly(t *testing.T) {
	w := newWorld(t, 3)
	for _, h := range w.hosts {
		h.reconcile(w.state(h, testVNI))
	}
	a, b := w.hosts[0].run(10), w.hosts[1].run(20)
	for _, h := range w.hosts {
		h.reconcile(w.state(h, testVNI, a, b))
	}
	b.listen(t)
	a.reach(t, b.ip, soon)
	before := w.hosts[2].received(t)
	for range 200 {
		a.reach(t, b.ip, soon)
	}
	if got := w.hosts[2].received(t) - before; got != 0 {
		t.Errorf("200 round trips between host1 and host2 sent %d frames to host3, want none", got)
	}
	if got := w.hosts[1].received(t); got < 200 {
		t.Errorf("host2 received %d frames, want at least 200: the test measures nothing", got)
	}
}

func TestMovedContainerIsReachedAgainAtOnce(t *testing.T) {
	w := newWorld(t, 3)
	for _, h := range w.hosts {
		h.reconcile(w.state(h, testVNI))
	}
	a, b, c := w.hosts[0].run(10), w.hosts[1].run(20), w.hosts[2].run(30)
	for _, h := range w.hosts {
		h.reconcile(w.state(h, testVNI, a, b, c))
	}
	b.listen(t)
	for _, peer := range []*container{a, c} {
		peer.reach(t, b.ip, soon)
	}

	// b moves from host2 to host3: drop where it becomes local, put elsewhere, then it starts.
	moved := b.endpoint()
	moved.VTEP = w.hosts[2].addr
	must(t, w.hosts[2].o.Apply(t.Context(), Change{VNI: testVNI, Drop: []Endpoint{b.endpoint()}}))
	for _, h := range w.hosts[:2] {
		must(t, h.o.Apply(t.Context(), Change{VNI: testVNI, Put: []Endpoint{moved}}))
	}
	w.hosts[2].attach(b)
	for name, peer := range map[string]*container{"from a third host": a, "on its new host": c} {
		t.Logf("%s it was reached after %s", name, peer.reach(t, b.ip, soon))
	}
	for _, h := range w.hosts {
		if r := h.reconcile(w.state(h, testVNI, a, b, c)); r.Changed() {
			t.Errorf("%s: after the changes Reconcile still found work: %+v", h.name, r)
		}
	}
}

func TestReconcileMendsWhatOthersBroke(t *testing.T) {
	tests := map[string]func(t *testing.T, h *host, bridge, tunnel netlink.Link, remote *container){
		"a tunnel entry is missing": func(t *testing.T, h *host, _, tunnel netlink.Link, c *container) {
			must(t, h.o.conn.one(dropTunnelEntry(port{index: tunnel.Attrs().Index}, c.mac, netip.Addr{})))
		},
		"a tunnel entry leads to the wrong host": func(t *testing.T, h *host, _, tunnel netlink.Link, c *container) {
			must(t, h.o.conn.one(tunnelEntry(port{index: tunnel.Attrs().Index}, c.mac, netip.MustParseAddr("10.99.0.77"))))
		},
		"a bridge entry is missing": func(t *testing.T, h *host, _, tunnel netlink.Link, c *container) {
			must(t, h.o.conn.one(dropBridgeEntry(port{index: tunnel.Attrs().Index}, c.mac)))
		},
		"a neighbour has another MAC": func(t *testing.T, h *host, bridge, _ netlink.Link, c *container) {
			must(t, h.o.conn.one(neighEntry(bridge.Attrs().Index, c.ip, MAC{2, 1, 1, 1, 1, 1})))
		},
		"foreign entries": func(t *testing.T, h *host, bridge, tunnel netlink.Link, _ *container) {
			e := Endpoint{IP: netip.MustParseAddr("10.128.9.9"), MAC: MAC{2, 0x42, 9, 9, 9, 9}, VTEP: netip.MustParseAddr("10.99.0.99")}
			for _, err := range h.o.conn.batch(put(ifaces{bridge.Attrs().Index, port{index: tunnel.Attrs().Index}}, e)) {
				must(t, err)
			}
		},
		"a peer too many": func(t *testing.T, h *host, _, tunnel netlink.Link, _ *container) {
			must(t, h.o.conn.one(tunnelEntry(port{index: tunnel.Attrs().Index}, MAC{}, netip.MustParseAddr("10.99.0.99"))))
		},
		"the tunnel is gone": func(t *testing.T, _ *host, _, tunnel netlink.Link, _ *container) {
			must(t, netlink.LinkDel(tunnel))
		},
		"bridge and tunnel are gone": func(t *testing.T, _ *host, bridge, tunnel netlink.Link, _ *container) {
			must(t, netlink.LinkDel(tunnel))
			must(t, netlink.LinkDel(bridge))
		},
		"the engine made the bridge after a reboot": func(t *testing.T, _ *host, bridge, tunnel netlink.Link, _ *container) {
			must(t, netlink.LinkDel(tunnel))
			must(t, netlink.LinkDel(bridge))
			must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: BridgeName(testVNI)}}))
		},
		"the tunnel left the bridge": func(t *testing.T, _ *host, _, tunnel netlink.Link, _ *container) {
			must(t, netlink.LinkSetNoMaster(tunnel))
		},
		"links are down": func(t *testing.T, _ *host, bridge, tunnel netlink.Link, _ *container) {
			must(t, netlink.LinkSetDown(bridge))
			must(t, netlink.LinkSetDown(tunnel))
		},
		"the port learns": func(t *testing.T, _ *host, _, tunnel netlink.Link, _ *container) {
			must(t, netlink.LinkSetLearning(tunnel, true))
		},
		"a wrong MTU": func(t *testing.T, _ *host, bridge, tunnel netlink.Link, _ *container) {
			must(t, netlink.LinkSetMTU(bridge, 1300))
			must(t, netlink.LinkSetMTU(tunnel, 1300))
		},
		"fe80::1 on the bridge": func(t *testing.T, _ *host, bridge, _ netlink.Link, _ *container) {
			addr, err := netlink.ParseAddr("fe80::1/64")
			must(t, err)
			must(t, netlink.AddrAdd(bridge, addr))
		},
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			h := w.hosts[0]
			remote := &container{ip: netip.MustParseAddr("10.128.0.20"), mac: MAC{2, 0x42, 10, 128, 0, 20}, at: w.hosts[1]}
			s := w.state(h, testVNI, remote)
			s.Networks[0].Gateway = netip.MustParsePrefix("10.128.0.1/16")
			h.reconcile(s)
			want := h.dump(t)
			inside(t, h.ns, func() {
				bridge, err := netlink.LinkByName(BridgeName(testVNI))
				must(t, err)
				tunnel, err := netlink.LinkByName(TunnelName(testVNI))
				must(t, err)
				damage(t, h, bridge, tunnel, remote)
			})
			if cmp.Equal(want, h.dump(t), dumpOptions) {
				t.Fatal("the damage does not show in the dump")
			}
			h.reconcile(s)
			if diff := cmp.Diff(want, h.dump(t), dumpOptions); diff != "" {
				t.Errorf("not mended (-want +got):\n%s", diff)
			}
			if r := h.reconcile(s); r.Changed() {
				t.Errorf("a second run found work: %+v", r)
			}
		})
	}
}

// dumpOptions leave out what differs between two links of the same kind.
var dumpOptions = cmp.Options{
	cmpopts.IgnoreFields(Link{}, "Index", "Master"),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

func (h *host) dump(t *testing.T) []Dump {
	t.Helper()
	d, err := h.o.Dump(t.Context())
	must(t, err)
	return d
}

func TestLinksAreAsTheRecipeSays(t *testing.T) {
	w := newWorld(t, 2)
	h := w.hosts[0]
	s := w.state(h, testVNI)
	s.Networks[0].Filter = true
	h.reconcile(s)
	got := h.dump(t)[0]
	if got.Tunnel.Master != got.Bridge.Index || got.Tunnel.Lower == 0 {
		t.Errorf("tunnel: master %d, underlay device %d; want bridge %d and one", got.Tunnel.Master, got.Tunnel.Lower, got.Bridge.Index)
	}
	mac := func(role string) MAC { return linkMAC("host1", role, testVNI) }
	want := Dump{
		VNI: testVNI,
		Bridge: Link{Name: "bt1048583", Kind: "bridge", Group: Group, MAC: mac("bridge"), MTU: 1450, Up: true,
			HasFilter: true, Filter: true},
		Tunnel: Link{Name: "vx1048583", Kind: "vxlan", Group: Group, MAC: mac("tunnel"), MTU: 1450, Up: true,
			VNI: testVNI, Local: h.addr, Port: Port, Suppress: true},
		Routes:     map[MAC]Route{{}: {VTEPs: []netip.Addr{w.hosts[1].addr}, Permanent: true}},
		Behind:     map[MAC]uint16{},
		Neighbours: map[netip.Addr]MAC{},
		Addresses:  map[netip.Addr]bool{},
	}
	if diff := cmp.Diff(want, got, dumpOptions, cmpopts.IgnoreFields(Link{}, "Lower")); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

func TestNetworksNobodyWantsAreRemovedAndForeignLinksStay(t *testing.T) {
	w := newWorld(t, 2)
	h := w.hosts[0]
	s := w.state(h, testVNI)
	h.reconcile(s)
	inside(t, h.ns, func() {
		for _, name := range []string{"bt1048999", "btrfs0", "docker0"} {
			must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}))
		}
	})
	s.Networks[0].Leaving = true
	if r := h.reconcile(s); r.Changed() {
		t.Errorf("a leaving network was touched: %+v", r)
	}
	s.Networks = nil
	if r := h.reconcile(s); r.Links != 2 {
		t.Errorf("removed %d links, want 2", r.Links)
	}
	inside(t, h.ns, func() {
		links, err := netlink.LinkList()
		must(t, err)
		var names []string
		for _, l := range links {
			names = append(names, l.Attrs().Name)
		}
		if got := strings.Join(names, " "); got != "lo eth0 bt1048999 btrfs0 docker0" {
			t.Errorf("links left: %s", got)
		}
	})
}

func TestAStrangerInTheGroupOfTheDoomedSurvives(t *testing.T) {
	w := newWorld(t, 1)
	h := w.hosts[0]
	h.reconcile(w.state(h, testVNI))
	inside(t, h.ns, func() {
		must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br-own", Group: doomedGroup}}))
	})
	s := w.state(h, testVNI)
	s.Networks = nil
	h.reconcile(s)
	inside(t, h.ns, func() {
		links, err := netlink.LinkList()
		must(t, err)
		if len(links) != 3 || links[2].Attrs().Name != "br-own" {
			t.Errorf("links left: %v, want lo, eth0 and br-own", links)
		}
	})
}

func TestNoStaleEntryAfterChurn(t *testing.T) {
	w := newWorld(t, 3)
	h := w.hosts[0]
	h.reconcile(w.state(h, testVNI))
	live := map[int]Endpoint{}
	const rounds, alive = 10000, 300
	for n := range rounds {
		// A ring of addresses is used again and again, each time on another host.
		slot := n % alive
		e := Endpoint{IP: netip.AddrFrom4([4]byte{10, 128, byte(slot >> 8), byte(slot)}),
			MAC: MAC{2, 0x42, 10, 128, byte(slot >> 8), byte(slot)}, VTEP: w.hosts[1+n/alive%2].addr}
		c := Change{VNI: testVNI, Put: []Endpoint{e}}
		if n%7 == 0 {
			c = Change{VNI: testVNI, Drop: []Endpoint{e}}
			delete(live, slot)
		} else {
			live[slot] = e
		}
		must(t, h.o.Apply(t.Context(), c))
	}
	s := w.state(h, testVNI)
	for _, e := range live {
		s.Networks[0].Remote = append(s.Networks[0].Remote, e)
	}
	got := h.dump(t)[0]
	if len(got.Routes) != len(live)+1 || len(got.Behind) != len(live) || len(got.Neighbours) != len(live) {
		t.Errorf("the kernel has %d, %d and %d entries, want %d of each and one for broadcast",
			len(got.Routes), len(got.Behind), len(got.Neighbours), len(live))
	}
	if r := h.reconcile(s); r.Changed() {
		t.Errorf("after %d changes Reconcile found work: %+v", rounds, r)
	}
}

func TestTroubleWithOneNetworkLeavesTheOthersStanding(t *testing.T) {
	w := newWorld(t, 2)
	h := w.hosts[0]
	s := w.state(h, testVNI)
	big := s.Networks[0]
	big.VNI, big.MTU = testVNI+1, 9000
	taken := s.Networks[0]
	taken.VNI = testVNI + 2
	s.Networks = append(s.Networks, big, taken)
	inside(t, h.ns, func() {
		eth0, err := netlink.LinkByName("eth0")
		must(t, err)
		must(t, netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "swarm"}, VxlanId: testVNI + 2, Port: Port,
			SrcAddr: net.IP(h.addr.AsSlice()), VtepDevIndex: eth0.Attrs().Index}))
		r, err := h.o.Reconcile(t.Context(), s)
		must(t, err)
		if len(r.Failed) != 2 || !strings.Contains(fmt.Sprint(r.Failed[big.VNI]), "MTU of 9000 does not fit") ||
			!errors.Is(r.Failed[taken.VNI], unix.EEXIST) {
			t.Errorf("failed: %v", r.Failed)
		}
	})
	if !h.o.Stands(testVNI) || h.o.Stands(big.VNI) {
		t.Error("want network 1 standing and network 2 not")
	}
	err := h.o.Apply(t.Context(), Change{VNI: big.VNI})
	if !errors.Is(err, ErrNoNetwork) {
		t.Errorf("a change of a network that does not stand: %v, want ErrNoNetwork", err)
	}
}

func TestOtherBridgesKeepTheirFilterWhenOursGoesWithout(t *testing.T) {
	if _, err := os.Stat(netfilterSwitch); err != nil {
		t.Skip("no br_netfilter in this kernel")
	}
	w := newWorld(t, 1)
	h := w.hosts[0]
	filtered := func() (global string, docker0, own bool) {
		inside(t, h.ns, func() {
			b, err := os.ReadFile(netfilterSwitch)
			must(t, err)
			global = strings.TrimSpace(string(b))
			links, err := h.o.dumpLinks()
			must(t, err)
			for _, l := range links {
				switch l.Name {
				case "docker0":
					docker0 = l.Filter
				case BridgeName(testVNI):
					own = l.Filter
				}
			}
		})
		return global, docker0, own
	}
	inside(t, h.ns, func() {
		must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "docker0"}}))
		must(t, os.WriteFile(netfilterSwitch, []byte("0"), 0))
	})
	h.reconcile(w.state(h, testVNI))
	if global, docker0, _ := filtered(); global != "0" || docker0 {
		t.Errorf("the administrator had it off: now %s, docker0 %t; want both untouched", global, docker0)
	}
	inside(t, h.ns, func() { must(t, os.WriteFile(netfilterSwitch, []byte("1"), 0)) })
	h.reconcile(w.state(h, testVNI))
	if global, docker0, own := filtered(); global != "0" || !docker0 || own {
		t.Errorf("global %s, docker0 %t, ours %t; want 0, true, false", global, docker0, own)
	}
	inside(t, h.ns, func() {
		must(t, os.WriteFile("/proc/sys/net/ipv4/conf/"+BridgeName(testVNI)+"/route_localnet", []byte("1"), 0))
	})
	h.reconcile(w.state(h, testVNI))
	if _, _, own := filtered(); !own {
		t.Error("the engine runs without its userland proxy, but our bridge is not filtered")
	}
	s := w.state(h, testVNI)
	s.Networks = nil
	h.reconcile(s)
	if global, _, _ := filtered(); global != "1" {
		t.Errorf("with the last network gone the switch is %s, want 1 as before", global)
	}
}

func TestUnderlayAndRoutes(t *testing.T) {
	w := newWorld(t, 2)
	h := w.hosts[0]
	s := w.state(h, testVNI)
	s.Networks[0].Gateway = netip.MustParsePrefix("10.128.0.1/16")
	h.reconcile(s)
	inside(t, h.ns, func() {
		eth0, err := netlink.LinkByName("eth0")
		must(t, err)
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: net.IPv4(10, 99, 0, 1)}))
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: net.IPv4(10, 99, 0, 1), Table: 77,
			Dst: &net.IPNet{IP: net.IPv4(192, 168, 5, 0), Mask: net.CIDRMask(24, 32)}}))
		for name, hint := range map[string]netip.Addr{"own": h.addr, "behind NAT": netip.MustParseAddr("198.51.100.7"), "unknown": {}} {
			u, err := h.o.FindUnderlay(hint, []netip.Addr{w.hosts[1].addr})
			must(t, err)
			if want := (Underlay{Addr: h.addr, Device: "eth0", MTU: 1500}); u != want {
				t.Errorf("%s address: underlay %+v, want %+v", name, u, want)
			}
		}
		routes, err := h.o.Routes()
		must(t, err)
		if got := fmt.Sprint(routes); got != "[10.99.0.0/24 192.168.5.0/24]" {
			t.Errorf("routes %s; want the underlay's and the policy route, not the default one, not our bridge's", got)
		}
	})
}

func TestWatchTellsOfBridgesNotOfContainers(t *testing.T) {
	w := newWorld(t, 1)
	h := w.hosts[0]
	ctx, cancel := context.WithCancel(t.Context())
	var signals <-chan struct{}
	inside(t, h.ns, func() {
		var err error
		signals, err = h.o.Watch(ctx)
		must(t, err)
		must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "leg"}, PeerName: "leg2"}))
	})
	select {
	case <-signals:
		t.Error("a veth is no news")
	default:
	}
	h.reconcile(w.state(h, testVNI))
	<-signals
	cancel()
	for range signals {
	}
}

func BenchmarkReconcile10000Endpoints(b *testing.B) {
	w := newWorld(b, 2)
	h := w.hosts[0]
	s := w.state(h, testVNI)
	for n := range 10000 {
		s.Networks[0].Remote = append(s.Networks[0].Remote, Endpoint{
			IP:  netip.AddrFrom4([4]byte{10, 128, byte(n >> 8), byte(n)}),
			MAC: MAC{2, 0x42, 10, 128, byte(n >> 8), byte(n)}, VTEP: w.hosts[1].addr})
	}
	reconcile := func(s State) Report {
		r, err := h.o.Reconcile(b.Context(), s)
		must(b, err)
		return r
	}
	empty := s
	empty.Networks = nil
	b.Run("from nothing", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			reconcile(empty)
			b.StartTimer()
			if r := reconcile(s); r.Written != 30001 {
				b.Fatalf("%+v", r)
			}
		}
	})
	reconcile(s)
	b.Run("nothing to do", func(b *testing.B) {
		for b.Loop() {
			if r := reconcile(s); r.Changed() {
				b.Fatalf("%+v", r)
			}
		}
	})
	b.Run("one change applied", func(b *testing.B) {
		e := s.Networks[0].Remote[:1]
		for b.Loop() {
			must(b, h.o.Apply(b.Context(), Change{VNI: testVNI, Put: e}))
		}
	})
}
