package overlay

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Watch tells when a bridge or a tunnel of the namespace was made, changed or removed, a container's port left its bridge,
// an IPv6 address came, an IPv4 address went, or an entry went that this Overlay did not delete: the times when Reconcile
// may find work before its period is over. Signals that nobody has taken are merged. The channel
// closes when ctx ends.
func (o *Overlay) Watch(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("overlay: watch links: %w", err)
	}
	groups := uint32(0)
	for _, g := range []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_NEIGH} {
		groups |= 1 << (g - 1)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("overlay: watch links: %w", err)
	}
	f := os.NewFile(uintptr(fd), "netlink") // non-blocking, so Close ends a waiting Read
	signals := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { f.Close() })
	go func() {
		defer close(signals)
		defer f.Close()
		defer stop()
		buf := make([]byte, 1<<16)
		for {
			n, err := f.Read(buf)
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
			// After an overrun (ENOBUFS) something was missed: say so.
			if err != nil || o.matters(buf[:n]) {
				select {
				case signals <- struct{}{}:
				default:
				}
			}
		}
	}()
	return signals, nil
}

// matters leaves out what happens at every start of a container: its veth. It also leaves out new addresses: an engine
// that starts gives its bridges fe80::1 and then looks whether they have it.
func (o *Overlay) matters(b []byte) bool {
	found := false
	_ = eachMessage(b, func(kind, _ uint16, _ uint32, body []byte) error {
		switch kind {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			// A port's own messages have the bridge family and no kind.
			l, ok := parseLink(body)
			if ok {
				o.linkChanged(kind, l)
			}
			found = found || ok && (l.Kind == "bridge" || l.Kind == "vxlan" || l.Kind == "wireguard" || l.Kind == "tun" || kind == unix.RTM_NEWLINK && l.orphan())
		case unix.RTM_DELADDR:
			_, addr, ok := parseAddr(body)
			found = found || ok && !addr.IsLinkLocalUnicast()
		case unix.RTM_DELNEIGH:
			found = o.removals.foreign(body) || found
		}
		return nil
	})
	return found
}
