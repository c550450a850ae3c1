package overlay

import (
	"sync"

	"golang.org/x/sys/unix"

	"berth/runtime/overlay/shortcut"
)

// shortcuts keeps the shortcut in line with the kernel's links. A network whose frames have to pass the firewall has none.
type shortcuts struct {
	way *shortcut.Shortcut // nil: none

	mu      sync.Mutex
	conn    *conn        // of its own, so that the watch waits for no reconciliation
	tunnels map[int]int  // of the networks that have it, by bridge
	refused map[int]bool // tunnels on which the program could not be hung
}

// allow says which networks have a shortcut from their first container on, and takes it from all others. One that is
// leaving keeps what it has.
func (s *shortcuts) allow(links map[uint32]ifaces, want map[uint32]*Network) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tunnels, keep := map[int]int{}, map[int]bool{}
	for vni, n := range want {
		i, stands := links[vni]
		if !stands || n.Leaving && s.tunnels[i.bridge] == 0 || !n.Leaving && n.filtered() {
			continue
		}
		tunnels[i.bridge], keep[i.tunnel.index] = i.tunnel.index, true
	}
	for _, index := range s.way.Tunnels() {
		if !keep[index] {
			s.way.Leave(index)
		}
	}
	s.tunnels = tunnels
}

// shorten brings the shortcut in line with a dump of the links. Those of known that are not in it are gone.
func (o *Overlay) shorten(known []int, links []Link, want map[uint32]*Network) {
	s := &o.shortcuts
	if s.way == nil {
		return
	}
	s.allow(o.links, want)
	there := make(map[int]bool, len(links))
	for _, l := range links {
		there[l.Index] = true
		o.shortenPort(l)
	}
	for _, index := range known {
		if !there[index] {
			s.way.Drop(index)
		}
	}
}

// shortenPort makes a container's port known as soon as it carries frames, and forgets one that has left its bridge. The
// container has its MAC address by then: engines give it one before they let its end up.
func (o *Overlay) shortenPort(l Link) {
	s := &o.shortcuts
	if s.way == nil || l.Kind != "veth" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tunnel := s.tunnels[l.Master]
	if tunnel == 0 || s.refused[tunnel] || !l.Apart || !l.Carrier {
		s.way.Drop(l.Index)
		return
	}
	if s.way.Knows(tunnel, l.Index) {
		return
	}
	if err := s.way.Enter(tunnel); err != nil {
		s.refused[tunnel] = true
		o.log.Info("all frames of a network take its bridge", "port", l.Name, "err", err)
		return
	}
	mac, err := otherEnd(s.conn, l)
	if err == nil && mac != (MAC{}) {
		err = s.way.Put(tunnel, l.Index, mac)
	}
	if err != nil && !gone(err) {
		o.log.Debug("a container's frames take the bridge", "port", l.Name, "err", err)
	}
}

// linkChanged follows the kernel's word on a link.
func (o *Overlay) linkChanged(kind uint16, l Link) {
	if kind == unix.RTM_DELLINK { // gone, or only out of its bridge
		o.shortcuts.way.Drop(l.Index)
	} else {
		o.shortenPort(l)
	}
}

// filtered reports whether a network's frames have to pass the host's firewall.
func (n *Network) filtered() bool { return n.Filter || userlandProxyOff(BridgeName(n.VNI)) }
