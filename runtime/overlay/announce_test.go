package overlay

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// After a reboot the engine makes the bridge, with a MAC address of its own, and starts containers before the agent is
// there to give it the right one.
func TestContainersLearnTheBridgesNewAddressAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	h := w.hosts[0]
	gateway := netip.MustParseAddr("10.128.0.1")
	s := w.state(h, testVNI)
	s.Networks[0].Gateway = netip.PrefixFrom(gateway, 16)
	engines := net.HardwareAddr{2, 0x42, 1, 2, 3, 4}
	inside(t, h.ns, func() {
		must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: BridgeName(testVNI), HardwareAddr: engines}}))
		address(t, BridgeName(testVNI), s.Networks[0].Gateway)
		up(t, BridgeName(testVNI))
	})
	c := h.run(2)
	known := func() string {
		var mac string
		inside(t, c.ns, func() {
			list, err := netlink.NeighList(0, netlink.FAMILY_V4)
			must(t, err)
			for _, n := range list {
				if n.IP.Equal(gateway.AsSlice()) {
					mac = n.HardwareAddr.String()
				}
			}
		})
		return mac
	}
	var conn *net.UDPConn
	inside(t, c.ns, func() {
		var err error
		conn, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(gateway, 53)))
		must(t, err)
	})
	defer conn.Close()
	for began := time.Now(); known() != engines.String(); {
		_, _ = conn.Write([]byte("who is there?"))
		if time.Since(began) > 10*time.Second {
			t.Fatalf("the container knows its gateway as %q, want %s", known(), engines)
		}
	}
	h.reconcile(s)
	if got, want := known(), linkMAC(h.name, "bridge", testVNI).String(); got != want {
		t.Errorf("the container knows its gateway as %s, which is %s now", got, want)
	}
}
