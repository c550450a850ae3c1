// Package ingress answers ports in mode ingress on a host: what comes to such a port, on any address of the host, goes to
// one of the service's tasks that serve, on whatever host.
//
//	client ── eth0 ─ prerouting: DNAT, one backend at random ─ bt<VNI> ─┬─ local task: sees the client's address
//	host's own processes ─ output: the same ────────────────────────────┴─ tunnel ─ remote task: sees this host's gateway
//
// IPv4 is done by the kernel (table.go): the nftables table [TableName] chooses, connection tracking keeps each flow on
// its task. With nobody running, the rules stay and traffic flows. What IPv4 rules cannot do, calls to the loopback
// address and over IPv6, a small proxy in this process does (listener.go); its sockets also reserve the port, so that
// nothing else on the host can take it.
//
// What is on the host is known by its name: the table, and two rules in the engine's chain DOCKER-USER with the comment
// [Comment] (filter.go). Nothing else is changed.
package ingress

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// order is the byte order of what the kernel is given: the machine's own.
var order = binary.NativeEndian

// TableName is berth's nftables table of the family ip: "nft list table ip berth-ports" shows it.
const TableName = "berth-ports"

// Port is a published port and where it leads.
type Port struct {
	Published uint16
	Protocol  string // tcp or udp
	Backends  []Backend
}

// Name is the port as chains are called: "tcp-80".
func (p Port) Name() string { return p.Protocol + "-" + strconv.Itoa(int(p.Published)) }

// String is the port in messages: "80/tcp".
func (p Port) String() string { return strconv.Itoa(int(p.Published)) + "/" + p.Protocol }

// Backend is a task that serves.
type Backend struct {
	Addr  netip.AddrPort // IPv4, on the overlay
	Local bool           // on this host: it sees the client's own address
}

// State is all that this host shall answer.
type State struct {
	Ports []Port // by number and protocol, each once; backends sorted
	// Subnets are those of the networks that the ports lead to. Callers on them are seen by their host's gateway, or the
	// task would answer them past the host.
	Subnets []netip.Prefix
}

// Config is how an Ingress is opened.
type Config struct {
	Log *slog.Logger // nil: slog.Default()
}

// Ingress works on the network namespace that it was opened in, where its callers are too. Its methods are for one
// goroutine, but for DropFlows.
type Ingress struct {
	log  *slog.Logger
	nft  *nftables.Conn
	last *State // as the kernel has it; nil while that is not known

	listeners map[string]*listener // by Port.Name

	flows  sync.Mutex
	handle *netlink.Handle
}

// Open binds to the network namespace of the calling thread.
func Open(c Config) (*Ingress, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	h, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("ingress: open a netlink socket: %w", err)
	}
	i := &Ingress{log: c.Log, handle: h, listeners: map[string]*listener{}}
	if err := i.dial(); err != nil {
		h.Close()
		return nil, err
	}
	return i, nil
}

func (i *Ingress) dial() error {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("ingress: open an nftables socket: %w", err)
	}
	i.nft = c
	return nil
}

// Close closes sockets and the proxy's connections. What is in the kernel stays.
func (i *Ingress) Close() {
	for name, l := range i.listeners {
		l.close()
		delete(i.listeners, name)
	}
	_ = i.nft.CloseLasting()
	i.flows.Lock()
	defer i.flows.Unlock()
	i.handle.Close()
}

// Apply makes the host answer as the state says. A port that cannot be answered is in problems, by its String, with a
// sentence; the others are. An error says that the kernel refused: then nothing has changed, and Apply may be called again.
func (i *Ingress) Apply(s State) (problems map[string]string, err error) {
	problems = i.listen(s.Ports)
	s.Ports = slices.DeleteFunc(slices.Clone(s.Ports), func(p Port) bool { return problems[p.String()] != "" })
	if err := i.write(s); err != nil {
		i.last = nil
		_ = i.nft.CloseLasting() // a socket may be out of step with its answers
		if e := i.dial(); e != nil {
			return problems, e
		}
		return problems, err
	}
	i.last = &s
	for _, p := range s.Ports {
		i.listeners[p.Name()].lead(p.Backends)
	}
	return problems, nil
}

// write brings table and filter rules in line.
func (i *Ingress) write(s State) error {
	if len(s.Ports) == 0 {
		if i.last != nil && len(i.last.Ports) == 0 {
			return nil
		}
		if err := i.removeTable(); err != nil {
			return err
		}
		return i.removeFilter()
	}
	if i.last == nil || !sameShape(i.last, &s) {
		if err := i.ensureFilter(); err != nil {
			return err
		}
		return i.rewrite(s)
	}
	return i.refill(s)
}

// Verify makes Apply write everything anew, if what it wrote last is not there any more.
func (i *Ingress) Verify() error {
	if i.last == nil || len(i.last.Ports) == 0 {
		return nil
	}
	if err := i.ensureFilter(); err != nil {
		return err
	}
	stands, err := i.stands()
	if err == nil && !stands {
		i.last = nil
	}
	return err
}

// sameShape reports whether only backends differ.
func sameShape(a, b *State) bool {
	return slices.Equal(a.Subnets, b.Subnets) && slices.EqualFunc(a.Ports, b.Ports, func(p, q Port) bool { return p.Name() == q.Name() })
}
