package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
)

// tells waits until a host's record says something.
func (b *bed) tells(host, what string, holds func(ledger.Host) bool) {
	b.t.Helper()
	b.await("the record of "+host+" says "+what, func(keys map[string][]byte) bool {
		var h ledger.Host
		return json.Unmarshal(keys[ledger.HostKey(host)], &h) == nil && holds(h)
	})
}

// again makes all agents probe by way of a new revision of the network.
func (b *bed) again(word string) {
	b.t.Helper()
	n := b.network()
	n.Labels = map[string]string{"test.again": word}
	b.ready(b.put(map[string]any{ledger.NetworkKey(testNetwork): n}))
}

func TestPathsAreProbedAndNetworksFollow(t *testing.T) {
	b := newBed(t, 2)
	one, two := b.lab.Hosts()[0].Name(), b.lab.Hosts()[1].Name()
	// Something on the way to the second host drops large packets and says nothing.
	large := []string{"INPUT", "-p", "udp", "--dport", fmt.Sprint(overlay.Port), "-m", "length", "--length", "1401:65535", "-j", "DROP"}
	rule := func(action string, rest ...string) { b.on(two, append([]string{"iptables", action}, rest...)...) }
	rule("-I", large...)
	t.Cleanup(func() { _, _ = b.host(two).Run(context.Background(), append([]string{"iptables", "-D"}, large...)...) })

	web, db := b.pair()
	b.tells(one, "what the path carries", func(h ledger.Host) bool { return h.Paths[two] == 1400 })
	mtu := func(host string, vni uint32) string {
		out := b.on(host, "ip", "-o", "link", "show", overlay.BridgeName(vni))
		_, rest, _ := strings.Cut(out, " mtu ")
		word, _, _ := strings.Cut(rest, " ")
		return word
	}
	other := b.network()
	other.Name, other.VNI, other.Subnet, other.Blocks = "shop_other", testVNI+1, netip.MustParsePrefix("10.201.0.0/16"), map[string]placement.Block{}
	for i, h := range []string{one, two} {
		other.Blocks[h] = placement.Block{Range: netip.MustParsePrefix(fmt.Sprintf("10.201.%d.0/24", i)),
			Gateway: netip.MustParseAddr(fmt.Sprintf("10.201.%d.1", i))}
	}
	b.put(map[string]any{ledger.NetworkKey(other.Name): other})
	b.await("the other network stands", func(keys map[string][]byte) bool {
		return keys[ledger.ReadyKey(other.Name, one)] != nil && keys[ledger.ReadyKey(other.Name, two)] != nil
	})
	for _, h := range []string{one, two} {
		if got := mtu(h, testVNI+1); got != "1350" {
			t.Errorf("%s: a new network has an MTU of %s, want 1350", h, got)
		}
	}
	b.eventually("a container that was made for more gets large packets through", func() bool {
		_, err := b.inside(web, "ping", "-c", "1", "-W", "2", "-s", "1400", db.IP.String())
		return err == nil
	})

	rule("-D", large...)
	b.again("free")
	b.tells(one, "nothing of the path", func(h ledger.Host) bool { return len(h.Paths) == 0 })
	b.eventually("the networks follow", func() bool { return mtu(one, testVNI+1) == "1450" && mtu(two, testVNI+1) == "1450" })

	// The tunnels' port is closed on the way.
	closed := []string{"INPUT", "-p", "udp", "--dport", fmt.Sprint(overlay.Port), "-j", "DROP"}
	rule("-I", closed...)
	b.again("closed")
	for from, to := range map[string]string{one: two, two: one} {
		b.tells(from, "who is silent", func(h ledger.Host) bool { return len(h.Silent) == 1 && h.Silent[0] == to })
	}
	rule("-D", closed...)
	b.again("open")
	b.tells(one, "that nobody is silent", func(h ledger.Host) bool { return len(h.Silent) == 0 })

	// Datagrams with a checksum do not arrive, those without (0 at byte 6 of their header) do.
	spoilt := []string{"INPUT", "-i", "bt+", "-p", "udp", "--dport", "47890", "-m", "u32", "--u32", "0>>22&0x3C@4&0xFFFF=0x1:0xFFFF", "-j", "DROP"}
	rule("-I", spoilt...)
	t.Cleanup(func() { _, _ = b.host(two).Run(context.Background(), append([]string{"iptables", "-D"}, spoilt...)...) })
	b.again("spoilt")
	b.tells(one, "that its network card gets checksums wrong", func(h ledger.Host) bool { return h.OwnChecksums })
	b.tells(two, "that its own does not", func(h ledger.Host) bool { return !h.OwnChecksums })
	b.put(nil, ledger.NetworkKey(other.Name))
}
