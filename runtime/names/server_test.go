package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"berth/placement"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream is a resolver of the outside world on a loopback address, port 53.
type upstream struct {
	addr  string
	asked atomic.Int32
}

// serveUpstream answers UDP and TCP with what handle says; nil leaves the client waiting.
func serveUpstream(t *testing.T, addr string, handle func(tcp bool, q *dns.Msg) *dns.Msg) *upstream {
	t.Helper()
	u := &upstream{addr: addr}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		u.asked.Add(1)
		_, tcp := w.RemoteAddr().(*net.TCPAddr)
		if m := handle(tcp, q); m != nil {
			_ = w.WriteMsg(m)
		}
	})
	packets, err := net.ListenPacket("udp", addr+":53")
	if errors.Is(err, os.ErrPermission) {
		t.Skip("needs root to listen on port 53")
	}
	must(t, err)
	stream, err := net.Listen("tcp", addr+":53")
	must(t, err)
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: stream, Handler: handler}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		wg.Go(func() { _ = server.ActivateAndServe() })
		<-started
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	return u
}

// answering is an upstream that knows every name with a dot.
func answering(ip string) func(bool, *dns.Msg) *dns.Msg {
	return func(_ bool, q *dns.Msg) *dns.Msg {
		m := new(dns.Msg).SetReply(q)
		if strings.Count(q.Question[0].Name, ".") < 2 {
			return m.SetRcode(q, dns.RcodeNameError)
		}
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.ParseIP(ip)}}
		return m
	}
}

func resolvConf(t testing.TB, servers ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	must(t, os.WriteFile(path, []byte(b.String()), 0o644))
	return path
}

// client asks the server from a loopback address, as a container with that address.
type client struct {
	t    *testing.T
	s    *Server
	from string
}

func (c client) ask(network, proto, name string, kind uint16) *dns.Msg {
	c.t.Helper()
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	local := net.ParseIP(c.from)
	d := &net.Dialer{LocalAddr: &net.UDPAddr{IP: local}}
	if proto == "tcp" {
		d.LocalAddr = &net.TCPAddr{IP: local}
	}
	x := dns.Client{Net: proto, Dialer: d, Timeout: 5 * time.Second}
	m, _, err := x.Exchange(q, c.s.Addr(network).String())
	must(c.t, err)
	return m
}

// listening is a server whose tasks have loopback addresses, so that the test can ask in their name.
func listening(t *testing.T, resolvConf string) *Server {
	t.Helper()
	s := New(Config{Host: "a", ResolvConf: resolvConf})
	t.Cleanup(s.Close)
	s.SetZone(Zone{Network: "front", Subnet: netip.MustParsePrefix("127.1.0.0/16"), Endpoints: []placement.Endpoint{task1("front", "a", "web", 1, "127.1.0.1"), task1("front", "b", "api", 1, "127.1.0.2")}})
	s.SetZone(Zone{Network: "back", Subnet: netip.MustParsePrefix("127.2.0.0/16"), Endpoints: []placement.Endpoint{task1("back", "b", "api", 1, "127.2.0.2"), task1("back", "b", "db", 1, "127.2.0.3")}})
	s.SetServing("a", "shop-web-1", true)
	s.SetServing("b", "shop-api-1", true)
	must(t, s.Listen(t.Context(), "front", netip.MustParseAddrPort("127.1.255.1:0")))
	must(t, s.Listen(t.Context(), "back", netip.MustParseAddrPort("127.2.255.1:0")))
	return s
}

func text(m *dns.Msg) string {
	out := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		switch r := rr.(type) {
		case *dns.A:
			out = append(out, r.A.String())
		case *dns.PTR:
			out = append(out, r.Ptr)
		}
		if own := rr.Header().Ttl; own > 1 {
			out = append(out, fmt.Sprintf("ttl=%d", own))
		}
	}
	return strings.Join(out, " ")
}

func TestAnswersOverTheNetwork(t *testing.T) {
	serveUpstream(t, "127.9.0.1", answering("198.51.100.1"))
	s := listening(t, resolvConf(t, "127.9.0.1"))
	tests := map[string]struct {
		network, from, name string
		kind                uint16
		want                string
	}{
		"a service":                           {"front", "127.1.0.1", "web", dns.TypeA, "NOERROR 127.1.0.1"},
		"in capitals":                         {"front", "127.1.0.1", "WEB.Shop", dns.TypeA, "NOERROR 127.1.0.1"},
		"no IPv6, and no error":               {"front", "127.1.0.1", "web", dns.TypeAAAA, "NOERROR"},
		"another type":                        {"front", "127.1.0.1", "web", dns.TypeMX, "NOERROR"},
		"known, but nothing serves":           {"back", "127.2.0.2", "db", dns.TypeA, "NOERROR"},
		"a name of a network it is not on":    {"front", "127.1.0.1", "db", dns.TypeA, "NXDOMAIN"},
		"by way of its other network":         {"front", "127.1.0.2", "db", dns.TypeA, "NOERROR"},
		"a name of the world":                 {"front", "127.1.0.1", "example.com", dns.TypeA, "NOERROR 198.51.100.1 ttl=60"},
		"a name without a dot, of the world":  {"front", "127.1.0.1", "printer", dns.TypeA, "NXDOMAIN"},
		"whose address is it":                 {"front", "127.1.0.1", "2.0.1.127.in-addr.arpa", dns.TypePTR, "NOERROR shop-api-1."},
		"an address that nobody here has":     {"front", "127.1.0.1", "77.0.1.127.in-addr.arpa", dns.TypePTR, "NXDOMAIN"},
		"an address of the world (forwarded)": {"front", "127.1.0.1", "1.100.51.198.in-addr.arpa", dns.TypePTR, "NOERROR 198.51.100.1 ttl=60"},
	}
	for name, test := range tests {
		for _, proto := range []string{"udp", "tcp"} {
			t.Run(name+" by "+proto, func(t *testing.T) {
				m := client{t, s, test.from}.ask(test.network, proto, test.name, test.kind)
				if got := text(m); got != test.want {
					t.Errorf("%s: %s, want %s", test.name, got, test.want)
				}
			})
		}
	}
}

func TestWithoutResolversUnknownNamesFailAtOnce(t *testing.T) {
	s := listening(t, "/dev/null")
	for _, name := range []string{"nobody", "example.com"} {
		if got := text(client{t, s, "127.1.0.1"}.ask("front", "udp", name, dns.TypeA)); got != "NXDOMAIN" {
			t.Errorf("%s: %s, want NXDOMAIN", name, got)
		}
	}
}

func TestASilentResolverIsPassedOverAndThenAskedLast(t *testing.T) {
	silent := serveUpstream(t, "127.9.0.2", func(bool, *dns.Msg) *dns.Msg { return nil })
	serveUpstream(t, "127.9.0.3", answering("198.51.100.3"))
	s := listening(t, resolvConf(t, "127.9.0.2", "127.9.0.3"))
	c := client{t, s, "127.1.0.1"}
	for i := range 5 {
		if got := text(c.ask("front", "udp", fmt.Sprintf("%d.example.com", i), dns.TypeA)); got != "NOERROR 198.51.100.3 ttl=60" {
			t.Errorf("got %s", got)
		}
	}
	if n := silent.asked.Load(); n != 1 {
		t.Errorf("the silent resolver was asked %d times, want once", n)
	}
}

func TestAFailingResolverIsPassedOver(t *testing.T) {
	serveUpstream(t, "127.9.0.4", func(_ bool, q *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(q, dns.RcodeServerFailure) })
	serveUpstream(t, "127.9.0.5", answering("198.51.100.5"))
	s := listening(t, resolvConf(t, "127.9.0.4", "127.9.0.5"))
	if got := text(client{t, s, "127.1.0.1"}.ask("front", "udp", "example.com", dns.TypeA)); got != "NOERROR 198.51.100.5 ttl=60" {
		t.Errorf("got %s", got)
	}
}

func TestWithAllResolversSilentNobodyWaitsLong(t *testing.T) {
	serveUpstream(t, "127.9.0.6", func(bool, *dns.Msg) *dns.Msg { return nil })
	s := listening(t, resolvConf(t, "127.9.0.6"))
	c := client{t, s, "127.1.0.1"}
	begin := time.Now()
	if got := text(c.ask("front", "udp", "nobody", dns.TypeA)); got != "NXDOMAIN" {
		t.Errorf("a name without a dot: %s, want NXDOMAIN", got)
	}
	first := time.Since(begin)
	begin = time.Now()
	if got := text(c.ask("front", "udp", "example.com", dns.TypeA)); got != "SERVFAIL" {
		t.Errorf("a name with a dot: %s, want SERVFAIL", got)
	}
	if took := time.Since(begin); took >= first {
		t.Errorf("the second question took %s, the first one %s", took, first)
	}
}

func TestAnswersThatDoNotFitAreFetchedByTCP(t *testing.T) {
	serveUpstream(t, "127.9.0.7", func(tcp bool, q *dns.Msg) *dns.Msg {
		m := new(dns.Msg).SetReply(q)
		for i := range 100 {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(198, 51, 100, byte(i))})
		}
		if !tcp {
			m.Truncate(512)
		}
		return m
	})
	s := listening(t, resolvConf(t, "127.9.0.7"))
	c := client{t, s, "127.1.0.1"}
	m := c.ask("front", "udp", "big.example.com", dns.TypeA)
	m.Compress = true // as it was sent
	if !m.Truncated || len(m.Answer) == 0 || m.Len() > 512 {
		t.Errorf("by UDP: truncated %t, %d answers, %d bytes; want what fits and the mark", m.Truncated, len(m.Answer), m.Len())
	}
	if m := c.ask("front", "tcp", "big.example.com", dns.TypeA); m.Truncated || len(m.Answer) != 100 {
		t.Errorf("by TCP: truncated %t, %d answers; want all", m.Truncated, len(m.Answer))
	}
}

func TestManyTasksAreCutToWhatFitsAndWholeByTCP(t *testing.T) {
	s := listening(t, "/dev/null")
	z := Zone{Network: "front"}
	for i := range 60 {
		e := task1("front", "b", "many", 1, netip.AddrFrom4([4]byte{127, 1, 1, byte(i)}).String())
		e.Container = fmt.Sprintf("shop-many-%d", i)
		z.Endpoints = append(z.Endpoints, e)
		s.SetServing("b", e.Container, true)
	}
	s.SetZone(z)
	c := client{t, s, "127.1.1.0"}
	if m := c.ask("front", "udp", "tasks.many", dns.TypeA); !m.Truncated || len(m.Answer) < 20 {
		t.Errorf("by UDP: truncated %t, %d answers", m.Truncated, len(m.Answer))
	}
	if m := c.ask("front", "tcp", "tasks.many", dns.TypeA); m.Truncated || len(m.Answer) != 60 {
		t.Errorf("by TCP: truncated %t, %d answers", m.Truncated, len(m.Answer))
	}
}

func TestAListenerMovesAndStops(t *testing.T) {
	s := listening(t, "/dev/null")
	first := s.Addr("front")
	must(t, s.Listen(t.Context(), "front", netip.MustParseAddrPort("127.1.255.2:0")))
	if s.Addr("front").Addr() == first.Addr() {
		t.Error("the listener stayed where it was")
	}
	if got := text(client{t, s, "127.1.0.1"}.ask("front", "udp", "web", dns.TypeA)); got != "NOERROR 127.1.0.1" {
		t.Errorf("at the new address: %s", got)
	}
	s.Unlisten("front")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := new(net.Dialer).DialContext(ctx, "tcp", first.String()); err == nil {
		t.Error("somebody still listens")
	}
	// An address that no interface has yet is no obstacle.
	must(t, s.Listen(t.Context(), "front", netip.MustParseAddrPort("203.0.113.1:5353")))
}

func TestAResolverThatIsThisServerIsLeftOut(t *testing.T) {
	s := listening(t, resolvConf(t, "127.1.255.1"))
	s.Reload()
	if got := text(client{t, s, "127.1.0.1"}.ask("front", "udp", "example.com", dns.TypeA)); got != "NXDOMAIN" {
		t.Errorf("got %s, want NXDOMAIN as without resolvers", got)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
