package embeddedtest

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// enter gives the wire in a process's network namespace its address, and its loopback interface life.
func enter(pid int, at netip.Prefix) error {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return fmt.Errorf("network namespace of process %d: %w", pid, err)
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("network namespace of process %d: %w", pid, err)
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := h.LinkSetUp(lo); err != nil {
		return err
	}
	eth, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(at.String())
	if err != nil {
		return err
	}
	if err := h.AddrReplace(eth, addr); err != nil {
		return err
	}
	return h.LinkSetUp(eth)
}

// awaitAddress returns when this network namespace has the address, host:port: who started this process gives it its
// wire meanwhile.
func awaitAddress(addr string) error {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	updates, done := make(chan netlink.AddrUpdate), make(chan struct{})
	defer close(done)
	if err := netlink.AddrSubscribe(updates, done); err != nil {
		return err
	}
	timeout := time.NewTimer(StartLimit)
	defer timeout.Stop()
	for {
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == at.Addr() {
				return nil
			}
		}
		select {
		case <-updates:
		case <-timeout.C:
			return fmt.Errorf("the wire with address %s does not come", at.Addr())
		}
	}
}
