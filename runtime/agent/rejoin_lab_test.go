package agent_test

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"berth/placement"
	"berth/runtime/ledger"
)

func TestAContainerThatWasTakenOffItsNetworkIsPutBack(t *testing.T) {
	b := newBed(t, 2)
	web, db := b.pair()
	lock := ledger.LockKey("shop")
	attached := func() bool {
		return strings.Contains(b.on(db.Host, "docker", "inspect", "-f", "{{json .NetworkSettings.Networks}}", db.Container), testNetwork)
	}
	disconnect := func() { b.on(db.Host, "docker", "network", "disconnect", testNetwork, db.Container) }

	disconnect()
	b.eventually("db is on its network again", attached)
	b.eventually("db is reached at its address again", func() bool { return b.pings(web, db.IP) })
	if out := b.on(db.Host, "docker", "inspect", "-f", "{{json .NetworkSettings.Networks}}", db.Container); !strings.Contains(out, `"made.with":"this"`) {
		t.Errorf("the engine has forgotten how db is on its network: %s", out)
	}

	// What a command does is its business, as long as it has the project's lock.
	b.put(map[string]any{lock: ledger.Lock{Command: "up"}})
	cache := endpoint(db.Host, "cache", 1)
	b.put(map[string]any{ledger.EndpointKey(cache): cache})
	b.run(cache)
	b.running(cache) // so that the agent has seen the lock
	disconnect()
	b.on(db.Host, "docker", "network", "disconnect", testNetwork, cache.Container)
	other := cache
	other.Project = "other"
	b.put(map[string]any{ledger.EndpointKey(other): other})
	if attached() {
		t.Error("db was put back while a command works on its project")
	}
	b.put(nil, lock)
	b.eventually("db is on its network again, after the command", attached)

	// Nor does it bring back what the store does not want.
	b.put(nil, ledger.EndpointKey(db))
	disconnect()
	b.on(db.Host, "docker", "network", "disconnect", testNetwork, cache.Container)
	b.eventually("cache is on its network again", func() bool { return b.pings(web, cache.IP) })
	if attached() {
		t.Error("db was put back though the store has it nowhere")
	}
}

func TestAContainerThatIsStoppedFollowsItsNetworkWhenThatIsMadeAnew(t *testing.T) {
	b := newBed(t, 2)
	web, db := b.pair()
	b.on(db.Host, "docker", "stop", "-t", "0", db.Container)
	b.on(db.Host, "docker", "network", "rm", testNetwork)
	b.eventually("db starts again", func() bool {
		_, err := b.host(db.Host).Run(t.Context(), "docker", "start", db.Container)
		return err == nil
	})
	b.eventually("db is reached at its address", func() bool { return b.pings(web, db.IP) })
}

// A host that was out of the cluster for a while may get another block than it had.
func TestANetworkOfAnEarlierBlockIsMadeAnewUnderItsContainers(t *testing.T) {
	b := newBed(t, 2)
	web, db := b.pair()
	old := endpoint(db.Host, "older", 1) // the store has it nowhere
	b.run(old)
	n := b.network()
	n.Blocks[db.Host] = placement.Block{Range: netip.MustParsePrefix("10.200.7.0/24"), Gateway: netip.MustParseAddr("10.200.7.1")}
	b.ready(b.put(map[string]any{ledger.NetworkKey(testNetwork): n}))
	if out := b.on(db.Host, "docker", "network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", testNetwork); strings.TrimSpace(out) != "10.200.7.1" {
		t.Errorf("the network's gateway is %s", out)
	}
	b.eventually("db is reached again", func() bool { return b.pings(web, db.IP) })
	if out := b.on(db.Host, "docker", "inspect", "-f", "{{json .NetworkSettings.Networks}}", old.Container); strings.Contains(out, testNetwork) {
		t.Errorf("a container that the store does not know is on the network: %s", out)
	}
}

func TestAnAgentKnowsWhichOfItsOwnContainersServeWithoutTheStore(t *testing.T) {
	b := newBed(t, 2)
	web, db := b.pair()
	b.stop(b.host(web.Host), syscall.SIGKILL) // the store's only member
	ask := b.asker(db.Host)
	for range 2 {
		b.on(db.Host, "docker", "stop", "-t", "0", db.Container)
		b.eventually("db is not answered any more", func() bool { return ask("db") == 0 })
		b.on(db.Host, "docker", "start", db.Container)
		b.eventually("db is answered", func() bool { return ask("db") == 1 })
	}
	if ask("web") != 1 {
		t.Error("the other host's container is forgotten")
	}
	b.start(b.host(web.Host))
	b.running(db)
	b.on(db.Host, "docker", "stop", "-t", "0", db.Container)
	b.await("the store is told", func(keys map[string][]byte) bool {
		return string(keys[ledger.StateKey(db.Host, db.Container)]) == `{"running":false}`
	})
}
