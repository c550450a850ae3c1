package overlay

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// hear opens a UDP socket in the container that takes what is sent to a group or to everybody, and returns what counts
// the datagrams that have come.
func (c *container) hear(t *testing.T, group netip.AddrPort) <-chan string {
	t.Helper()
	heard := make(chan string, 100)
	inside(t, c.ns, func() {
		var conn *net.UDPConn
		var err error
		if group.Addr().IsMulticast() {
			var eth0 *net.Interface
			eth0, err = net.InterfaceByName("eth0")
			must(t, err)
			conn, err = net.ListenMulticastUDP("udp4", eth0, net.UDPAddrFromAddrPort(group))
		} else {
			conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: int(group.Port())})
		}
		must(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			buf := make([]byte, 2000)
			for {
				n, _, err := conn.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				heard <- string(buf[:n])
			}
		}()
		t.Cleanup(func() { conn.Close(); <-done })
	})
	return heard
}

func TestBroadcastAndMulticastReachTheContainersOfAllHostsOnce(t *testing.T) {
	w := newWorld(t, 3)
	for _, h := range w.hosts {
		h.reconcile(w.state(h, testVNI))
	}
	all := []*container{w.hosts[0].run(10), w.hosts[0].run(11), w.hosts[1].run(20), w.hosts[2].run(30)}
	for _, h := range w.hosts {
		h.reconcile(w.state(h, testVNI, all...))
	}
	for _, c := range all[1:] { // a port of a bridge that has just come up may not forward yet
		c.listen(t)
		all[0].reach(t, c.ip, soon)
	}
	for what, to := range map[string]string{"broadcast": "10.128.255.255:9000", "limited broadcast": "255.255.255.255:9001", "multicast": "239.1.2.3:9002"} {
		t.Run(what, func(t *testing.T) {
			target := netip.MustParseAddrPort(to)
			var ears []<-chan string
			for _, c := range all[1:] {
				ears = append(ears, c.hear(t, target))
			}
			inside(t, all[0].ns, func() {
				if target.Addr().IsMulticast() || target.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
					eth0, err := netlink.LinkByName("eth0")
					must(t, err)
					must(t, netlink.RouteReplace(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: &net.IPNet{IP: target.Addr().AsSlice(), Mask: net.CIDRMask(32, 32)}}))
				}
				conn, err := net.ListenUDP("udp4", nil)
				must(t, err)
				defer conn.Close()
				for _, word := range []string{"one", "two", "three"} {
					_, err = conn.WriteToUDPAddrPort([]byte(word), target)
					must(t, err)
				}
			})
			for i, ear := range ears {
				for _, want := range []string{"one", "two", "three"} { // a copy too many would come before the next word
					select {
					case got := <-ear:
						if got != want {
							t.Fatalf("container %d heard %q, want %q", i+1, got, want)
						}
					case <-time.After(soon):
						t.Fatalf("container %d did not hear %q", i+1, want)
					}
				}
			}
		})
	}
}

func TestARPForAKnownContainerStaysOnTheAskersHost(t *testing.T) {
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
	const rounds = 50
	for range rounds {
		inside(t, a.ns, func() {
			eth0, err := netlink.LinkByName("eth0")
			must(t, err)
			must(t, netlink.NeighDel(&netlink.Neigh{LinkIndex: eth0.Attrs().Index, IP: b.ip.AsSlice()}))
		})
		a.reach(t, b.ip, soon)
	}
	if got := w.hosts[2].received(t) - before; got != 0 {
		t.Errorf("%d rounds of ARP between host1 and host2 sent %d frames to host3, want none", rounds, got)
	}
}
