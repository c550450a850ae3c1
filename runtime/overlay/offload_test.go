package overlay

import (
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// badCard puts a network card before a host that sends what the kernel hands it as it is, the checksums that it is left
// with unfinished, and whose receiver believes nothing. Frames take the way through this process, where nobody is left to
// finish them.
func (w *world) badCard(t *testing.T, i int) {
	t.Helper()
	port := []string{"p0", "p1"}[i]
	var ends [2]int
	inside(t, w.sw, func() {
		must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "card", MTU: 9000}, PeerName: "wire", PeerMTU: 9000}))
		br, err := netlink.LinkByName("br0")
		must(t, err)
		wire, err := netlink.LinkByName("wire")
		must(t, err)
		must(t, netlink.LinkSetMaster(wire, br))
		up(t, "wire")
		up(t, "card")
		p, err := netlink.LinkByName(port)
		must(t, err)
		must(t, netlink.LinkSetNoMaster(p))
		for k, name := range []string{port, "card"} {
			l, err := net.InterfaceByName(name)
			must(t, err)
			all := order.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})
			ends[k], err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			must(t, err)
			must(t, unix.SetsockoptInt(ends[k], unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
			tv := unix.NsecToTimeval((20 * time.Millisecond).Nanoseconds())
			must(t, unix.SetsockoptTimeval(ends[k], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
			must(t, unix.Bind(ends[k], &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.Index}))
		}
	})
	closed := make(chan struct{})
	done := make(chan struct{}, 2)
	for k := range ends {
		go func() {
			defer func() { done <- struct{}{} }()
			frame := make([]byte, 1<<16)
			for {
				n, _, err := unix.Recvfrom(ends[k], frame, 0)
				if err == nil {
					withoutOuterChecksum(frame[:n])
					_, _ = unix.Write(ends[1-k], frame[:n])
				}
				select {
				case <-closed:
					return
				default:
				}
			}
		}()
	}
	t.Cleanup(func() {
		close(closed)
		<-done
		<-done
		unix.Close(ends[0])
		unix.Close(ends[1])
	})
}

// withoutOuterChecksum clears the checksum of a UDP datagram over IPv4: such a card manages those.
func withoutOuterChecksum(frame []byte) {
	const atProtocol, atChecksum = etherLen + 9, etherLen + ipv4Len + 6
	if len(frame) >= atChecksum+2 && frame[12] == 8 && frame[13] == 0 && frame[atProtocol] == unix.IPPROTO_UDP {
		frame[atChecksum], frame[atChecksum+1] = 0, 0
	}
}

// check asks from one host whether checksums get to another as they shall be.
func (w *world) check(t *testing.T, from, to *host) Answer {
	t.Helper()
	var answers []Answer
	inside(t, from.ns, func() {
		var err error
		answers, err = Probe(t.Context(), []Target{{VNI: testVNI, VTEP: to.addr, MAC: BridgeMAC(to.name, testVNI), IP: w.gateway(to), Gateway: w.gateway(from),
			From: netip.MustParseAddr("10.128.200.100"), Own: BridgeMAC(from.name, testVNI), Full: 1500}})
		must(t, err)
	})
	return answers[0]
}

func TestANetworkCardThatGetsChecksumsWrong(t *testing.T) {
	w := probed(t, 2)
	one, two := w.hosts[0], w.hosts[1]
	a, b := one.run(10), two.run(20)
	for _, h := range w.hosts {
		h.reconcile(w.jumboState(h, 8950, a, b))
	}
	b.listen(t)
	a.reach(t, b.ip, soon)
	if got := w.check(t, one, two); !got.Heard || got.Miscomputed {
		t.Errorf("with a good card: %+v", got)
	}

	w.badCard(t, 0)
	if got := w.check(t, one, two); !got.Heard || !got.Miscomputed {
		t.Fatalf("with a bad card: %+v; want it found out", got)
	}
	if a.reaches(t, b.ip) {
		t.Error("the card does not spoil what containers send, so nothing is shown here")
	}
	s := w.jumboState(one, 8950, a, b)
	s.OwnChecksums = true
	if r := one.reconcile(s); !r.OwnChecksums {
		t.Error("the report does not say that the kernel computes checksums")
	}
	if got := w.check(t, one, two); !got.Heard || got.Miscomputed {
		t.Errorf("with checksums that the kernel has computed: %+v", got)
	}
	answering := w.jumboState(two, 8950, a, b)
	answering.OwnChecksums = true // so that answers come back
	two.reconcile(answering)
	a.reach(t, b.ip, soon)

	// The next agent goes by what it finds, for further networks too.
	inside(t, one.ns, func() {
		next, err := Open(Config{})
		must(t, err)
		t.Cleanup(next.Close)
		s.OwnChecksums = false
		more := s.Networks[0]
		more.VNI, more.Gateway, more.Remote = testVNI+1, netip.Prefix{}, nil
		s.Networks = append(s.Networks, more)
		r, err := next.Reconcile(t.Context(), s)
		must(t, errors.Join(err, r.Failed[testVNI], r.Failed[testVNI+1]))
		if left, err := checksumOffload(TunnelName(testVNI + 1)); !r.OwnChecksums || left || err != nil {
			t.Errorf("after the agent's restart: %v, of another network's tunnel left to the card: %v, %v", r.OwnChecksums, left, err)
		}
	})
}

func TestAFirewallIsNoBadNetworkCard(t *testing.T) {
	w := probed(t, 2)
	one, two := w.hosts[0], w.hosts[1]
	inside(t, two.ns, func() {
		if out, err := exec.Command("iptables", strings.Fields("-A INPUT -i bt+ -p udp -j DROP")...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	})
	if got := w.check(t, one, two); !got.Heard || got.Miscomputed {
		t.Errorf("with a firewall that drops: %+v", got)
	}
}

// reaches says whether another container's echo server answers one of a few datagrams.
func (c *container) reaches(t *testing.T, ip netip.Addr) bool {
	t.Helper()
	var conn *net.UDPConn
	inside(t, c.ns, func() {
		var err error
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 7)))
		must(t, err)
	})
	defer conn.Close()
	for range 3 {
		if answered(conn, 100*time.Millisecond) {
			return true
		}
	}
	return false
}
