package overlay

import (
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth/runtime/overlay/shortcut"
)

// shortened gives a host a shortcut.
func (h *host) shortened() *shortcut.Shortcut {
	t := h.w.t
	t.Helper()
	way, err := shortcut.Open()
	must(t, err)
	t.Cleanup(way.Close)
	inside(t, h.ns, func() {
		h.o.shortcuts.conn, err = dial()
		must(t, err)
	})
	h.o.shortcuts.way, h.o.shortcuts.refused = way, map[int]bool{}
	return way
}

// bridged counts the frames that a container's port has got from its bridge.
func (c *container) bridged(t *testing.T) uint64 {
	t.Helper()
	var n uint64
	inside(t, c.at.ns, func() {
		l, err := netlink.LinkByName(c.leg)
		must(t, err)
		n = l.Attrs().Statistics.TxPackets
	})
	return n
}

// shortPath is two hosts with a container each, of which the second host has a shortcut; it is nil on a kernel that cannot.
func shortPath(t *testing.T) (w *world, way *shortcut.Shortcut, from, to *container) {
	w = newWorld(t, 2)
	way = w.hosts[1].shortened()
	for _, h := range w.hosts {
		h.reconcile(w.state(h, testVNI))
	}
	from, to = w.hosts[0].run(1), w.hosts[1].run(2)
	for _, h := range w.hosts {
		h.reconcile(w.state(h, testVNI, from, to))
	}
	to.listen(t)
	from.reach(t, to.ip, 2*time.Second)
	if len(w.hosts[1].o.shortcuts.refused) > 0 {
		t.Log("this kernel is older than Linux 6.6: everything takes the bridge")
		if to.bridged(t) == 0 {
			t.Error("nothing took the bridge")
		}
		return w, nil, from, to
	}
	return w, way, from, to
}

func TestAFrameForAContainerOfTheHostGoesRoundTheBridge(t *testing.T) {
	_, way, from, to := shortPath(t)
	if way == nil {
		return
	}
	const calls = 50
	bridged := func() uint64 {
		before := to.bridged(t)
		for range calls {
			from.reach(t, to.ip, 2*time.Second)
		}
		return to.bridged(t) - before
	}
	if n := bridged(); n >= calls/2 { // some may be broadcasts
		t.Errorf("%d frames of %d took the bridge", n, calls)
	}
	way.Close() // as when the agent ends
	if n := bridged(); n < calls {
		t.Errorf("without the shortcut %d frames of %d took the bridge", n, calls)
	}
}

func TestAContainerThatWasStartedAgainIsReachedThoughNobodyTellsTheShortcut(t *testing.T) {
	w, way, from, to := shortPath(t)
	if way == nil {
		return
	}
	known := way.Ports()
	w.hosts[1].attach(to) // another port, the same MAC address
	from.reach(t, to.ip, 2*time.Second)
	if len(known) != 1 || len(way.Ports()) != 1 || way.Ports()[0] != known[0] {
		t.Fatalf("ports %v, before %v: somebody told the shortcut", way.Ports(), known)
	}
	w.hosts[1].reconcile(w.state(w.hosts[1], testVNI, from, to))
	if now := way.Ports(); len(now) != 1 || now[0] == known[0] {
		t.Errorf("ports %v, before %v: the old one is still known, or the new one is not", now, known)
	}
	from.reach(t, to.ip, 2*time.Second)
}

func TestAPortThatLeavesItsBridgeLeavesTheShortcut(t *testing.T) {
	w, way, _, to := shortPath(t)
	if way == nil {
		return
	}
	h := w.hosts[1]
	inside(t, h.ns, func() {
		l, err := netlink.LinkByName(to.leg)
		must(t, err)
		must(t, netlink.LinkSetNoMaster(l))
		links, err := h.o.dumpLinks()
		must(t, err)
		for _, l := range links {
			h.o.linkChanged(unix.RTM_NEWLINK, l)
		}
	})
	if known := way.Ports(); len(known) > 0 {
		t.Errorf("ports %v are known", known)
	}
}

func TestANetworkThatIsFilteredOrGoneHasNoShortcut(t *testing.T) {
	w, way, from, to := shortPath(t)
	if way == nil {
		return
	}
	h := w.hosts[1]
	s := w.state(h, testVNI, from, to)
	s.Networks[0].Filter = true
	h.reconcile(s)
	if tunnels, ports := way.Tunnels(), way.Ports(); len(tunnels)+len(ports) > 0 {
		t.Errorf("a filtered network has tunnels %v, ports %v", tunnels, ports)
	}
	s.Networks[0].Filter = false
	h.reconcile(s)
	if tunnels, ports := way.Tunnels(), way.Ports(); len(tunnels) != 1 || len(ports) != 1 {
		t.Errorf("a network that is filtered no more has tunnels %v, ports %v", tunnels, ports)
	}
	s.Networks = nil
	h.reconcile(s)
	if tunnels, ports := way.Tunnels(), way.Ports(); len(tunnels)+len(ports) > 0 {
		t.Errorf("a network that is gone has tunnels %v, ports %v", tunnels, ports)
	}
}
