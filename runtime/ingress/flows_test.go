package ingress

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestOfABackendThatIsLeftOnlyWhatHasNoEndIsForgotten(t *testing.T) {
	const synSent, established = 1, 3 // TCP_CONNTRACK_… (linux/netfilter/nf_conntrack_tcp.h)
	backend := netip.MustParseAddrPort("10.1.0.2:8000")
	f := Flows{Left: map[netip.AddrPort]bool{backend: true}}
	for name, c := range map[string]struct {
		protocol uint8
		info     netlink.ProtoInfo
		want     bool
	}{
		"UDP":              {unix.IPPROTO_UDP, nil, true},
		"TCP, asked for":   {unix.IPPROTO_TCP, &netlink.ProtoInfoTCP{State: synSent}, false},
		"TCP, established": {unix.IPPROTO_TCP, &netlink.ProtoInfoTCP{State: established}, false},
	} {
		flow := &netlink.ConntrackFlow{
			Forward:   netlink.IPTuple{Protocol: c.protocol, DstIP: net.IPv4(10, 0, 0, 1), DstPort: 80},
			Reverse:   netlink.IPTuple{Protocol: c.protocol, SrcIP: backend.Addr().AsSlice(), SrcPort: backend.Port()},
			ProtoInfo: c.info,
		}
		if got := f.MatchConntrackFlow(flow); got != c.want {
			t.Errorf("%s: forgotten %t, want %t", name, got, c.want)
		}
	}
}
