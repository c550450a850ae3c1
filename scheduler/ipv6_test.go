package scheduler

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// six is a network "back" with IPv6 and these subnets.
func six(subnets ...string) option {
	on := true
	n := placement.NetworkSpec{Key: "back", Name: "app_back", Spec: &types.NetworkConfig{EnableIPv6: &on}}
	for _, s := range subnets {
		n.Subnets = append(n.Subnets, netip.MustParsePrefix(s))
		n.Spec.Ipam.Config = append(n.Spec.Ipam.Config, &types.IPAMPool{Subnet: s})
	}
	return network(n)
}

// at gives a service fixed addresses on a network.
func at(a placement.Attachment) serviceOption {
	return func(_ *scene, v *placement.Service) { v.Networks = append(v.Networks, a) }
}

// ips6 lists the IPv6 addresses by container, in plan order.
func ips6(p *Plan) string {
	var all []string
	for _, e := range p.Change.Endpoints {
		all = append(all, strings.TrimPrefix(e.Container, "app-")+"="+e.IP6.String())
	}
	return strings.Join(all, " ")
}

func TestANetworkWithIPv6HasATwinForEachAddress(t *testing.T) {
	s := world(host("a"), host("b"), six("10.0.0.0/24", "fd00:1::/64"), service("web", replicas(2), on("back")))
	p := s.plan(t)
	if got, want := ips6(p), "web-1=fd00:1::1 web-2=fd00:1::2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	n := p.Change.Networks[0]
	if b := n.Blocks["b"]; n.Subnet6.String() != "fd00:1::/64" || b.Range6.String() != "fd00:1::e0/124" || b.Gateway6.String() != "fd00:1::e1" {
		t.Errorf("got %s, block %+v", n.Subnet6, b)
	}
	golden(t, s.up(t).plan(t), "")
}

func TestAnIPv6SubnetIsChosenFromTheClustersOwnAndOverlapsNothing(t *testing.T) {
	plan := func(options ...option) placement.Network {
		return world(append([]option{host("a"), host("b"), six(), service("web", on("back"))}, options...)...).plan(t).Change.Networks[0]
	}
	first := plan().Subnet6
	if first.Bits() != 64 || !netip.MustParsePrefix("fd00::/8").Contains(first.Addr()) {
		t.Fatalf("chosen %s, want a /64 of unique local addresses", first)
	}
	if again := plan().Subnet6; again != first {
		t.Errorf("the same plan chose %s and then %s", first, again)
	}
	taken := observed(func(o *placement.Observation) {
		o.Overlays = append(o.Overlays, placement.Network{Name: "x_y", VNI: 1 << 20, Subnet: netip.MustParsePrefix("10.1.0.0/24"), Subnet6: first})
	})
	second := plan(taken).Subnet6
	if second.Overlaps(first) || second.Bits() != 64 {
		t.Errorf("chosen %s beside %s", second, first)
	}
	routed := observed(func(o *placement.Observation) {
		o.Hosts[1].Routes = []netip.Prefix{netip.PrefixFrom(second.Addr(), 60).Masked()}
	})
	if third := plan(taken, routed).Subnet6; third.Overlaps(first) || third.Overlaps(second) {
		t.Errorf("chosen %s beside network %s and a route around %s", third, first, second)
	}
}

func TestStaticIPv6AddressesKeepOthersOffTheirPlace(t *testing.T) {
	s := world(host("a"), host("b"), six("10.0.0.0/24", "fd00:1::/64"), service("db", at(placement.Attachment{Network: "back", IPv6: "fd00:1::2"})),
		service("far", at(placement.Attachment{Network: "back", IPv6: "fd00:1::ffff:1"})), service("web", replicas(2), on("back")))
	p := s.plan(t)
	if got, want := ips6(p), "db-1=fd00:1::2 far-1=fd00:1::ffff:1 web-1=fd00:1::4 web-2=fd00:1::5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := ips(p), "db-1=10.0.0.1 far-1=10.0.0.3 web-1=10.0.0.4 web-2=10.0.0.5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	golden(t, s.up(t).plan(t), "")
}

func TestAStaticIPv6AddressTakesOverFromWhoeverHadIt(t *testing.T) {
	s := world(host("a"), host("b"), six("10.0.0.0/24", "fd00:1::/64"), service("web", on("back"))).up(t)
	service("db", at(placement.Attachment{Network: "back", IPv6: "fd00:1::1"}))(s)
	p := s.plan(t)
	if got, want := ips6(p), "db-1=fd00:1::1 web-1=fd00:1::3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	golden(t, s.up(t).plan(t), "")
}

func TestAMACAddressOfTheFileIsTheEndpoints(t *testing.T) {
	s := world(host("a"), host("b"), service("web", replicas(2), at(placement.Attachment{Network: "back", MAC: "02:42:AC:11:00:09"})),
		network(placement.NetworkSpec{Key: "back", Name: "app_back"}))
	p := s.plan(t, UpOptions{Partial: true})
	if len(p.Change.Endpoints) != 1 || p.Change.Endpoints[0].MAC != "02:42:ac:11:00:09" {
		t.Errorf("got %+v", p.Change.Endpoints)
	}
	if why := Reasons(p.Unplaced[0].Reasons); !strings.Contains(why, "address 02:42:AC:11:00:09 on network back is taken by web.1") {
		t.Errorf("the second task is not refused with a reason:\n%s", why)
	}
}

func TestWhatAnOverlayCannotBeIsRefused(t *testing.T) {
	pool := func(edit func(*placement.NetworkSpec)) option {
		n := placement.NetworkSpec{Key: "back", Name: "app_back", Spec: &types.NetworkConfig{}}
		edit(&n)
		return network(n)
	}
	off := false
	given := func(o option) *scene { return world(host("a"), host("b"), o, service("web", on("back"))) }
	for want, s := range map[string]*scene{
		"ipam gives it the IPv4 subnets 10.0.0.0/24 and 10.0.1.0/24, and a network that spans hosts has one; make it one larger subnet, or two networks": given(six("10.0.0.0/24", "10.0.1.0/24")),
		"ipam gives it the IPv6 subnets fd00:1::/64 and fd00:2::/64, and a network that spans hosts has one; make it one larger subnet, or two networks": given(six("fd00:1::/64", "fd00:2::/64")),
		"the IPv6 subnet fd00:1::/120 has less room than the IPv4 subnet 10.0.0.0/20; make it a /116 or larger":                                          given(six("10.0.0.0/20", "fd00:1::/120")),
		`ipam.driver "infoblox" is one engine's own, and addresses on a cluster come from the store; leave it out`:                                       given(pool(func(n *placement.NetworkSpec) { n.Spec.Ipam.Driver = "infoblox" })),
		"ipam.options are for an engine's own driver, and addresses on a cluster come from the store; leave them out":                                    given(pool(func(n *placement.NetworkSpec) { n.Spec.Ipam.Options = map[string]string{"a": "b"} })),
		"enable_ipv4: false: a network that spans hosts always has IPv4; leave it out, and set enable_ipv6: true for IPv6 beside it":                     given(pool(func(n *placement.NetworkSpec) { n.Spec.EnableIPv4 = &off })),
		`aux address router, "10.0.9.9", is no address in the subnet 10.0.0.0/24`:                                                                        given(subnet("10.0.0.0/24", func(p *types.IPAMPool) { p.AuxiliaryAddresses = types.Mapping{"router": "10.0.9.9"} })),
		"service web: ipv6_address fd00:1::9: the network has no IPv6; set enable_ipv6: true":                                                            world(host("a"), host("b"), subnet("10.0.0.0/24"), service("web", at(placement.Attachment{Network: "back", IPv6: "fd00:1::9"}))),
		"service web: ipv6_address fd00:2::9 is outside the subnet fd00:1::/64; set ipam.config.subnet":                                                  world(host("a"), host("b"), six("fd00:1::/64"), service("web", at(placement.Attachment{Network: "back", IPv6: "fd00:2::9"}))),
		"services db and web both want ipv6_address fd00:1::9":                                                                                           world(host("a"), host("b"), six("fd00:1::/64"), service("web", at(placement.Attachment{Network: "back", IPv6: "fd00:1::9"})), service("db", at(placement.Attachment{Network: "back", IPv6: "fd00:1::9"}))),
		"it exists without IPv6 and the file wants it; run berth down first":                                                                             world(host("a"), host("b"), overlaid("app_back", "app", "10.1.0.0/24", 1<<20), six(), service("web", on("back"))),
		"subnet fd00:1::/64 overlaps route fd00::/16 of host b; choose another ipam subnet":                                                              world(host("a"), host("b", route("fd00::/16")), six("fd00:1::/64"), service("web", on("back"))),
	} {
		want = "up: network app_back: " + want
		if p, err := Up(s.p, s.o, UpOptions{}); err == nil || err.Error() != want {
			t.Errorf("got %v, %v\nwant %s", p, err, want)
		}
	}
}

func TestAnEnginesOwnAddressesOnOneSegmentAreWarnedOf(t *testing.T) {
	lan := network(placement.NetworkSpec{Key: "lan", Name: "app_lan", Driver: "macvlan", Spec: &types.NetworkConfig{Driver: "macvlan"}})
	web := service("web", replicas(2), at(placement.Attachment{Network: "lan"}))
	p := world(host("a"), host("b"), lan, web).plan(t)
	if len(p.Warnings) != 1 || !strings.HasPrefix(p.Warnings[0], "network app_lan: each host's engine hands out addresses of a macvlan network by itself") {
		t.Errorf("warned of %q", p.Warnings)
	}
	one := service("web", at(placement.Attachment{Network: "lan"}))
	other := service("db", at(placement.Attachment{Network: "lan", IPv4: "10.0.0.9"}))
	if p := world(host("a"), host("b"), lan, one, other).plan(t); len(p.Warnings) != 0 {
		t.Errorf("warned of %q", p.Warnings)
	}
}
