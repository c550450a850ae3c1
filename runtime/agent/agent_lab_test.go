package agent_test

import (
	"encoding/json"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"berth/fixtures/lab/lab"
	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
)

// pair is a network with a container on each of two hosts.
func (b *bed) pair() (web, db placement.Endpoint) {
	b.t.Helper()
	web, db = endpoint(b.lab.Hosts()[0].Name(), "web", 1), endpoint(b.lab.Hosts()[1].Name(), "db", 1)
	b.ready(b.put(map[string]any{
		ledger.NetworkKey(testNetwork): b.network(),
		ledger.EndpointKey(web):        web,
		ledger.EndpointKey(db):         db,
	}))
	b.run(web)
	b.run(db)
	b.running(web)
	b.running(db)
	b.eventually("db resolves", func() bool { return b.resolves(web, "db", db) })
	return web, db
}

// pings reports whether one packet gets there and back.
func (b *bed) pings(from placement.Endpoint, to netip.Addr) bool {
	_, err := b.inside(from, "ping", "-c", "1", "-W", "1", to.String())
	return err == nil
}

func TestContainersOfTwoHostsReachEachOtherByName(t *testing.T) {
	b := newBed(t, 2)
	one, two := b.lab.Hosts()[0].Name(), b.lab.Hosts()[1].Name()
	web, db := endpoint(one, "web", 1), endpoint(two, "db", 1)
	rev := b.put(map[string]any{
		ledger.NetworkKey(testNetwork): b.network(),
		ledger.EndpointKey(web):        web,
		ledger.EndpointKey(db):         db,
	})
	b.ready(rev)
	b.run(web)
	b.run(db)
	b.running(web)
	b.running(db)
	for _, name := range []string{"db", "db.shop", "shop-db-1", "tasks.db", "DB"} {
		b.eventually(name+" resolves", func() bool { return b.resolves(web, name, db) })
	}
	if out, err := b.inside(web, "ping", "-c", "3", "-W", "5", "db"); err != nil {
		t.Errorf("ping: %v\n%s", err, out)
	}
	b.eventually("web resolves on the other host", func() bool { return b.resolves(db, "web", web) })

	b.on(two, "docker", "stop", "-t", "0", db.Container)
	b.eventually("db has no address any more", func() bool {
		out, _ := b.inside(web, "nslookup", "-type=a", "db")
		return !strings.Contains(out, db.IP.String()) && !strings.Contains(out, "NXDOMAIN")
	})
	b.on(two, "docker", "start", db.Container)
	b.eventually("db has its address again", func() bool { return b.resolves(web, "db", db) })

	b.on(one, "docker", "rm", "-f", web.Container)
	b.on(two, "docker", "rm", "-f", db.Container)
	b.put(nil, ledger.NetworkKey(testNetwork), ledger.EndpointKey(web), ledger.EndpointKey(db))
	b.await("no trace is left in the store", func(keys map[string][]byte) bool {
		for key := range keys {
			if strings.HasPrefix(key, ledger.Readies) || strings.HasPrefix(key, ledger.States) {
				return false
			}
		}
		return true
	})
	for _, h := range []string{one, two} {
		if out := b.on(h, "ip", "-br", "link", "show", "group", "47890"); out != "" {
			t.Errorf("%s: links left: %s", h, out)
		}
		if out := b.on(h, "docker", "network", "ls", "-q", "--filter", "label=berth.network"); out != "" {
			t.Errorf("%s: engine networks left: %s", h, out)
		}
	}
}

func TestTrafficOutlivesTheAgentAndItCatchesUpWhenItComesBack(t *testing.T) {
	b := newBed(t, 2)
	web, db := b.pair()
	one, two := b.lab.Hosts()[0], b.lab.Hosts()[1]

	// The agent of the second host, which is no store member, is killed; the world goes on without it.
	b.stop(two, syscall.SIGKILL)
	if !b.pings(web, db.IP) {
		t.Error("with the agent gone, the containers do not reach each other")
	}
	cache := endpoint(one.Name(), "cache", 1)
	b.put(map[string]any{ledger.EndpointKey(cache): cache})
	b.run(cache)
	b.running(cache)
	b.on(two.Name(), "docker", "stop", "-t", "0", db.Container)
	b.put(map[string]any{ledger.ReadyKey("long_gone", two.Name()): ledger.Ready{Revision: 1},
		ledger.StateKey(two.Name(), "long-gone-1"): ledger.State{Running: true}})

	b.start(two)
	b.await("the stopped container is known to be stopped", func(keys map[string][]byte) bool {
		return string(keys[ledger.StateKey(two.Name(), db.Container)]) == `{"running":false}`
	})
	b.await("what its earlier life left is gone", func(keys map[string][]byte) bool {
		return keys[ledger.ReadyKey("long_gone", two.Name())] == nil && keys[ledger.StateKey(two.Name(), "long-gone-1")] == nil
	})
	b.on(two.Name(), "docker", "start", db.Container)
	b.eventually("the container that came meanwhile is found", func() bool { return b.resolves(db, "cache", cache) })
	if !b.pings(db, cache.IP) {
		t.Error("the container that came meanwhile is not reached")
	}
}

func TestWithTheStoreAwayNamesStayAndWhatHappenedIsToldLater(t *testing.T) {
	b := newBed(t, 2)
	web, db := b.pair()
	one := b.lab.Hosts()[0]
	b.stop(one, syscall.SIGTERM) // the only member of the store, and the name server of that host
	if !b.resolves(db, "web", web) {
		t.Error("the other host's agent forgot a name when the store went")
	}
	if !b.pings(db, web.IP) {
		t.Error("no traffic without the store")
	}
	b.on(db.Host, "docker", "stop", "-t", "0", db.Container)
	b.start(one)
	b.await("what happened meanwhile is told", func(keys map[string][]byte) bool {
		return string(keys[ledger.StateKey(db.Host, db.Container)]) == `{"running":false}`
	})
	b.on(db.Host, "docker", "start", db.Container)
	b.running(db)
	b.eventually("names are answered again", func() bool { return b.resolves(web, "db", db) })
}

func TestARemovedNetworkAnEngineRestartAndARebootAreMended(t *testing.T) {
	b := newBed(t, 2)
	web, db := b.pair()
	two := b.lab.Hosts()[1]

	b.on(two.Name(), "docker", "rm", "-f", db.Container)
	b.on(two.Name(), "docker", "network", "rm", testNetwork)
	var old ledger.Ready
	must(t, json.Unmarshal(b.keys[ledger.ReadyKey(testNetwork, two.Name())], &old))
	b.await("the network is made again", func(keys map[string][]byte) bool {
		var now ledger.Ready
		return json.Unmarshal(keys[ledger.ReadyKey(testNetwork, two.Name())], &now) == nil && now.EngineNetwork != old.EngineNetwork && now.Problem == ""
	})
	b.run(db)
	b.running(db)
	b.eventually("db resolves after its network was removed", func() bool { return b.resolves(web, "db", db) })

	// The engine dies and comes back; the agent lives through it.
	must(t, two.Kill(t.Context()))
	must(t, two.Restart(t.Context()))
	b.on(two.Name(), "docker", "start", db.Container)
	b.running(db)
	b.eventually("db resolves after the engine's restart", func() bool { return b.resolves(web, "db", db) })
	b.eventually("db is reached after the engine's restart", func() bool { return b.pings(web, db.IP) })

	// The host loses power: its engine makes the bridge before the agent is there, without the tunnel.
	must(t, two.PowerOff(t.Context()))
	_ = b.agents[two.Name()].cmd.Wait()
	b.await("its lease has run out", func(keys map[string][]byte) bool { return keys[ledger.AliveKey(two.Name())] == nil })
	b.eventually("db has no address meanwhile", func() bool { return b.resolves(web, "db") })
	must(t, two.Restart(t.Context()))
	b.start(two)
	b.await("the host is back", func(keys map[string][]byte) bool { return keys[ledger.AliveKey(two.Name())] != nil })
	b.on(two.Name(), "docker", "start", db.Container)
	b.running(db)
	b.eventually("db resolves after the reboot", func() bool { return b.resolves(web, "db", db) })
	b.eventually("db is reached after the reboot", func() bool { return b.pings(web, db.IP) })
}

func TestAMovedContainerIsReachedAtItsOldAddress(t *testing.T) {
	b := newBed(t, 2)
	web, db := b.pair()
	if !b.pings(web, db.IP) {
		t.Fatal("not reached before the move")
	}
	b.on(db.Host, "docker", "rm", "-f", db.Container)
	moved := db
	moved.Host = web.Host
	b.put(map[string]any{ledger.EndpointKey(moved): moved})
	b.run(moved)
	if took := b.eventually("the moved container is reached", func() bool { return b.pings(web, db.IP) }); took > 10*time.Second {
		t.Errorf("that took %s, as if neighbours had to be forgotten first (30 s)", took)
	}
	b.running(moved)
	b.eventually("its name follows", func() bool { return b.resolves(web, "db", moved) })
}

func TestAnUnhealthyContainerHasNoName(t *testing.T) {
	b := newBed(t, 1)
	app := endpoint(b.lab.Hosts()[0].Name(), "app", 1)
	b.ready(b.put(map[string]any{ledger.NetworkKey(testNetwork): b.network(), ledger.EndpointKey(app): app}))
	health := func(want string) func(map[string][]byte) bool {
		return func(keys map[string][]byte) bool {
			var s ledger.State
			raw := keys[ledger.StateKey(app.Host, app.Container)]
			return raw != nil && json.Unmarshal(raw, &s) == nil && s.Health == want
		}
	}
	b.run(app, "CMD", "test", "-e", "/well")
	b.await("it is unhealthy", health("unhealthy"))
	b.eventually("it has no address", func() bool { return b.resolves(app, "app") })
	if out, err := b.inside(app, "touch", "/well"); err != nil {
		t.Fatal(err, out)
	}
	b.await("it is healthy", health("healthy"))
	b.eventually("it has its address", func() bool { return b.resolves(app, "app", app) })
}

func TestANetworkThatCannotStandSaysWhy(t *testing.T) {
	b := newBed(t, 1)
	h := b.lab.Hosts()[0]
	n := b.network()
	n.MTU = 9000
	b.put(map[string]any{ledger.NetworkKey(testNetwork): n})
	b.await("the reason is in the store", func(keys map[string][]byte) bool {
		return strings.Contains(string(keys[ledger.ReadyKey(testNetwork, h.Name())]), "MTU of 9000 does not fit")
	})
	b.ready(b.put(map[string]any{ledger.NetworkKey(testNetwork): b.network()}))

	// A container of someone's own keeps the network alive; the agent waits for it and says so.
	b.on(h.Name(), "docker", "run", "-d", "--name", "own", "--network", testNetwork, "berth-lab/busybox:1", "sleep", "1000")
	b.put(nil, ledger.NetworkKey(testNetwork))
	b.await("the user is named", func(keys map[string][]byte) bool {
		return strings.Contains(string(keys[ledger.ReadyKey(testNetwork, h.Name())]), "container own")
	})
	b.on(h.Name(), "docker", "rm", "-f", "own")
	b.await("the network is gone", func(keys map[string][]byte) bool { return keys[ledger.ReadyKey(testNetwork, h.Name())] == nil })
}

// The way from a container's start to its name on another host: engine event, inspection, store, watch, name server. The
// times are printed and not judged.
func TestAStartedContainerIsAnsweredOnOtherHosts(t *testing.T) {
	const rounds = 10
	b := newBed(t, 2)
	web, db := b.pair()
	ask := b.asker(web.Host)
	var times []time.Duration
	for range rounds {
		b.on(db.Host, "docker", "stop", "-t", "0", db.Container)
		b.soon("db is not answered any more", func() bool { return ask("db") == 0 })
		b.on(db.Host, "docker", "start", db.Container)
		times = append(times, b.soon("db is answered", func() bool { return ask("db") == 1 }))
	}
	slices.Sort(times)
	t.Logf("from the engine's answer to the name on the other host: median %s, slowest of %d %s", times[rounds/2], rounds, times[rounds-1])

	// And from the store's commit of a moved endpoint to the other host's forwarding entry.
	times = nil
	for i := range rounds {
		moved := endpoint(db.Host, "moving", 1+i%2)
		moved.Container = "shop-moving-1"
		b.put(map[string]any{ledger.EndpointKey(moved): moved})
		times = append(times, b.soon("the entry is there", func() bool { return b.forwards(web.Host, moved.MAC) }))
	}
	slices.Sort(times)
	t.Logf("from the store's commit to the entry on the other host: median %s, slowest of %d %s", times[rounds/2], rounds, times[rounds-1])
}

// soon asks without a pause until holds is true and returns how long that took: for what announces itself to nobody.
func (b *bed) soon(what string, holds func() bool) time.Duration {
	b.t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > lab.Patience {
			b.t.Fatalf("not within %s: %s", lab.Patience, what)
		}
	}
	return time.Since(began)
}

// asker returns a function that asks the name server of a host, from the host itself, and counts the addresses.
func (b *bed) asker(host string) func(name string) int {
	b.t.Helper()
	var conn net.Conn
	b.onNet(host, func() {
		var err error
		conn, err = net.Dial("udp", b.network().Blocks[host].Gateway.String()+":53")
		must(b.t, err)
	})
	b.t.Cleanup(func() { conn.Close() })
	return func(name string) int {
		m, _, err := new(dns.Client).ExchangeWithConn(new(dns.Msg).SetQuestion(name+".", dns.TypeA), &dns.Conn{Conn: conn})
		must(b.t, err)
		return len(m.Answer)
	}
}

// forwards reports whether a host's tunnel has an entry for a MAC.
func (b *bed) forwards(host, mac string) bool {
	found := false
	b.onNet(host, func() {
		link, err := netlink.LinkByName(overlay.BridgeName(testVNI))
		must(b.t, err)
		list, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_V4)
		must(b.t, err)
		for _, n := range list {
			found = found || n.HardwareAddr.String() == mac && n.State == netlink.NUD_PERMANENT
		}
	})
	return found
}

// onNet runs f in a host's network namespace.
func (b *bed) onNet(host string, f func()) {
	b.t.Helper()
	there, err := b.host(host).NetNS()
	must(b.t, err)
	defer there.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	must(b.t, err)
	defer here.Close()
	must(b.t, netns.Set(netns.NsHandle(there.Fd())))
	defer func() { must(b.t, netns.Set(here)) }()
	f()
}
