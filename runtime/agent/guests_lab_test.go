package agent_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"berth/fixtures/lab/lab"
	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
)

// guest waits until a host has reported a container that is on the network by hand, and returns its endpoint.
func (b *bed) guest(host, container string) placement.Endpoint {
	b.t.Helper()
	e := placement.Endpoint{Network: testNetwork, Container: container, Host: host}
	b.await(container+" is known as a guest", func(keys map[string][]byte) bool {
		raw := keys[ledger.GuestKey(e)]
		if raw == nil || keys[ledger.StateKey(host, container)] == nil {
			return false
		}
		must(b.t, json.Unmarshal(raw, &e))
		return true
	})
	return e
}

// noGuest waits until a container is not reported any more.
func (b *bed) noGuest(e placement.Endpoint) {
	b.t.Helper()
	b.await(e.Container+" is no guest any more", func(keys map[string][]byte) bool {
		return keys[ledger.GuestKey(e)] == nil && keys[ledger.StateKey(e.Host, e.Container)] == nil
	})
}

// knows reports whether a host has forwarding entries for an endpoint.
func (b *bed) knows(host string, e placement.Endpoint) bool {
	return strings.Contains(b.on(host, "bridge", "fdb", "show", "dev", overlay.TunnelName(testVNI)), e.MAC) &&
		strings.Contains(b.on(host, "ip", "neigh", "show", "dev", overlay.BridgeName(testVNI), "nud", "permanent"), e.IP.String()+" ")
}

func TestAContainerRunByHandOnANetworkIsKnownOnAllHosts(t *testing.T) {
	b := newBed(t, 2)
	web, db := b.pair()
	one, two := web.Host, db.Host

	b.on(two, "docker", "run", "-d", "--name", "probe", "--network", testNetwork, "--network-alias", "tool", lab.Busybox, "sleep", "1000")
	probe := b.guest(two, "probe")
	if block := b.network().Blocks[two]; !block.Range.Contains(probe.IP) {
		t.Errorf("its address %s is not of its host's block %s", probe.IP, block.Range)
	}
	for _, name := range []string{"probe", "tool"} {
		b.eventually(name+" resolves on the other host", func() bool { return b.resolves(web, name, probe) })
	}
	b.eventually("the other host knows where it is", func() bool { return b.knows(one, probe) })
	if !b.pings(web, probe.IP) || !b.pings(probe, web.IP) {
		t.Error("it and a task of the other host do not reach each other")
	}

	b.on(two, "docker", "network", "disconnect", testNetwork, "probe")
	b.noGuest(probe)
	b.eventually("its name is not answered", func() bool { return b.resolves(web, "probe") })
	if b.knows(one, probe) {
		t.Error("the other host still has entries for it")
	}
	b.on(two, "docker", "network", "connect", "--alias", "again", testNetwork, "probe")
	probe = b.guest(two, "probe")
	b.eventually("connected again it is known by its new name", func() bool { return b.resolves(web, "again", probe) })

	// What goes while the agent is down is found out when it is back.
	b.stop(b.host(two), syscall.SIGKILL)
	if !b.pings(web, probe.IP) {
		t.Error("with its agent gone, the guest is not reached")
	}
	b.on(two, "docker", "rm", "-f", "probe")
	b.start(b.host(two))
	b.noGuest(probe)
	b.eventually("its name is forgotten", func() bool { return b.resolves(web, "again") })

	t.Run("a guest does not take a task's address", func(t *testing.T) { b.refusesThief(t, web, db) })
	t.Run("a guest that the store makes a task is no guest", func(t *testing.T) { b.promotes(t, web, db) })
}

func (b *bed) refusesThief(t *testing.T, web, db placement.Endpoint) {
	b.on(db.Host, "docker", "run", "-d", "--name", "thief", "--network", testNetwork, "--ip", web.IP.String(), lab.Busybox, "sleep", "1000")
	b.eventually("the agent says why it is not known", func() bool {
		return strings.Contains(b.agents[db.Host].log.String(), "has an address that another has")
	})
	b.look(func(keys map[string][]byte) bool {
		if keys[ledger.GuestKey(placement.Endpoint{Network: testNetwork, Container: "thief", Host: db.Host})] != nil {
			t.Error("it was reported all the same")
		}
		return true
	})
	b.on(db.Host, "docker", "rm", "-f", "thief")
	b.eventually("the task is reached", func() bool { return b.pings(db, web.IP) })
}

func (b *bed) promotes(t *testing.T, web, db placement.Endpoint) {
	t.Helper()
	ip := netip.MustParseAddr("10.200.100.200")
	b.on(db.Host, "docker", "run", "-d", "--name", "shop-late-1", "--network", testNetwork, "--ip", ip.String(), lab.Busybox, "sleep", "1000")
	late := b.guest(db.Host, "shop-late-1")
	// The store is told of it afterwards, as when a command's record arrives later than the engine's event.
	late.Service, late.Project, late.Number = "late", "shop", 1
	b.put(map[string]any{ledger.EndpointKey(late): late})
	b.await("it is a task now", func(keys map[string][]byte) bool { return keys[ledger.GuestKey(late)] == nil })
	b.running(late)
	b.eventually("its service resolves", func() bool { return b.resolves(web, "late", late) })
	b.eventually("the other host knows where it is", func() bool { return b.knows(web.Host, late) })
}
