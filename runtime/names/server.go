package names

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// Config is how a Server is made.
type Config struct {
	Host       string // this host's name: its tasks are answered first
	ResolvConf string // file with the resolvers to forward to; "" is /etc/resolv.conf
	Log        *slog.Logger
}

// Server answers names on any number of networks. Its methods are safe for concurrent use.
type Server struct {
	host    string
	log     *slog.Logger
	forward *forwarder

	current atomic.Pointer[snapshot]

	mu        sync.Mutex // of writers only
	flags     map[task]*atomic.Bool
	listeners map[string]*listener // by network
}

// New makes a server that listens nowhere and knows no names.
func New(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.ResolvConf == "" {
		c.ResolvConf = "/etc/resolv.conf"
	}
	s := &Server{host: c.Host, log: c.Log, forward: newForwarder(c.ResolvConf, c.Log),
		flags: map[task]*atomic.Bool{}, listeners: map[string]*listener{}}
	s.current.Store(newSnapshot(nil))
	s.Reload()
	return s
}

// SetZone makes the names of a network as given, at once for all queries that come after.
func (s *Server) SetZone(z Zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.Store(s.current.Load().with(compile(z, s.flag)))
}

// RemoveZone forgets a network's names.
func (s *Server) RemoveZone(network string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.Store(s.current.Load().without(network))
}

// SetServing says whether a container on a host is to be answered with. It may be said before the endpoint is known.
func (s *Server) SetServing(host, container string, serving bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flag(task{host, container}).Store(serving)
}

// Forget drops what is known of containers that keep does not want, for the memory of those long gone. The flag of one that
// has a name stays, and says no: its state may come.
func (s *Server) Forget(keep func(host, container string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, flag := range s.flags {
		if keep(t.host, t.container) {
			continue
		}
		flag.Store(false)
		if !slices.ContainsFunc(s.current.Load().zones, func(z *zone) bool { return z.containers[t] != nil }) {
			delete(s.flags, t)
		}
	}
}

func (s *Server) flag(t task) *atomic.Bool {
	f := s.flags[t]
	if f == nil {
		f = new(atomic.Bool)
		s.flags[t] = f
	}
	return f
}

// Reload reads the host's resolvers again.
func (s *Server) Reload() {
	s.mu.Lock()
	own := map[netip.Addr]bool{}
	for _, l := range s.listeners {
		own[l.addr.Addr()] = true
	}
	s.mu.Unlock()
	s.forward.reload(own)
}

// listener is a network's UDP and TCP socket.
type listener struct {
	addr    netip.AddrPort
	cancel  context.CancelFunc // ends forwarding for its clients
	servers []*dns.Server
	wg      sync.WaitGroup
}

// Listen answers the containers of a network on an address, UDP and TCP; it moves there from another one. The address
// need not be on an interface yet.
func (s *Server) Listen(ctx context.Context, network string, addr netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.listeners[network]; old != nil {
		if old.addr == addr {
			return nil
		}
		s.stop(old)
		delete(s.listeners, network)
	}
	// The address appears with the engine's network and may vanish with it; free binding outlives both.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
		}), err)
	}}
	packets, err := lc.ListenPacket(ctx, "udp4", addr.String())
	if err != nil {
		return fmt.Errorf("names: listen on network %s: %w; is another name server bound to every address of this host?", network, err)
	}
	actual := packets.LocalAddr().(*net.UDPAddr).AddrPort()
	stream, err := lc.Listen(ctx, "tcp4", actual.String())
	if err != nil {
		packets.Close()
		return fmt.Errorf("names: listen on network %s: %w; is another name server bound to every address of this host?", network, err)
	}
	// The listener outlives the call, so its context is its own.
	life, cancel := context.WithCancel(context.Background())
	l := &listener{addr: addr, cancel: cancel}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { s.serve(life, network, w, q) })
	for _, server := range []*dns.Server{
		{PacketConn: packets, Handler: handler, UDPSize: maxUDP}, {Listener: stream, Handler: handler},
	} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		l.wg.Go(func() {
			if err := server.ActivateAndServe(); err != nil && life.Err() == nil {
				s.log.Warn("name server ended", "network", network, "err", err)
			}
		})
		<-started
		l.servers = append(l.servers, server)
	}
	s.listeners[network] = l
	return nil
}

// Addr returns the address that a network's listener is bound to; the zero value without one.
func (s *Server) Addr(network string) netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.listeners[network]; l != nil {
		return l.servers[0].PacketConn.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	return netip.AddrPort{}
}

// Unlisten stops answering on a network.
func (s *Server) Unlisten(network string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.listeners[network]; l != nil {
		s.stop(l)
		delete(s.listeners, network)
	}
}

func (s *Server) stop(l *listener) {
	l.cancel()
	for _, server := range l.servers {
		_ = server.Shutdown()
	}
	l.wg.Wait()
}

// Close stops all listeners and waits for what is being answered.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for network, l := range s.listeners {
		s.stop(l)
		delete(s.listeners, network)
	}
}

// maxUDP is the largest datagram taken from a client, bytes; queries are small.
const maxUDP = 4096

// serve answers one query.
func (s *Server) serve(ctx context.Context, network string, w dns.ResponseWriter, q *dns.Msg) {
	from, err := netip.ParseAddrPort(w.RemoteAddr().String())
	if err != nil {
		return
	}
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	answer := s.answer(ctx, network, from.Addr(), q)
	answer.Compress = true
	if !tcp {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		answer.Truncate(size)
	}
	if err := w.WriteMsg(answer); err != nil {
		s.log.Debug("answer not sent", "network", network, "to", from, "err", err)
	}
}

// answer finds the answer in the zones or elsewhere.
func (s *Server) answer(ctx context.Context, network string, from netip.Addr, q *dns.Msg) *dns.Msg {
	if q.Opcode != dns.OpcodeQuery || len(q.Question) != 1 {
		return new(dns.Msg).SetRcode(q, dns.RcodeNotImplemented)
	}
	question := q.Question[0]
	name := strings.ToLower(strings.TrimSuffix(question.Name, "."))
	zones, asker := s.current.Load().seenBy(network, from)
	if linked, ok := asker.links[name]; ok {
		name = linked
	}
	header := dns.RR_Header{Name: question.Name, Class: dns.ClassINET}

	if addr, ok := reverseAddr(name); ok && question.Qtype == dns.TypePTR {
		if container, inside := reverse(zones, addr); container != "" {
			header.Rrtype = dns.TypePTR
			return own(q, dns.RcodeSuccess, &dns.PTR{Hdr: header, Ptr: dns.Fqdn(container)})
		} else if inside {
			return own(q, dns.RcodeNameError)
		}
	}
	if m, ok := s.answerService(q, name, zones, asker.links); ok {
		return m
	}
	found, known := find(zones, name, s.host)
	switch {
	case known:
	case asker.elsewhere:
		// The engine's resolver then asks the next of its list: the container's own name servers, from where it is.
		return new(dns.Msg).SetRcode(q, dns.RcodeRefused)
	default:
		return s.forward.ask(ctx, q)
	}
	return own(q, dns.RcodeSuccess, addressRecords(header, question.Qtype, found)...)
}

// own is an answer of which nobody knows better.
func own(q *dns.Msg, code int, records ...dns.RR) *dns.Msg {
	m := new(dns.Msg).SetRcode(q, code)
	m.Authoritative, m.RecursionAvailable = true, true
	m.Answer = records
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(maxUDP, false)
	}
	return m
}

// addressRecords are the A and AAAA records of endpoints, as far as the type of the question wants them.
func addressRecords(header dns.RR_Header, kind uint16, found []*record) []dns.RR {
	var records []dns.RR
	for _, r := range found {
		if kind == dns.TypeA || kind == dns.TypeANY {
			header.Rrtype = dns.TypeA
			records = append(records, &dns.A{Hdr: header, A: r.ip.AsSlice()})
		}
		if (kind == dns.TypeAAAA || kind == dns.TypeANY) && r.ip6.IsValid() {
			header.Rrtype = dns.TypeAAAA
			records = append(records, &dns.AAAA{Hdr: header, AAAA: r.ip6.AsSlice()})
		}
	}
	return records
}

// reverseAddr reads "4.3.2.1.in-addr.arpa", and the 32 nibbles before ip6.arpa (RFC 3596 section 2.5).
func reverseAddr(name string) (netip.Addr, bool) {
	if nibbles, ok := strings.CutSuffix(name, ".ip6.arpa"); ok {
		return reverseAddr6(nibbles)
	}
	octets, ok := strings.CutSuffix(name, ".in-addr.arpa")
	if !ok {
		return netip.Addr{}, false
	}
	parts := strings.Split(octets, ".")
	if len(parts) != 4 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0])
	return a, err == nil
}

func reverseAddr6(nibbles string) (netip.Addr, bool) {
	var b [16]byte
	parts := strings.Split(nibbles, ".")
	if len(parts) != 2*len(b) {
		return netip.Addr{}, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 16, 4)
		if err != nil || len(p) != 1 {
			return netip.Addr{}, false
		}
		b[15-i/2] |= byte(n) << (4 * (i % 2))
	}
	return netip.AddrFrom16(b), true
}
