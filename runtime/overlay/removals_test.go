package overlay

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// notices opens a socket in a host's namespace and returns a function that reads what the kernel has told of deleted
// entries since the last call: the kernel does so before it answers who deletes.
func notices(t *testing.T, h *host) func() (bodies [][]byte) {
	t.Helper()
	fd := -1
	inside(t, h.ns, func() {
		var err error
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		must(t, err)
		must(t, unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_NEIGH - 1)}))
	})
	t.Cleanup(func() { unix.Close(fd) })
	buf := make([]byte, 1<<16)
	return func() (bodies [][]byte) {
		for {
			n, _, err := unix.Recvfrom(fd, buf, 0)
			if errors.Is(err, unix.EAGAIN) {
				return bodies
			}
			must(t, err)
			must(t, eachMessage(append([]byte(nil), buf[:n]...), func(kind, _ uint16, _ uint32, body []byte) error {
				if kind == unix.RTM_DELNEIGH {
					bodies = append(bodies, body)
				}
				return nil
			}))
		}
	}
}

func TestEntriesThatSomebodyElseDeletedAreToldFromOurOwnDeletions(t *testing.T) {
	w := newWorld(t, 2)
	h := w.hosts[0]
	var all []*container
	for n := byte(20); n < 23; n++ {
		all = append(all, &container{ip: netip.AddrFrom4([4]byte{10, 128, 0, n}), mac: MAC{2, 0x42, 10, 128, 0, n}, at: w.hosts[1]})
	}
	h.reconcile(w.state(h, testVNI, all...))
	read := notices(t, h)
	foreign := func() (told, notOurs int) {
		for _, body := range read() {
			told++
			if h.o.removals.foreign(body) {
				notOurs++
			}
		}
		return told, notOurs
	}

	must(t, h.o.Apply(t.Context(), Change{VNI: testVNI, Drop: []Endpoint{all[0].endpoint()}}))
	if told, notOurs := foreign(); told == 0 || notOurs != 0 {
		t.Errorf("of %d deletions by Apply, %d count as somebody else's", told, notOurs)
	}
	// What was not there any more is not reported, and must not hide a later one.
	must(t, h.o.Apply(t.Context(), Change{VNI: testVNI, Drop: []Endpoint{all[0].endpoint()}}))
	h.reconcile(w.state(h, testVNI, all[:2]...)) // writes the first again, drops the third
	if told, notOurs := foreign(); told == 0 || notOurs != 0 {
		t.Errorf("of %d deletions by Reconcile, %d count as somebody else's", told, notOurs)
	}

	i := h.o.links[testVNI]
	e := all[0].endpoint()
	for _, m := range append(drop(i, e), dropTunnelEntry(i.tunnel, MAC{}, w.hosts[1].addr)) {
		inside(t, h.ns, func() {
			other, err := dial()
			must(t, err)
			defer other.close()
			must(t, other.one(m))
		})
		if told, notOurs := foreign(); told == 0 || notOurs == 0 {
			t.Errorf("of %d deletions by somebody else (%x), %d count as such", told, m.body, notOurs)
		}
	}
	if r := h.reconcile(w.state(h, testVNI, all[:2]...)); r.Written != 4 {
		t.Errorf("wrote %d entries, want the four that were deleted", r.Written)
	}
	if len(h.o.removals.own) != 0 {
		t.Errorf("deletions that the kernel has reported are still expected: %v", h.o.removals.own)
	}
}

func TestPortsThatLostTheirBridgeArePutBack(t *testing.T) {
	w := newWorld(t, 2)
	one, two := w.hosts[0], w.hosts[1]
	one.reconcile(w.state(one, testVNI))
	two.reconcile(w.state(two, testVNI))
	here, there, stranger := one.run(2), two.run(3), one.run(4)
	there.listen(t)
	s := w.state(one, testVNI, there)
	s.Networks[0].Local = []MAC{here.mac}
	one.reconcile(s)
	two.reconcile(w.state(two, testVNI, here))
	here.reach(t, there.ip, 10*time.Second)

	master := func(c *container) (bridge string) {
		inside(t, one.ns, func() {
			l, err := netlink.LinkByName(c.leg)
			must(t, err)
			if l.Attrs().MasterIndex != 0 {
				b, err := netlink.LinkByIndex(l.Attrs().MasterIndex)
				must(t, err)
				bridge = b.Attrs().Name
			}
		})
		return bridge
	}
	inside(t, one.ns, func() {
		b, err := netlink.LinkByName(BridgeName(testVNI))
		must(t, err)
		must(t, netlink.LinkDel(b))
	})
	if master(here) != "" {
		t.Fatal("the port is still in a bridge that was deleted")
	}
	if r := one.reconcile(s); r.Ports != 1 {
		t.Errorf("put back %d ports, want one", r.Ports)
	}
	if got := master(here); got != BridgeName(testVNI) {
		t.Errorf("the port is in %q", got)
	}
	if got := master(stranger); got != "" {
		t.Errorf("a port that is none of this host's containers' was put into %q", got)
	}
	here.reach(t, there.ip, 10*time.Second)
	if r := one.reconcile(s); r.Changed() {
		t.Errorf("a second run found work: %+v", r)
	}
}
