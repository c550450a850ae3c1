package agent

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
	"berth/runtime/store"
)

func event(t *testing.T, key string, v any) store.Event {
	t.Helper()
	e := store.Event{Pair: store.Pair{Key: key, Modified: 7}, Deleted: v == nil}
	if v != nil {
		var err error
		if e.Value, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// twoHosts is a view of host me, beside you at 10.0.0.2 and a silent one, with one network.
func twoHosts(t *testing.T) *view {
	t.Helper()
	v := newView("me", slog.New(slog.DiscardHandler))
	var c changes
	v.apply(event(t, ledger.HostKey("me"), ledger.Host{VTEP: netip.MustParseAddr("10.0.0.1"), MTU: 9000}), &c)
	v.apply(event(t, ledger.HostKey("you"), ledger.Host{VTEP: netip.MustParseAddr("10.0.0.2"), MTU: 1500}), &c)
	v.apply(event(t, ledger.NetworkKey("net"), placement.Network{Name: "net", VNI: overlay.FirstVNI,
		Blocks: map[string]placement.Block{"me": {}, "you": {}, "silent": {}}}), &c)
	if !c.links {
		t.Fatal("a new network is no change of links")
	}
	return v
}

func TestAHostThatSharesNoNetworkChangesNoLinks(t *testing.T) {
	v := twoHosts(t)
	v.apply(event(t, ledger.NetworkKey("theirs"), placement.Network{Name: "theirs", VNI: overlay.FirstVNI + 1,
		Blocks: map[string]placement.Block{"stranger": {}, "you": {}}}), &changes{})
	for host, want := range map[string]bool{"stranger": false, "silent": true, "you": true} {
		var c changes
		v.apply(event(t, ledger.HostKey(host), ledger.Host{VTEP: netip.MustParseAddr("10.0.0.9"), MTU: 1500}), &c)
		if c.links != want {
			t.Errorf("a record of %s: links %t, want %t", host, c.links, want)
		}
	}
	var c changes
	v.apply(event(t, ledger.NetworkKey("theirs"), placement.Network{Name: "theirs", VNI: overlay.FirstVNI + 1,
		Blocks: map[string]placement.Block{"stranger": {}, "you": {}, "me": {}}}), &c)
	if n := v.desired(v.networks["theirs"], overlay.Underlay{MTU: 1500}); !c.links || len(n.Peers) != 2 {
		t.Errorf("when this host joins: links %t, peers %v; want what was learned of all hosts before", c.links, n.Peers)
	}
}

func TestEndpointsOfOtherHostsNetworksAreReadWhenThisHostJoins(t *testing.T) {
	v := twoHosts(t)
	put := func(container, host, ip string) store.Event {
		e := at(host, ip)
		e.Network, e.Container = "theirs", container
		return event(t, ledger.EndpointKey(e), e)
	}
	var c changes
	for _, e := range []store.Event{put("a", "you", "10.2.0.1"), put("b", "you", "10.2.0.2"), put("a", "you", "10.2.0.3"), put("mine", "me", "10.2.0.4"),
		put("gone", "you", "10.2.0.5"), event(t, ledger.Endpoints+"theirs/gone", nil)} {
		v.apply(e, &c)
	}
	if len(v.endpoints["theirs"]) != 0 || c.zones != nil || c.entries != nil {
		t.Errorf("endpoints of a network of others were read: %v, zones %v", v.endpoints["theirs"], c.zones)
	}
	v.apply(event(t, ledger.NetworkKey("theirs"), placement.Network{Name: "theirs", VNI: overlay.FirstVNI + 1,
		Blocks: map[string]placement.Block{"me": {}, "you": {}}}), &c)
	if !c.links || !c.local {
		t.Errorf("after joining: links %t, local %t; want both", c.links, c.local)
	}
	ips := map[string]string{}
	for _, e := range v.on("theirs") {
		ips[e.Container] = e.IP.String()
	}
	if diff := cmp.Diff(map[string]string{"a": "10.2.0.3", "b": "10.2.0.2", "mine": "10.2.0.4"}, ips); diff != "" {
		t.Errorf("endpoints after joining (-want +got):\n%s", diff)
	}
	// It leaves, and later changes are not missed: it may come back.
	v.apply(event(t, ledger.NetworkKey("theirs"), nil), &c)
	v.apply(event(t, ledger.Endpoints+"theirs/b", nil), &c)
	v.apply(put("c", "you", "10.2.0.6"), &c)
	for _, container := range []string{"a", "mine", "c"} {
		v.apply(event(t, ledger.Endpoints+"theirs/"+container, nil), &c)
	}
	v.apply(put("d", "you", "10.2.0.7"), &c)
	if got := v.of("theirs"); len(got) != 1 || got["d"].IP.String() != "10.2.0.7" {
		t.Errorf("after all went and one came: %v", got)
	}
}

func at(host, ip string) placement.Endpoint {
	a := netip.MustParseAddr(ip)
	return placement.Endpoint{Network: "net", Container: "c", Host: host, IP: a, MAC: placement.MACFor(a)}
}

func TestAnEndpointsChangeIsWrittenWithoutAGap(t *testing.T) {
	const first, second = "10.1.0.1", "10.1.0.2"
	tests := map[string]struct {
		before, after any // endpoints; nil is none
		drop, put     []string
		local         bool
	}{
		"a new one elsewhere":              {nil, at("you", first), nil, []string{first}, false},
		"a new one here":                   {nil, at("me", first), []string{first}, nil, true},
		"it leaves":                        {at("you", first), nil, []string{first}, nil, false},
		"it moves between others":          {at("silent", first), at("you", first), nil, []string{first}, false},
		"it comes here":                    {at("you", first), at("me", first), []string{first, first}, nil, true},
		"it leaves for another host":       {at("me", first), at("you", first), nil, []string{first}, true},
		"it moves to a host not heard yet": {at("you", first), at("silent", first), []string{first}, nil, false},
		"it changes its address":           {at("you", first), at("you", second), []string{first}, []string{second}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := twoHosts(t)
			const key = ledger.Endpoints + "net/c"
			var ignored, c changes
			if test.before != nil {
				v.apply(event(t, key, test.before), &ignored)
			}
			v.apply(event(t, key, test.after), &c)
			if len(c.entries) != 1 || !c.zones["net"] || c.local != test.local {
				t.Fatalf("%d changes, zone %t, local %t", len(c.entries), c.zones["net"], c.local)
			}
			addrs := func(list []overlay.Endpoint) (out []string) {
				for _, e := range list {
					out = append(out, e.IP.String())
				}
				return out
			}
			if diff := cmp.Diff(test.drop, addrs(c.entries[0].Drop)); diff != "" {
				t.Errorf("drop (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.put, addrs(c.entries[0].Put)); diff != "" {
				t.Errorf("put (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheOrderOfKeysInARevisionDoesNotMatter(t *testing.T) {
	v := newView("me", slog.New(slog.DiscardHandler))
	var c changes
	v.apply(event(t, ledger.Endpoints+"net/c", at("me", "10.1.0.1")), &c)
	v.apply(event(t, ledger.NetworkKey("net"), placement.Network{Name: "net", VNI: overlay.FirstVNI, Blocks: map[string]placement.Block{"me": {}}}), &c)
	if !c.local || !c.links || !v.local()["c"] {
		t.Errorf("local %t, links %t, containers %v", c.local, c.links, v.local())
	}
}

func TestDesiredTakesTheSmallestUnderlayAndLeavesSilentHostsOut(t *testing.T) {
	v := twoHosts(t)
	var c changes
	for i, host := range []string{"me", "you", "silent"} {
		e := at(host, netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}).String())
		e.Container = host
		v.apply(event(t, ledger.EndpointKey(e), e), &c)
	}
	you, _ := overlay.ParseMAC("02:42:0a:01:00:01")
	me, _ := overlay.ParseMAC("02:42:0a:01:00:00")
	want := overlay.Network{VNI: overlay.FirstVNI, MTU: 1450, Local: []overlay.MAC{me}, Peers: []netip.Addr{netip.MustParseAddr("10.0.0.2")},
		Remote: []overlay.Endpoint{{MAC: overlay.BridgeMAC("you", overlay.FirstVNI), VTEP: netip.MustParseAddr("10.0.0.2")},
			{IP: netip.MustParseAddr("10.1.0.1"), MAC: you, VTEP: netip.MustParseAddr("10.0.0.2")}}}
	got := v.desired(v.networks["net"], overlay.Underlay{MTU: 9000})
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("desired (-want +got):\n%s", diff)
	}
	n := v.networks["net"]
	n.MTU, n.Options = 1400, map[string]string{"com.docker.network.bridge.enable_icc": "false"}
	if got := v.desired(n, overlay.Underlay{MTU: 9000}); got.MTU != 1400 || !got.Filter {
		t.Errorf("a network with an MTU of its own and icc=false: %d, filter %t", got.MTU, got.Filter)
	}
}

func TestEventsOfOtherProjectsAndBrokenRecordsChangeNothing(t *testing.T) {
	v := twoHosts(t)
	for _, e := range []store.Event{
		event(t, ledger.Projects+"shop/lock", ledger.Lock{}),
		event(t, ledger.AliveKey("you"), ""),
		event(t, ledger.HostKey("you"), ledger.Host{VTEP: netip.MustParseAddr("10.0.0.2"), MTU: 1500, Routes: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}}),
		event(t, ledger.NetworkKey("other"), placement.Network{Name: "other", Blocks: map[string]placement.Block{"you": {}}}),
		{Pair: store.Pair{Key: ledger.NetworkKey("net"), Value: []byte("{")}},
	} {
		var c changes
		v.apply(e, &c)
		if c.links || c.local || c.entries != nil || c.zones != nil {
			t.Errorf("%s: %+v", e.Key, c)
		}
	}
	if len(v.here()) != 1 {
		t.Error("a broken record removed the network")
	}
}

func TestAGuestThatBecomesATaskKeepsItsEntries(t *testing.T) {
	v := twoHosts(t)
	e := at("you", "10.1.0.9")
	var c changes
	v.apply(event(t, ledger.GuestKey(e), e), &c)
	v.apply(event(t, ledger.EndpointKey(e), e), &c)
	c = changes{}
	v.apply(event(t, ledger.GuestKey(e), nil), &c)
	v.settle(&c)
	if n := len(c.entries); n == 0 || len(c.entries[n-1].Put) != 1 {
		t.Errorf("the task's entries are not written after the guest's are dropped: %+v", c.entries)
	}
	if got := len(v.desired(v.networks["net"], overlay.Underlay{MTU: 1500}).Remote); got != 2 { // and the other host's bridge
		t.Errorf("%d remote endpoints, want 2", got)
	}
	c = changes{}
	v.apply(event(t, ledger.EndpointKey(e), nil), &c)
	if len(c.entries) != 1 || len(c.entries[0].Drop) != 1 {
		t.Errorf("the last one's entries are not dropped: %+v", c.entries)
	}
}

func TestAnAddressThatChangesHandsInOneRevisionKeepsItsEntries(t *testing.T) {
	v := twoHosts(t)
	old, heir := at("you", "10.1.0.9"), at("you", "10.1.0.9")
	old.Container, heir.Container = "old", "heir"
	var c changes
	v.apply(event(t, ledger.EndpointKey(old), old), &c)
	c = changes{}
	v.apply(event(t, ledger.EndpointKey(heir), heir), &c) // the store tells of what is put before what is deleted
	v.apply(event(t, ledger.EndpointKey(old), nil), &c)
	v.settle(&c)
	if n := len(c.entries); n == 0 || len(c.entries[n-1].Put) != 1 || c.entries[n-1].Drop != nil {
		t.Errorf("the heir's entries do not come last: %+v", c.entries)
	}
}
