package names

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"berth/placement"
)

func TestANetworkWithIPv6AnswersBothFamilies(t *testing.T) {
	s := New(Config{Host: "a", ResolvConf: "/dev/null"})
	t.Cleanup(s.Close)
	both := func(e placement.Endpoint, ip6 string) placement.Endpoint {
		e.IP6 = ip(ip6)
		return e
	}
	s.SetZone(Zone{Network: "front", Subnet: netip.MustParsePrefix("10.1.0.0/16"), Subnet6: netip.MustParsePrefix("fd01::/64"),
		Endpoints: []placement.Endpoint{
			both(task1("front", "b", "web", 1, "10.1.0.1"), "fd01::1"), both(task1("front", "a", "web", 2, "10.1.0.2"), "fd01::2"),
			both(task1("front", "a", "web", 3, "10.1.0.3"), "fd01::3"), task1("front", "a", "old", 1, "10.1.0.4"),
		}})
	for _, c := range []struct{ host, name string }{{"b", "shop-web-1"}, {"a", "shop-web-2"}, {"a", "shop-old-1"}} {
		s.SetServing(c.host, c.name, true)
	}
	reverse := func(addr string) string {
		name, err := dns.ReverseAddr(addr)
		must(t, err)
		return name
	}
	tests := map[string]struct {
		name string
		kind uint16
		code int
		want string // what the records say, in order
	}{
		"AAAA, the local task first, the one that does not serve left out": {"web", dns.TypeAAAA, dns.RcodeSuccess, "fd01::2 fd01::1"},
		"A":                           {"web", dns.TypeA, dns.RcodeSuccess, "10.1.0.2 10.1.0.1"},
		"any":                         {"shop-web-1", dns.TypeANY, dns.RcodeSuccess, "10.1.0.1 fd01::1"},
		"AAAA of a task without one":  {"old", dns.TypeAAAA, dns.RcodeSuccess, ""},
		"PTR":                         {reverse("fd01::1"), dns.TypePTR, dns.RcodeSuccess, "shop-web-1."},
		"PTR of a free address":       {reverse("fd01::99"), dns.TypePTR, dns.RcodeNameError, ""},
		"PTR of one elsewhere":        {reverse("fd02::1"), dns.TypePTR, dns.RcodeNameError, ""},
		"what only looks like one":    {strings.Repeat("x.", 32) + "ip6.arpa.", dns.TypePTR, dns.RcodeNameError, ""},
		"a whole network's PTR name":  {"0.0.0.0.1.0.d.f.ip6.arpa.", dns.TypePTR, dns.RcodeNameError, ""},
		"PTR of an IPv4 address here": {reverse("10.1.0.1"), dns.TypePTR, dns.RcodeSuccess, "shop-web-1."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := s.answer(t.Context(), "front", ip("10.1.0.9"), new(dns.Msg).SetQuestion(dns.Fqdn(test.name), test.kind))
			var said []string
			for _, rr := range got.Answer {
				switch rr := rr.(type) {
				case *dns.A:
					said = append(said, rr.A.String())
				case *dns.AAAA:
					said = append(said, rr.AAAA.String())
				case *dns.PTR:
					said = append(said, rr.Ptr)
				}
			}
			if strings.Join(said, " ") != test.want || got.Rcode != test.code {
				t.Errorf("answered %q, %s; want %q, %s", said, dns.RcodeToString[got.Rcode], test.want, dns.RcodeToString[test.code])
			}
		})
	}
}

func TestContainersOfOneNameOnTwoHostsEachSeeTheirOwnNetworks(t *testing.T) {
	s := New(Config{Host: "a", ResolvConf: "/dev/null"})
	t.Cleanup(s.Close)
	probe := func(network, host, addr string) placement.Endpoint {
		return placement.Endpoint{Network: network, Container: "probe", Host: host, IP: ip(addr)}
	}
	s.SetZone(Zone{Network: "front", Endpoints: []placement.Endpoint{probe("front", "a", "10.1.0.1"), probe("front", "b", "10.1.0.2")}})
	s.SetZone(Zone{Network: "back", Endpoints: []placement.Endpoint{probe("back", "a", "10.2.0.1"), task1("back", "b", "db", 1, "10.2.0.5")}})
	s.SetServing("b", "shop-db-1", true)
	for from, want := range map[string]int{"10.1.0.1": dns.RcodeSuccess, "10.1.0.2": dns.RcodeNameError} {
		if got := s.answer(t.Context(), "front", ip(from), new(dns.Msg).SetQuestion("db.", dns.TypeA)); got.Rcode != want {
			t.Errorf("asked from %s: %s, want %s", from, dns.RcodeToString[got.Rcode], dns.RcodeToString[want])
		}
	}
}
