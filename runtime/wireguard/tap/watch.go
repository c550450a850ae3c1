package tap

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// watch follows what is done to the link by others.
type watch struct {
	events   chan tun.Event
	removed  chan struct{}
	done     chan struct{}
	ended    sync.WaitGroup
	bytes    atomic.Int64 // MTU
	hardware atomic.Pointer[[6]byte]
	up       bool
}

// newWatch sets the link up and follows it.
func newWatch(name string, mtu int) (*watch, error) {
	w := &watch{events: make(chan tun.Event), removed: make(chan struct{}), done: make(chan struct{})}
	updates := make(chan netlink.LinkUpdate)
	if err := netlink.LinkSubscribe(updates, w.done); err != nil {
		return nil, fmt.Errorf("watch the link: %w", err)
	}
	index, err := w.prepare(name, mtu)
	if err != nil {
		close(w.done)
		for range updates {
		}
		return nil, err
	}
	w.ended.Go(func() { w.follow(updates, index) })
	return w, nil
}

// prepare gives the link its MTU and switches neighbour discovery off: all that it carries is for the other end, which
// has no Ethernet address.
func (w *watch) prepare(name string, mtu int) (int, error) {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetMTU(link, mtu)
	}
	if err == nil {
		err = netlink.LinkSetARPOff(link)
	}
	if err == nil {
		link, err = netlink.LinkByName(name)
	}
	if err != nil {
		return 0, fmt.Errorf("set the link up: %w", err)
	}
	w.note(link.Attrs())
	return link.Attrs().Index, nil
}

func (w *watch) note(a *netlink.LinkAttrs) (another bool) {
	if len(a.HardwareAddr) == 6 {
		mac := [6]byte(a.HardwareAddr)
		w.hardware.Store(&mac)
	}
	return w.bytes.Swap(int64(a.MTU)) != int64(a.MTU)
}

func (w *watch) follow(updates <-chan netlink.LinkUpdate, index int) {
	defer close(w.events)
	gone := false
	for u := range updates { // until it is closed, or its sender would wait for ever
		switch {
		case gone || int(u.Index) != index:
		case u.Header.Type == unix.RTM_DELLINK:
			gone = true
			close(w.removed)
		default:
			if w.note(u.Link.Attrs()) {
				w.tell(tun.EventMTUUpdate)
			}
			if up := u.Link.Attrs().Flags&net.FlagUp != 0; up != w.up {
				w.up = up
				w.tell(map[bool]tun.Event{true: tun.EventUp, false: tun.EventDown}[up])
			}
		}
	}
}

func (w *watch) tell(e tun.Event) {
	select {
	case w.events <- e:
	case <-w.done:
	}
}

func (w *watch) mtu() int         { return int(w.bytes.Load()) }
func (w *watch) address() [6]byte { return *w.hardware.Load() }

func (w *watch) close() {
	close(w.done)
	w.ended.Wait()
}
