package tap

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// watch follows what is done to the link by others.
type watch struct {
	socket   *nl.NetlinkSocket // on which the kernel tells of links
	links    *netlink.Handle   // to look at the link when it could not
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
	var err error
	if w.socket, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK); err != nil {
		return nil, fmt.Errorf("watch the link: %w", err)
	}
	index := 0
	if w.links, err = netlink.NewHandle(unix.NETLINK_ROUTE); err == nil {
		index, err = w.prepare(name, mtu)
	}
	if err != nil {
		w.release()
		return nil, err
	}
	w.ended.Go(func() { w.follow(index) })
	return w, nil
}

func (w *watch) release() {
	w.socket.Close()
	if w.links != nil {
		w.links.Close()
	}
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

// settled is how long the kernel has nothing to tell before all that it had is read.
const settled = time.Millisecond

// follow takes in what the kernel tells, until close. When it has more to tell of links than the socket holds, it drops what
// happens from then on until all is read: only after that is a look at the link worth anything.
func (w *watch) follow(index int) {
	defer close(w.events)
	lost := false
	for {
		messages, from, err := w.socket.Receive()
		select {
		case <-w.done:
			return
		default:
		}
		switch {
		case errors.Is(err, unix.EINTR):
		case lost && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, unix.EAGAIN)):
			lost = false
			w.wait(0)
			if w.look(index) {
				return
			}
		case err != nil:
			lost = true
			w.wait(settled)
		case from.Pid == nl.PidKernel && !lost:
			for _, m := range messages {
				if w.take(index, m) {
					return
				}
			}
		}
	}
}

// wait bounds how long the kernel is waited for; 0 is for ever.
func (w *watch) wait(d time.Duration) {
	t := unix.NsecToTimeval(d.Nanoseconds())
	_ = w.socket.SetReceiveTimeout(&t) // it only notes the time
}

// take takes a message in, and reports whether the link is gone.
func (w *watch) take(index int, m syscall.NetlinkMessage) (gone bool) {
	if m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK {
		return false
	}
	if len(m.Data) < unix.SizeofIfInfomsg {
		return false
	}
	if about := nl.DeserializeIfInfomsg(m.Data); int(about.Index) != index || about.Family == unix.AF_BRIDGE { // a port's own
		return false
	}
	if m.Header.Type == unix.RTM_DELLINK {
		close(w.removed)
		return true
	}
	header := unix.NlMsghdr(m.Header)
	if link, err := netlink.LinkDeserialize(&header, m.Data); err == nil {
		w.changed(link.Attrs())
	}
	return false
}

// look asks how the link is, and reports whether it is gone.
func (w *watch) look(index int) (gone bool) {
	link, err := w.links.LinkByIndex(index)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		close(w.removed)
		return true
	}
	if err == nil {
		w.changed(link.Attrs())
	}
	return false
}

func (w *watch) changed(a *netlink.LinkAttrs) {
	if w.note(a) {
		w.tell(tun.EventMTUUpdate)
	}
	if up := a.Flags&net.FlagUp != 0; up != w.up {
		w.up = up
		w.tell(map[bool]tun.Event{true: tun.EventUp, false: tun.EventDown}[up])
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
	w.socket.Close() // which ends the wait for the kernel
	w.ended.Wait()
	w.links.Close()
}
