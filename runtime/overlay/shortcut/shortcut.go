// Package shortcut spares frames that come out of a tunnel the way through its bridge, on kernels that can (Linux 6.6 or
// later): a small program looks at whom a frame is for, and hands it straight into that container's network namespace.
//
//	vxlan vx<VNI> ──┬── for a container of this host ─────────── its eth0
//	                └── all else ── bridge bt<VNI> ── veth ────── its eth0
//
// A veth hands a frame over by way of a queue, which costs more than all that the bridge does. What is not known here, and
// broadcast, takes the bridge as ever: the tables may lack anything at any time, and nothing but speed is lost. What
// containers send takes the bridge too, which so keeps knowing where they are.
//
// The programs hang on links that live no longer than this process: when it ends, however it ends, the kernel takes them
// off and the bridge has everything again. The table of containers' ports is a device map, out of which the kernel itself
// takes a port that is deleted. So no frame goes to where a container was.
package shortcut

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// maxPorts is how many containers of a host can be known at the same time, those of more than one network counted for
// each; the frames of more of them take the bridge. A place costs 8 bytes.
const maxPorts = 1 << 12

// MAC is an Ethernet address.
type MAC = [6]byte

// Shortcut holds the program, its tables and what it hangs on. Its methods are safe for concurrent use, and those of a nil
// Shortcut do nothing. Links are named by their index in the network namespace of the calling thread.
type Shortcut struct {
	tables  tables
	program *ebpf.Program

	mu      sync.Mutex
	tunnels map[int]link.Link
	ports   map[int]port
	used    map[uint32]bool // places in the device map
}

// port is a container's port of a tunnel's bridge.
type port struct {
	tunnel int
	mac    MAC
	place  uint32
}

// Open loads the program. It takes CAP_SYS_ADMIN, or CAP_BPF and CAP_NET_ADMIN; all that comes later takes CAP_NET_ADMIN
// alone. An error says that this kernel, or who runs this process, cannot.
func Open() (_ *Shortcut, err error) {
	s := &Shortcut{tunnels: map[int]link.Link{}, ports: map[int]port{}, used: map[uint32]bool{}}
	defer func() {
		if err != nil {
			s.Close()
			err = fmt.Errorf("shortcut: load its program: %w", err)
		}
	}()
	if s.tables, err = newTables(); err != nil {
		return nil, err
	}
	s.program, err = s.tables.program()
	return s, err
}

// Close takes the program off. The bridges have everything again.
func (s *Shortcut) Close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for index := range s.tunnels {
		s.leave(index)
	}
	if s.program != nil {
		s.program.Close()
	}
	s.tables.close()
}

// Enter has the frames looked at that come out of a tunnel. Again is no error. The kernel needs some milliseconds.
func (s *Shortcut) Enter(tunnel int) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tunnels[tunnel] != nil {
		return nil
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: tunnel, Program: s.program, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return fmt.Errorf("shortcut: hang the program on tunnel %d: %w", tunnel, err)
	}
	s.tunnels[tunnel] = l
	return nil
}

// Leave gives a tunnel's frames back to its bridge. One that has not entered is no error.
func (s *Shortcut) Leave(tunnel int) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave(tunnel)
}

func (s *Shortcut) leave(tunnel int) {
	l := s.tunnels[tunnel]
	if l == nil {
		return
	}
	delete(s.tunnels, tunnel)
	_ = l.Close() // the link may be gone, and the program with it
	for index, p := range s.ports {
		if p.tunnel == tunnel {
			s.drop(index)
		}
	}
}

// Tunnels are those that have entered, sorted.
func (s *Shortcut) Tunnels() []int {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.tunnels))
}

// Ports are the containers' ports that are known, sorted.
func (s *Shortcut) Ports() []int {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.ports))
}

// Knows reports whether a port is known as one of a tunnel's bridge.
func (s *Shortcut) Knows(tunnel, index int) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.ports[index]
	return ok && p.tunnel == tunnel
}

// Put makes a container's port of a tunnel's bridge known: the host's end of a veth pair, whose other end has the MAC
// address and is in another network namespace.
func (s *Shortcut) Put(tunnel, index int, mac MAC) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(index)
	p := port{tunnel: tunnel, mac: mac}
	for s.used[p.place] {
		p.place++
	}
	err := errors.New("there are too many")
	if p.place < maxPorts {
		err = s.tables.devices.Put(p.place, uint32(index))
	}
	if err == nil {
		s.used[p.place], s.ports[index] = true, p
		if err = s.tables.places.Put(keyOf(tunnel, mac), p.place); err != nil {
			s.drop(index)
		}
	}
	if err != nil {
		return fmt.Errorf("shortcut: make port %d known: %w", index, err)
	}
	return nil
}

// Drop forgets a container's port. One that is not known is no error.
func (s *Shortcut) Drop(index int) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(index)
}

func (s *Shortcut) drop(index int) {
	p, ok := s.ports[index]
	if !ok {
		return
	}
	delete(s.ports, index)
	delete(s.used, p.place)
	// A container that was started again has its address on another port already.
	var place uint32
	if key := keyOf(p.tunnel, p.mac); s.tables.places.Lookup(key, &place) == nil && place == p.place {
		_ = s.tables.places.Delete(key)
	}
	_ = s.tables.devices.Delete(p.place) // of a port that was deleted, the kernel has done it
}
