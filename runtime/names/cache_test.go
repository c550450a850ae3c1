package names

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"berth/placement"
)

// record parses a record as a zone file writes it.
func rr(t testing.TB, text string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(text)
	must(t, err)
	return r
}

func TestAnswersOfOthersAreRememberedForAsLongAsTheyAllow(t *testing.T) {
	question := new(dns.Msg).SetQuestion("Example.com.", dns.TypeA)
	soa := rr(t, "example.com. 20 IN SOA ns.example.com. root.example.com. 1 2 3 4 10")
	tests := map[string]struct {
		code       int
		answer, ns []dns.RR
		cut        bool
		want       time.Duration
	}{
		"the shortest of its records":   {answer: []dns.RR{rr(t, "example.com. 60 IN CNAME a.example.com."), rr(t, "a.example.com. 7 IN A 198.51.100.1")}, want: 7 * time.Second},
		"a day is too long":             {answer: []dns.RR{rr(t, "example.com. 86400 IN A 198.51.100.1")}, want: longestKnown},
		"not at all":                    {answer: []dns.RR{rr(t, "example.com. 0 IN A 198.51.100.1")}},
		"a name that does not exist":    {code: dns.RcodeNameError, ns: []dns.RR{soa}, want: 10 * time.Second},
		"a type that does not exist":    {ns: []dns.RR{soa}, want: 10 * time.Second},
		"nothing, and nobody says why":  {code: dns.RcodeNameError},
		"a failure":                     {code: dns.RcodeServerFailure, ns: []dns.RR{soa}},
		"an answer that did not fit":    {answer: []dns.RR{rr(t, "example.com. 60 IN A 198.51.100.1")}, cut: true},
		"a referral to somebody else's": {ns: []dns.RR{rr(t, "example.com. 60 IN NS ns.example.com.")}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1_000_000, 0)
			c := newCache()
			c.now = func() time.Time { return now }
			m := new(dns.Msg).SetRcode(question, test.code)
			m.Answer, m.Ns, m.Truncated = test.answer, test.ns, test.cut
			c.put(question, m)
			again := new(dns.Msg).SetQuestion("example.COM.", dns.TypeA)
			if got := c.get(again); (got != nil) != (test.want > 0) {
				t.Fatalf("at once: %v", got)
			} else if got != nil && (got.Id != again.Id || got.Question[0].Name != "example.COM.") {
				t.Errorf("answers %d %s, asked was %d %s", got.Id, got.Question[0].Name, again.Id, again.Question[0].Name)
			}
			now = now.Add(test.want - time.Second)
			if got := c.get(again); test.want > 0 && (got == nil || test.code == 0 && len(test.answer) == 2 && got.Answer[1].Header().Ttl != 1) {
				t.Errorf("a second before its end: %v", got)
			}
			now = now.Add(time.Second)
			if got := c.get(again); got != nil {
				t.Errorf("after its end: %v", got)
			}
		})
	}
}

func TestWhatIsRememberedIsNotForAnotherQuestion(t *testing.T) {
	c := newCache()
	question := new(dns.Msg).SetQuestion("example.com.", dns.TypeA)
	m := new(dns.Msg).SetReply(question)
	m.Answer = []dns.RR{rr(t, "example.com. 60 IN A 198.51.100.1")}
	c.put(question, m)
	signed := question.Copy().SetEdns0(1232, true)
	local := question.Copy()
	local.RecursionDesired = false
	for name, q := range map[string]*dns.Msg{
		"another type": new(dns.Msg).SetQuestion("example.com.", dns.TypeAAAA), "another name": new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA),
		"with signatures": signed, "without asking others": local,
	} {
		if got := c.get(q); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSafetyTheCacheNeverGrowsBeyondItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_000_000, 0)
		c := newCache()
		c.now = func() time.Time { return now }
		for i := range rapid.IntRange(1, 3*maxCached).Draw(t, "names") {
			now = now.Add(time.Millisecond)
			q := new(dns.Msg).SetQuestion(fmt.Sprintf("n%d.example.com.", i), dns.TypeA)
			m := new(dns.Msg).SetReply(q)
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Ttl: uint32(1 + i%9)}}}
			c.put(q, m)
			if c.get(q) == nil {
				t.Fatalf("n%d is forgotten at once", i)
			}
		}
		if len(c.answers) > maxCached {
			t.Fatalf("%d answers are kept", len(c.answers))
		}
	})
}

func TestAResolverIsAskedOnceForWhatItLetsRemember(t *testing.T) {
	up := serveUpstream(t, "127.9.0.8", answering("198.51.100.8"))
	s := listening(t, resolvConf(t, "127.9.0.8"))
	for _, from := range []string{"127.1.0.1", "127.1.0.2"} {
		if got := text(client{t, s, from}.ask("front", "udp", "www.example.com", dns.TypeA)); got != "NOERROR 198.51.100.8 ttl=60" && got != "NOERROR 198.51.100.8 ttl=59" {
			t.Errorf("from %s: %s", from, got)
		}
	}
	if n := up.asked.Load(); n != 1 {
		t.Errorf("the resolver was asked %d times, want once", n)
	}
}

// Cookies (RFC 7873) are between two: a client drops an answer with another's.
func TestWhatIsBetweenAClientAndItsServerGoesNoFurther(t *testing.T) {
	asked, told := make(chan dns.EDNS0, 10), []dns.EDNS0{}
	up := serveUpstream(t, "127.9.0.10", func(tcp bool, q *dns.Msg) *dns.Msg {
		m := answering("198.51.100.10")(tcp, q)
		m.SetEdns0(1232, false)
		if opt := q.IsEdns0(); opt != nil {
			for _, o := range opt.Option {
				asked <- o
			}
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef0123456789abcdef"}}
		}
		return m
	})
	s := listening(t, resolvConf(t, up.addr))
	for range 2 { // the second is answered from memory
		q := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA).SetEdns0(1232, false)
		q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "fedcba9876543210"}}
		m := s.answer(t.Context(), "front", netip.MustParseAddr("127.1.0.1"), q)
		if m.IsEdns0() == nil || text(m)[:23] != "NOERROR 198.51.100.10 t" {
			t.Errorf("answer %s", m)
			continue
		}
		told = append(told, m.IsEdns0().Option...)
	}
	if len(asked)+len(told) > 0 {
		t.Errorf("the resolver was handed %d cookies, the client %v", len(asked), told)
	}
}

// Engines ask the next name server of a container when one refuses (libnetwork: SERVFAIL and REFUSED, not NXDOMAIN).
func TestAContainerWithItsOwnNameServersIsSentOnToThem(t *testing.T) {
	up := serveUpstream(t, "127.9.0.9", answering("198.51.100.9"))
	s := listening(t, resolvConf(t, "127.9.0.9"))
	own, plain := task1("front", "a", "own", 1, "127.1.0.7"), task1("front", "a", "web", 1, "127.1.0.1")
	own.OwnDNS = true
	s.SetZone(Zone{Network: "front", Subnet: netip.MustParsePrefix("127.1.0.0/16"), Endpoints: []placement.Endpoint{plain, own}})
	for name, test := range map[string]struct{ from, name, want string }{
		"what berth knows":                {"127.1.0.7", "web", "NOERROR 127.1.0.1"},
		"what it does not":                {"127.1.0.7", "example.com", "REFUSED"},
		"for the others the host's serve": {"127.1.0.1", "example.com", "NOERROR 198.51.100.9 ttl=60"},
	} {
		if got := text(client{t, s, test.from}.ask("front", "udp", test.name, dns.TypeA)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	if n := up.asked.Load(); n != 1 {
		t.Errorf("the host's resolver was asked %d times, want once", n)
	}
}
