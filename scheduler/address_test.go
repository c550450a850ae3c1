package scheduler

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// subnet is a network "back" with ipam as the file has it.
func subnet(s string, edit ...func(pool *types.IPAMPool)) option {
	pool := &types.IPAMPool{Subnet: s}
	for _, f := range edit {
		f(pool)
	}
	return network(placement.NetworkSpec{
		Key: "back", Name: "app_back", Subnets: []netip.Prefix{netip.MustParsePrefix(s)},
		Spec: &types.NetworkConfig{Ipam: types.IPAMConfig{Config: []*types.IPAMPool{pool}}},
	})
}

func overlaid(name, project, subnet string, vni uint32) option {
	return observed(func(o *placement.Observation) {
		o.Overlays = append(o.Overlays, placement.Network{Name: name, Project: project, Subnet: netip.MustParsePrefix(subnet), VNI: vni})
	})
}

// ips lists the addresses on the first network, by container, in plan order.
func ips(p *Plan) string {
	var all []string
	if p.Change != nil {
		for _, e := range p.Change.Endpoints {
			all = append(all, strings.TrimPrefix(e.Container, "app-")+"="+e.IP.String())
		}
	}
	return strings.Join(all, " ")
}

func TestASubnetAvoidsOverlaysAndTheRoutesOfAllHosts(t *testing.T) {
	s := world(host("a", route("10.128.0.0/20"), route("0.0.0.0/0")), host("b", route("10.128.40.0/24")),
		overlaid("other_net", "other", "10.128.16.0/20", 1<<20), service("web", on("back", "front")))
	n := s.plan(t).Change.Networks
	if len(n) != 2 || n[0].Subnet.String() != "10.128.48.0/20" || n[1].Subnet.String() != "10.128.64.0/20" || n[0].VNI != 1<<20+1 || n[1].VNI != 1<<20+2 {
		t.Errorf("got %+v", n)
	}
	if n[0].MTU != 1450 || n[0].Project != "app" || n[0].Key != "back" || n[0].Labels["com.docker.compose.network"] != "back" {
		t.Errorf("got %+v", n[0])
	}
}

func TestASubnetGrowsWithItsTasksAndHosts(t *testing.T) {
	for _, c := range []struct{ tasks, hosts, want int }{{1, 2, 20}, {2048, 4, 20}, {2049, 4, 19}, {5000, 4, 18}, {1, 1000, 19}, {1 << 24, 4, 12}} {
		if got := wantedBits(c.tasks, c.hosts); got != c.want {
			t.Errorf("%+v: got /%d", c, got)
		}
	}
}

func TestAGivenSubnetIsTakenOrRefused(t *testing.T) {
	s := world(host("a"), host("b"), subnet("192.168.7.0/24"), service("web", on("back")))
	if n := s.plan(t).Change.Networks[0]; n.Subnet.String() != "192.168.7.0/24" {
		t.Errorf("got %s", n.Subnet)
	}
	for want, s := range map[string]*scene{
		"up: network app_back: subnet 192.168.7.0/24 overlaps route 192.168.0.0/16 of host b; choose another ipam subnet": world(
			host("a"), host("b", route("192.168.0.0/16")), subnet("192.168.7.0/24"), service("web", on("back"))),
		"up: network app_back: subnet 192.168.7.0/24 overlaps network x_y; choose another ipam subnet": world(
			host("a"), host("b"), overlaid("x_y", "x", "192.168.7.128/25", 1<<20), subnet("192.168.7.0/24"), service("web", on("back"))),
		"up: network app_back: the name is taken by project x; give this network another name:, or set external: true": world(
			host("a"), host("b"), overlaid("app_back", "x", "192.168.7.128/25", 1<<20), service("web", on("back"))),
		"up: network app_back: it exists with subnet 10.1.0.0/24 and the file says 192.168.7.0/24; run berth down first": world(
			host("a"), host("b"), overlaid("app_back", "app", "10.1.0.0/24", 1<<20), subnet("192.168.7.0/24"), service("web", on("back"))),
		"up: network app_back: no subnet of the pool [10.128.0.0/20] is free (the last one overlaps route 10.128.0.0/10 of host a); set networks.pool in the inventory": world(
			host("a", route("10.128.0.0/10")), host("b"), observed(func(o *placement.Observation) { o.Pool = []netip.Prefix{netip.MustParsePrefix("10.128.0.0/20")} }),
			service("web", on("back"))),
		"up: network app_back: no address is free in 10.0.0.0/28 for web.8; use a larger subnet, or fewer replicas": world(
			host("a"), host("b"), subnet("10.0.0.0/28"), service("web", replicas(8), on("back"))),
		"up: network app_back: no block of 4 addresses is free in the subnet 10.0.0.0/29 for host b; use a larger subnet": world(
			host("a"), host("b"), subnet("10.0.0.0/29"), service("web", replicas(2), on("back"))),
		"up: network app_back: service web: ipv4_address 10.0.1.9 is outside the subnet 10.0.0.0/24; set ipam.config.subnet": world(
			host("a"), host("b"), subnet("10.0.0.0/24"), service("web", on("back=10.0.1.9"))),
		"up: network app_back: services db and web both want ipv4_address 10.0.0.9": world(
			host("a"), host("b"), subnet("10.0.0.0/24"), service("web", on("back=10.0.0.9")), service("db", on("back=10.0.0.9"))),
	} {
		if p, err := Up(s.p, s.o, UpOptions{}); err == nil || err.Error() != want {
			t.Errorf("got %v, %v\nwant %s", p, err, want)
		}
	}
}

func TestBlocksComeFromTheTopAndAddressesFromTheBottom(t *testing.T) {
	s := world(host("a"), host("b"), host("c"), subnet("10.0.0.0/24"), service("web", replicas(3), on("back")))
	p := s.plan(t)
	if got, want := ips(p), "web-1=10.0.0.1 web-2=10.0.0.2 web-3=10.0.0.3"; got != want {
		t.Errorf("got %s", got)
	}
	for h, want := range map[string]string{"a": "10.0.0.240/28 10.0.0.241", "b": "10.0.0.224/28 10.0.0.225", "c": "10.0.0.208/28 10.0.0.209"} {
		if b := p.Change.Networks[0].Blocks[h]; b.Range.String()+" "+b.Gateway.String() != want {
			t.Errorf("%s: got %v, want %s", h, b, want)
		}
	}
	for i := range p.Steps {
		if x := &p.Steps[i]; x.Kind == Create && (len(x.Resolvers) != 1 || x.Resolvers[0] != p.Change.Networks[0].Blocks[x.Host].Gateway) {
			t.Errorf("%s: resolvers %v", x, x.Resolvers)
		}
	}
	if e := p.Change.Endpoints[0]; e.MAC != "02:42:0a:00:00:01" || e.Host != "a" || e.Network != "app_back" || e.Service != "web" || e.Number != 1 {
		t.Errorf("got %+v", e)
	}
}

func TestBlockSizes(t *testing.T) {
	for _, c := range []struct {
		subnet      string
		hosts, want int
	}{{"10.0.0.0/20", 4, 16}, {"10.0.0.0/24", 8, 16}, {"10.0.0.0/24", 9, 8}, {"10.0.0.0/27", 3, 4}, {"10.0.0.0/28", 9, 4}} {
		if got := blockSize(netip.MustParsePrefix(c.subnet), c.hosts); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}

func TestAddressesKeepToIPRangeAuxAndStaticOnes(t *testing.T) {
	s := world(host("a"), host("b"), subnet("10.0.0.0/24", func(p *types.IPAMPool) {
		p.IPRange, p.Gateway = "10.0.0.128/25", "10.0.0.128"
		p.AuxiliaryAddresses = types.Mapping{"router": "10.0.0.129"}
	}), service("db", on("back=10.0.0.130")), service("web", replicas(2), on("back")))
	p := s.plan(t)
	if got, want := ips(p), "db-1=10.0.0.130 web-1=10.0.0.131 web-2=10.0.0.132"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if b := p.Change.Networks[0].Blocks["a"].Range.String(); b != "10.0.0.112/28" {
		t.Errorf("the block %s is in the range of the tasks", b)
	}
}

func TestAStaticAddressServesOneTask(t *testing.T) {
	s := world(host("a"), host("b"), subnet("10.0.0.0/24"), service("web", replicas(2), on("back=10.0.0.9")))
	golden(t, s.plan(t, UpOptions{Partial: true}), `
		0  record
		1  create network app_back on a after 0
		2  create web.1 on a at 10.0.0.9 (new replica) after 0
		3  start web.1 on a after 1,2
		unplaced: web.2
		  a: address 10.0.0.9 on network back is taken by web.1
		  b: address 10.0.0.9 on network back is taken by web.1`)
}

func TestAStaticAddressTakesOverFromWhoeverHadIt(t *testing.T) {
	s := world(host("a"), host("b"), subnet("10.0.0.0/24"), service("web", on("back"))).up(t)
	service("db", on("back=10.0.0.1"))(s)
	p := s.plan(t)
	if got, want := ips(p), "db-1=10.0.0.1 web-1=10.0.0.2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	golden(t, p, `
		0  record
		1  create network app_back on b after 0
		2  create db.1 on b at 10.0.0.1 (new replica) after 0
		3  create web.1 as 000000000001_app-web-1 on a at 10.0.0.2 (address on network app_back changed) after 0
		4  stop web.1 on a (address on network app_back changed) after 3
		5  remove web.1 on a (address on network app_back changed) after 4
		6  rename web.1 to app-web-1 on a after 5
		7  start db.1 on b after 1,2,5
		8  start web.1 on a after 6`)
	golden(t, s.up(t).plan(t), "")
}

func TestAnExternalOverlayIsJoined(t *testing.T) {
	s := world(host("a"), host("b"),
		network(placement.NetworkSpec{Key: "shared", Name: "other_net", External: true}), service("web", on("shared")),
		observed(func(o *placement.Observation) {
			o.Overlays = []placement.Network{{Name: "other_net", Project: "other", Subnet: netip.MustParsePrefix("10.1.0.0/24"), VNI: 1 << 20,
				Blocks: map[string]placement.Block{"b": {Range: netip.MustParsePrefix("10.1.0.240/28"), Gateway: netip.MustParseAddr("10.1.0.241")}}}}
			o.Endpoints = []placement.Endpoint{{Network: "other_net", Container: "other-db-1", Project: "other", Host: "b", IP: netip.MustParseAddr("10.1.0.1")}}
		}))
	p := s.plan(t)
	golden(t, p, `
		0  record
		1  create network other_net on a after 0
		2  create web.1 on a at 10.1.0.2 (new replica) after 0
		3  start web.1 on a after 1,2`)
	if n := p.Change.Networks[0]; n.Project != "other" || n.Blocks["a"].Range.String() != "10.1.0.224/28" || len(n.Blocks) != 2 {
		t.Errorf("got %+v", n)
	}
	if len(s.o.Overlays[0].Blocks) != 1 {
		t.Error("planning changed the observation")
	}
	s.up(t)
	golden(t, Down("app", s.p, s.o, DownOptions{}), `
		0 stop web.1 on a
		1 remove web.1 on a after 0
		2 forget after 1`)
}

func TestNamesOnAnEndpointFollowTheFile(t *testing.T) {
	s := world(host("a"), host("b"), service("web", on("back"))).up(t)
	s.p.Service("web").Networks[0].Aliases = []string{"www"}
	golden(t, s.plan(t), "0 record")
	if got := s.up(t).o.Endpoints[0].Aliases; len(got) != 1 || got[0] != "www" {
		t.Errorf("got %v", got)
	}
	s.change("web", func(_ *scene, v *placement.Service) { v.Networks = nil; v.ConfigHash = "2" })
	golden(t, s.plan(t), `
		0 record
		1 create web.1 as 000000000001_app-web-1 on a (configuration changed) after 0
		2 stop web.1 on a (configuration changed) after 1
		3 remove web.1 on a (configuration changed) after 2
		4 rename web.1 to app-web-1 on a after 3
		5 start web.1 on a after 4
		6 forget after 3`)
	if s.up(t); len(s.o.Endpoints) != 0 {
		t.Errorf("got %v", s.o.Endpoints)
	}
}

func TestAddressesOfContainersRunByHandAreLeftToThem(t *testing.T) {
	guest := observed(func(o *placement.Observation) {
		o.Guests = []placement.Endpoint{{Network: "app_back", Container: "probe", Host: "b", IP: netip.MustParseAddr("10.0.0.1")}}
	})
	s := world(host("a"), host("b"), subnet("10.0.0.0/24"), guest, service("web", on("back")))
	if got, want := ips(s.plan(t)), "web-1=10.0.0.2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s = world(host("a"), host("b"), subnet("10.0.0.0/24"), guest, service("web", on("back=10.0.0.1")))
	want := "up: network app_back: service web: ipv4_address 10.0.0.1 is taken by probe"
	if p, err := Up(s.p, s.o, UpOptions{}); err == nil || err.Error() != want {
		t.Errorf("got %v, %v\nwant %s", p, err, want)
	}
}

func TestARouteThatCameLaterIsWarnedOf(t *testing.T) {
	s := world(host("a"), host("b"), subnet("10.0.0.0/24"), service("web", on("back"))).up(t)
	if w := s.plan(t).Warnings; len(w) != 0 {
		t.Fatalf("warned of %q", w)
	}
	s.o.Hosts[0].Routes = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("0.0.0.0/0")}
	s.o.Hosts[1].Routes = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")} // which is not on the network
	want := "network app_back: a route 10.0.0.0/16 of host a lies over its subnet 10.0.0.0/24, so addresses of one of them are not reached; remove the route, or run berth down and up for another subnet"
	if w := s.plan(t).Warnings; len(w) != 1 || w[0] != want {
		t.Errorf("warned of %q", w)
	}
}

func TestTheSentenceAboutAFileIsTheSameOnEveryRun(t *testing.T) {
	twice := subnet("10.0.0.0/24", func(pool *types.IPAMPool) {
		pool.Gateway, pool.AuxiliaryAddresses = "10.9.0.1", map[string]string{"a": "10.9.0.2", "b": "10.9.0.3", "c": "10.9.0.4"}
	})
	said := map[string]bool{}
	for range 50 {
		_, err := Up(world(host("a"), host("b"), twice, service("web", on("back"))).p, world(host("a"), host("b")).o, UpOptions{})
		if err == nil {
			t.Fatal("an address outside the subnet is taken")
		}
		said[err.Error()] = true
	}
	if len(said) != 1 {
		t.Errorf("got %v", said)
	}
}
