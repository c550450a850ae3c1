package engine

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"berth/placement"
)

func TestANetworkOfTheProjectIsMadeOnceAndAForeignOneIsNotTaken(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), `
services: {}
networks: {front: {driver_opts: {com.docker.network.driver.mtu: "1400"}, labels: {a: b}, ipam: {config: [{subnet: 10.95.1.0/24, gateway: 10.95.1.9}]}}}
`)
	n := p.Networks[0]
	first, err := b.CreateNetwork(b.ctx, p, n)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.CreateNetwork(b.ctx, p, n)
	if err != nil || again != first {
		t.Errorf("made again as %s: %v", again, err)
	}
	list, err := b.Networks(b.ctx, labelProject+"=shop")
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if i := list[0]; i.MTU != 1400 || i.Gateway != ip("10.95.1.9") || i.Labels["a"] != "b" || i.Labels[labelNetwork] != "front" ||
		i.Labels[labelConfigHash] != n.ConfigHash || i.Subnets[0].String() != "10.95.1.0/24" {
		t.Errorf("%+v", i)
	}
	other := &placement.Project{Name: "other"}
	if _, err := b.CreateNetwork(b.ctx, other, n); !IsConflict(err) || !strings.Contains(err.Error(), "external: true") {
		t.Errorf("another project's network: %v", err)
	}
	overlapping := &placement.NetworkSpec{Key: "x", Name: "shop_x", Spec: n.Spec}
	if _, err := b.CreateNetwork(b.ctx, p, overlapping); err == nil || !strings.Contains(err.Error(), "overlaps") {
		t.Errorf("overlap: %v", err)
	}
	if err := b.RemoveNetwork(b.ctx, n.Name); err != nil {
		t.Error(err)
	}
	if err := b.RemoveNetwork(b.ctx, n.Name); err != nil {
		t.Errorf("removing what is gone: %v", err)
	}
}

func TestANetworkInUseIsNotRemovedAndItsUsersAreNamed(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), "services: {web: {image: \"berth-lab/busybox:1\", command: sleep 600}}")
	b.up(p)
	err := b.RemoveNetwork(b.ctx, "shop_default")
	if err == nil || !strings.Contains(err.Error(), "in use by container shop-web-1") {
		t.Errorf("error: %v", err)
	}
}

func TestAMassRemovalLeavesNoGhostThatKeepsItsNetwork(t *testing.T) {
	b := onEngine(t)
	p := project(t, t.TempDir(), "services: {web: {image: \"berth-lab/busybox:1\", command: sleep 600}}")
	b.prepare(p)
	const n = 12
	done := make(chan error, n)
	ids := make([]string, n)
	for i := range n {
		s := spec(p, "web")
		s.Task.Number = i + 1
		s.Name = s.Task.String()
		ids[i] = b.create(s)
		go func() { done <- b.Start(b.ctx, ids[i]) }()
	}
	for range n {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids {
		go func() { done <- b.Remove(b.ctx, id, true) }()
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := b.RemoveNetwork(b.ctx, "shop_default"); err != nil {
		t.Error(err)
	}
}

func TestTheAgentsNetworkStandsOnItsOwnBridgeAndDiffersFromNoOther(t *testing.T) {
	b := onEngine(t)
	h := b.lab.Hosts()[0]
	if out, err := h.Run(b.ctx, "ip", "link", "add", "bt4242", "type", "bridge"); err != nil {
		t.Fatal(out, err)
	}
	t.Cleanup(func() { h.Run(t.Context(), "ip", "link", "del", "bt4242") })
	n := BridgeNetwork{Name: "shop_front", Bridge: "bt4242", Subnet: netip.MustParsePrefix("10.129.0.0/16"),
		Range: netip.MustParsePrefix("10.129.3.0/24"), Gateway: ip("10.129.3.1"), Reserved: []netip.Addr{ip("10.129.3.0")},
		MTU: 1450, Labels: map[string]string{"berth.network": "1"}}
	id, err := b.CreateBridgeNetwork(b.ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.CreateBridgeNetwork(b.ctx, n); err != nil || again != id {
		t.Errorf("again: %s, %v", again, err)
	}
	p := project(t, t.TempDir(), "services: {web: {image: \"berth-lab/busybox:1\", command: sleep 600}}")
	s := p.Service("web")
	s.Spec.Networks, s.Networks = nil, nil
	s.Spec.NetworkMode = "shop_front"
	c := b.create(spec(p, "web"))
	if err := b.Start(b.ctx, c); err != nil {
		t.Fatal(err)
	}
	list, err := b.Containers(b.ctx, Filter{Network: "shop_front"})
	if err != nil || len(list) != 1 || list[0].Name != "shop-web-1" || list[0].Networks["shop_front"].IP != ip("10.129.3.2") ||
		list[0].Networks["shop_front"].MAC != placement.MACFor(ip("10.129.3.2")) {
		t.Errorf("containers on it: %+v, %v", list, err)
	}
	for _, change := range []func(*BridgeNetwork){
		func(n *BridgeNetwork) { n.Bridge = "bt4243" },
		func(n *BridgeNetwork) { n.Subnet = netip.MustParsePrefix("10.130.0.0/16") },
		func(n *BridgeNetwork) { n.Gateway = ip("10.129.3.9") },
		func(n *BridgeNetwork) { n.Range = netip.MustParsePrefix("10.129.4.0/24") },
	} {
		other := n
		change(&other)
		if _, err := b.CreateBridgeNetwork(b.ctx, other); !errors.Is(err, errDiffers) {
			t.Errorf("%+v: %v", other, err)
		}
	}
	if err := b.Remove(b.ctx, c, true); err != nil {
		t.Fatal(err)
	}
	if err := b.RemoveNetwork(b.ctx, n.Name); err != nil {
		t.Fatal(err)
	}
	if out, err := h.Run(b.ctx, "ip", "link", "show", "bt4242"); err != nil {
		t.Errorf("the bridge went with the network: %s %v", out, err)
	}
}

func TestGhostEndpointsAreNamedFromTheEnginesRefusal(t *testing.T) {
	err := errors.New(`error while removing network: network shop_default has active endpoints (name:"web-1" id:"abc", name:"web-2" id:"def")`)
	if got := strings.Join(endpointNames(err), " "); got != "web-1 web-2" {
		t.Errorf("%q", got)
	}
}
