package ledger

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

func TestWarningsNameTheHostsAndWhatToDo(t *testing.T) {
	block := placement.Block{}
	v := View{
		Alive: map[string]bool{"6": true, "a": true, "b": true},
		Hosts: map[string]Host{
			"6": {VTEP: netip.MustParseAddr("fd00::6"), Silent: []string{"a"}},
			"a": {VTEP: netip.MustParseAddr("10.0.0.1"), Silent: []string{"b", "c"}, Routes: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16")}},
			"b": {VTEP: netip.MustParseAddr("10.0.0.2"), Device: "eth0", OwnChecksums: true, Routes: []netip.Prefix{netip.MustParsePrefix("10.77.0.128/25"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("10.0.0.0/24")}},
			"c": {VTEP: netip.MustParseAddr("10.0.0.3"), Silent: []string{"a"}},
		},
		Networks: []placement.Network{{Name: "shop_front", Subnet: netip.MustParsePrefix("10.77.0.0/24"), Subnet6: netip.MustParsePrefix("fd77::/64"),
			Blocks: map[string]placement.Block{"b": block, "c": block}}},
	}
	want := []string{
		"host 6 (fd00::6): containers do not reach those of a (10.0.0.1), because one host is at an IPv4 address and the other at an IPv6 one; " +
			"give the hosts addresses of one kind in the inventory, and put the agent of one of them anew (docker rm -f berth-agent there, then berth up)",
		"host a: UDP 4789 to b (10.0.0.2) is not answered, so containers of the two do not reach each other; let it pass between them, in firewalls as well",
		"host b: its network card (eth0) gets checksums in tunnels wrong, so the kernel computes them, which costs throughput; a newer driver or kernel may help, and is tried when the host starts anew",
		"host b: its route 10.77.0.128/25 lies over network shop_front (10.77.0.0/24), so addresses of one of them are not reached; remove the route, or run berth down and up for another subnet",
		"host b: its route fd00::/8 lies over network shop_front (fd77::/64), so addresses of one of them are not reached; remove the route, or run berth down and up for another subnet",
	}
	if diff := cmp.Diff(want, v.Warnings()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
