package names

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"berth/placement"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func task1(network, host, service string, number int, addr string, aliases ...string) placement.Endpoint {
	return placement.Endpoint{Network: network, Container: "shop-" + service + "-" + string(rune('0'+number)), Host: host, Project: "shop",
		Service: service, Number: number, IP: ip(addr), Aliases: aliases}
}

func linked(e placement.Endpoint, alias, service string) placement.Endpoint {
	e.Links = map[string]string{alias: service}
	return e
}

// shop is the world of the tests: two networks, asked from host a.
//
//	front 10.1.0.0/16   web-1 (a) .1  web-2 (b) .2  web-3 (b) .3 starting   api-1 (a) .4
//	back  10.2.0.0/16   api-1 (a) .4  db-1 (b) .5 alias "postgres"
func shop(t testing.TB, resolvConf string) *Server {
	s := New(Config{Host: "a", ResolvConf: resolvConf})
	t.Cleanup(s.Close)
	s.SetZone(Zone{Network: "front", Subnet: netip.MustParsePrefix("10.1.0.0/16"), Endpoints: []placement.Endpoint{
		task1("front", "a", "web", 1, "10.1.0.1"), task1("front", "b", "web", 2, "10.1.0.2"),
		task1("front", "b", "web", 3, "10.1.0.3"), linked(task1("front", "a", "api", 1, "10.1.0.4"), "Site", "web"),
		{Network: "front", Container: "shop-web-run-1", Host: "a", Project: "shop", Service: "web", IP: ip("10.1.0.9"), Aliases: []string{"Tool"}},
	}})
	s.SetZone(Zone{Network: "back", Subnet: netip.MustParsePrefix("10.2.0.0/16"), Endpoints: []placement.Endpoint{
		task1("back", "a", "api", 1, "10.2.0.4"), task1("back", "b", "db", 1, "10.2.0.5", "postgres"),
	}})
	for _, c := range []struct{ host, name string }{{"a", "shop-web-1"}, {"b", "shop-web-2"}, {"a", "shop-api-1"}, {"b", "shop-db-1"}, {"a", "shop-web-run-1"}} {
		s.SetServing(c.host, c.name, true)
	}
	return s
}

func TestWhoAsksDecidesWhatANameMeans(t *testing.T) {
	s := shop(t, "/dev/null")
	const web, api, stranger = "10.1.0.1", "10.1.0.4", "10.1.200.1"
	tests := map[string]struct {
		network, from, name string
		want                string // addresses in order; "-" is unknown, "" is known without addresses
	}{
		"a service, local task first, the starting one left out": {"front", web, "web", "10.1.0.1 10.1.0.2"},
		"all tasks":                               {"front", web, "tasks.web", "10.1.0.1 10.1.0.2"},
		"a service of the project":                {"front", web, "web.shop", "10.1.0.1 10.1.0.2"},
		"a container of the project":              {"front", web, "shop-web-2.shop", "10.1.0.2"},
		"an alias of the project":                 {"front", api, "postgres.shop", "10.2.0.5"},
		"a service of another project":            {"front", web, "web.other", "-"},
		"a container":                             {"front", web, "shop-web-2", "10.1.0.2"},
		"a container that does not serve":         {"front", web, "shop-web-3", ""},
		"a name of a network that it is not on":   {"front", web, "db", "-"},
		"a name of its second network":            {"front", api, "db", "10.2.0.5"},
		"the name that a link gives":              {"front", api, "site", "10.1.0.1 10.1.0.2"},
		"which is nobody else's":                  {"front", web, "site", "-"},
		"an alias":                                {"front", api, "postgres", "10.2.0.5"},
		"one address for a container on both":     {"back", "10.2.0.4", "api", "10.2.0.4"},
		"an address that nobody has":              {"front", stranger, "web", "10.1.0.1 10.1.0.2"},
		"such a one sees no other network":        {"front", stranger, "db", "-"},
		"a one-off by its own name":               {"front", web, "shop-web-run-1", "10.1.0.9"},
		"a one-off's alias, lower case":           {"front", web, "tool", "10.1.0.9"},
		"a network without names":                 {"nowhere", web, "web", "-"},
		"the network's key is no part of a name":  {"front", web, "web.front", "-"},
		"a name that only looks like a task list": {"front", web, "tasks.shop-web-1", "-"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			zones, asker := s.current.Load().seenBy(test.network, ip(test.from))
			if name, ok := asker.links[test.name]; ok {
				test.name = name
			}
			addrs, known := lookup(zones, test.name, "a")
			var got []string
			for _, a := range addrs {
				got = append(got, a.String())
			}
			text := strings.Join(got, " ")
			if !known {
				text = "-"
			}
			if test.name == "api" { // either of its addresses will do, but one only
				text = strings.Replace(text, "10.1.0.4", "10.2.0.4", 1)
			}
			if diff := cmp.Diff(test.want, text); diff != "" {
				t.Errorf("%s from %s (-want +got):\n%s", test.name, test.from, diff)
			}
		})
	}
}

func TestServingMayBeToldBeforeTheEndpointIsKnown(t *testing.T) {
	s := New(Config{Host: "a", ResolvConf: "/dev/null"})
	t.Cleanup(s.Close)
	s.SetServing("b", "shop-db-1", true)
	s.SetZone(Zone{Network: "back", Endpoints: []placement.Endpoint{task1("back", "b", "db", 1, "10.2.0.5")}})
	find := func() int {
		addrs, _ := lookup(s.current.Load().zones, "db", "a")
		return len(addrs)
	}
	if find() != 1 {
		t.Error("not found")
	}
	s.SetServing("c", "shop-db-1", true)
	s.Forget(func(host, _ string) bool { return host != "b" })
	if find() != 0 {
		t.Error("still found after its host's word was forgotten; another host's container of the name is not it")
	}
	s.SetServing("b", "shop-db-1", true)
	if find() != 1 {
		t.Error("not found when its host's word comes again, after the name")
	}
}

func TestFarTasksAreGivenInRandomOrder(t *testing.T) {
	s := New(Config{Host: "a", ResolvConf: "/dev/null"})
	t.Cleanup(s.Close)
	z := Zone{Network: "n"}
	for i := range 4 {
		e := task1("n", "b", "web", i+1, netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}).String())
		z.Endpoints = append(z.Endpoints, e)
		s.SetServing("b", e.Container, true)
	}
	s.SetZone(z)
	first := map[netip.Addr]int{}
	for range 400 {
		addrs, _ := lookup(s.current.Load().zones, "web", "a")
		first[addrs[0]]++
	}
	for a, n := range first {
		if n < 40 || len(first) != 4 {
			t.Errorf("%s came first %d times of 400, %d addresses did at all; want about 100 and 4", a, n, len(first))
		}
	}
}

// Safety: whatever the networks hold, an answer has only serving tasks of networks that the asker is on, each
// container once, and those of its host before all others.
func TestSafetyOfAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Config{Host: "a", ResolvConf: "/dev/null"})
		defer s.Close()
		networks := []string{"n1", "n2", "n3"}
		serving, on, at := map[string]bool{}, map[string]map[string]bool{}, map[string]string{}
		addr := map[netip.Addr]string{}
		byContainer := map[string]map[string]netip.Addr{}
		for i, network := range networks {
			z := Zone{Network: network}
			on[network] = map[string]bool{}
			for j := range rapid.IntRange(0, 5).Draw(t, "endpoints") {
				container := "c" + string(rune('0'+j))
				e := placement.Endpoint{Network: network, Container: container, Host: []string{"a", "b"}[j%2], Service: "s", Number: 1,
					IP: netip.AddrFrom4([4]byte{10, byte(i), 0, byte(j)})}
				z.Endpoints = append(z.Endpoints, e)
				on[network][container], at[container], addr[e.IP] = true, e.Host, container
				if byContainer[container] == nil {
					byContainer[container] = map[string]netip.Addr{}
				}
				byContainer[container][network] = e.IP
				serving[container] = rapid.Bool().Draw(t, "serving")
				s.SetServing(e.Host, container, serving[container])
			}
			s.SetZone(z)
		}
		for container, places := range byContainer {
			for network, from := range places {
				zones, _ := s.current.Load().seenBy(network, from)
				addrs, _ := lookup(zones, "s", "a")
				seen, far := map[string]bool{}, false
				for _, a := range addrs {
					c := addr[a]
					shared := false
					for n := range places {
						shared = shared || on[n][c] && byContainer[c][n] == a
					}
					if !serving[c] || seen[c] || !shared || far && at[c] == "a" {
						t.Fatalf("%s asked on %s and got %s of %s: serving %t, seen %t, shared %t", container, network, a, c, serving[c], seen[c], shared)
					}
					seen[c], far = true, far || at[c] != "a"
				}
			}
		}
	})
}

func BenchmarkZoneOf10000Endpoints(b *testing.B) {
	s := New(Config{Host: "a", ResolvConf: "/dev/null"})
	b.Cleanup(s.Close)
	z := Zone{Network: "n"}
	for i := range 10000 {
		e := placement.Endpoint{Network: "n", Container: "shop-web-" + string(rune(i)), Host: "b", Project: "shop", Service: "web", Number: i + 1,
			IP: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})}
		z.Endpoints = append(z.Endpoints, e)
	}
	b.Run("SetZone", func(b *testing.B) {
		for b.Loop() {
			s.SetZone(z)
		}
	})
	b.Run("SetServing", func(b *testing.B) {
		for b.Loop() {
			s.SetServing("b", "shop-web-1", true)
		}
	})
}
