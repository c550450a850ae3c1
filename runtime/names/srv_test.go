package names

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"berth/placement"
)

func TestPublishedPortsHaveServiceRecords(t *testing.T) {
	s := New(Config{Host: "a", ResolvConf: "/dev/null"})
	t.Cleanup(s.Close)
	ports := []placement.EndpointPort{{Name: "http", Target: 8000, Protocol: "tcp"}, {Target: 53, Protocol: "udp"}}
	with := func(e placement.Endpoint) placement.Endpoint {
		e.Ports = ports
		return e
	}
	asker := linked(task1("front", "a", "api", 1, "10.1.0.9"), "site", "web")
	s.SetZone(Zone{Network: "front", Subnet: netip.MustParsePrefix("10.1.0.0/16"), Endpoints: []placement.Endpoint{
		with(task1("front", "b", "web", 1, "10.1.0.1")), with(task1("front", "a", "web", 2, "10.1.0.2")),
		with(task1("front", "b", "web", 3, "10.1.0.3")), asker, with(task1("front", "a", "db", 1, "10.1.0.5", "postgres")),
	}})
	for _, c := range []struct{ host, name string }{{"b", "shop-web-1"}, {"a", "shop-web-2"}, {"a", "shop-api-1"}} { // neither web-3 nor db-1
		s.SetServing(c.host, c.name, true)
	}
	const both = "0 8000 shop-web-2. 10.1.0.2, 1 8000 shop-web-1. 10.1.0.1"
	tests := map[string]struct {
		name string
		kind uint16
		code int
		want string // priority, port, target, its address
	}{
		"by the port's name, those that serve, the local one first": {"_http._tcp.web", dns.TypeSRV, dns.RcodeSuccess, both},
		"by its number":                  {"_8000._tcp.web", dns.TypeSRV, dns.RcodeSuccess, both},
		"in capitals, of the project":    {"_HTTP._TCP.Web.Shop", dns.TypeSRV, dns.RcodeSuccess, both},
		"of all tasks":                   {"_http._tcp.tasks.web", dns.TypeSRV, dns.RcodeSuccess, both},
		"of one container":               {"_http._tcp.shop-web-1", dns.TypeSRV, dns.RcodeSuccess, "1 8000 shop-web-1. 10.1.0.1"},
		"of a link":                      {"_http._tcp.site", dns.TypeSRV, dns.RcodeSuccess, both},
		"of another protocol":            {"_53._udp.web", dns.TypeSRV, dns.RcodeSuccess, "0 53 shop-web-2. 10.1.0.2, 1 53 shop-web-1. 10.1.0.1"},
		"any type":                       {"_http._tcp.web", dns.TypeANY, dns.RcodeSuccess, both},
		"a type that is not there":       {"_http._tcp.web", dns.TypeA, dns.RcodeSuccess, ""},
		"nothing of it serves":           {"_http._tcp.postgres", dns.TypeSRV, dns.RcodeSuccess, ""},
		"a port that is not published":   {"_9000._tcp.web", dns.TypeSRV, dns.RcodeNameError, ""},
		"a port of the other protocol":   {"_http._udp.web", dns.TypeSRV, dns.RcodeNameError, ""},
		"a service that publishes none":  {"_http._tcp.api", dns.TypeSRV, dns.RcodeNameError, ""},
		"a service that nobody knows":    {"_http._tcp.nobody", dns.TypeSRV, dns.RcodeNameError, ""},
		"what only looks like one":       {"_http.web", dns.TypeSRV, dns.RcodeNameError, ""},
		"the service's name has no such": {"web", dns.TypeSRV, dns.RcodeSuccess, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := s.answer(t.Context(), "front", ip("10.1.0.9"), new(dns.Msg).SetQuestion(dns.Fqdn(test.name), test.kind))
			beside := map[string]string{}
			for _, r := range got.Extra {
				if a, ok := r.(*dns.A); ok {
					beside[a.Hdr.Name] = a.A.String()
				}
			}
			var said []string
			for _, r := range got.Answer {
				srv, ok := r.(*dns.SRV)
				if !ok {
					t.Fatalf("answers %v", r)
				}
				said = append(said, fmt.Sprintf("%d %d %s %s", srv.Priority, srv.Port, srv.Target, beside[srv.Target]))
			}
			slices.Sort(said)
			if text := strings.Join(said, ", "); text != test.want || got.Rcode != test.code {
				t.Errorf("%s: %s %q, want %s %q", test.name, dns.RcodeToString[got.Rcode], text, dns.RcodeToString[test.code], test.want)
			}
		})
	}
}

func TestServiceRecordsAreFoundOverTheNetwork(t *testing.T) {
	s := listening(t, "/dev/null")
	e := task1("front", "a", "web", 1, "127.1.0.1")
	e.Ports = []placement.EndpointPort{{Name: "http", Target: 8000, Protocol: "tcp"}}
	s.SetZone(Zone{Network: "front", Subnet: netip.MustParsePrefix("127.1.0.0/16"), Endpoints: []placement.Endpoint{e}})
	for _, proto := range []string{"udp", "tcp"} {
		m := client{t, s, "127.1.0.1"}.ask("front", proto, "_http._tcp.web", dns.TypeSRV)
		if len(m.Answer) != 1 || len(m.Extra) != 1 || m.Answer[0].Header().Ttl != 0 {
			t.Errorf("by %s: %v", proto, m)
		}
	}
}
