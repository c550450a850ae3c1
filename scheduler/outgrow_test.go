package scheduler

import (
	"net/netip"
	"strings"
	"testing"

	"berth/placement"
)

// grown is a project that ran on host a alone, before there was an inventory of two hosts.
func grown(t *testing.T, options ...option) *scene {
	s := world(append([]option{host("a")}, options...)...).up(t)
	host("b")(s)
	s.o.Cluster = true
	return s
}

func TestPlanOfAProjectThatGrowsOntoACluster(t *testing.T) {
	s := grown(t, volume(placement.VolumeSpec{Key: "data", Name: "app_data"}),
		service("db", on("default"), mounts("data")), service("web", on("default"), dependsOn("db", placement.Started)))
	golden(t, s.plan(t), `
		 0  stop db.1 on a (network app_default becomes an overlay)
		 1  stop web.1 on a (network app_default becomes an overlay)
		 2  remove network app_default on a (becomes an overlay) after 0,1
		 3  record after 2
		 4  create network app_default on a after 3
		 5  create db.1 as 000000000001_app-db-1 on a at 10.128.0.1 (no address on network app_default) after 3
		 6  remove db.1 on a (no address on network app_default) after 5
		 7  rename db.1 to app-db-1 on a after 6
		 8  create web.1 as 000000000002_app-web-1 on a at 10.128.0.2 (no address on network app_default) after 3
		 9  remove web.1 on a (no address on network app_default) after 8
		10  rename web.1 to app-web-1 on a after 9
		11  start db.1 on a after 4,7
		12  start web.1 on a after 10,11`)
	golden(t, s.up(t).plan(t), "")
}

func TestASubnetOfTheFileMayBeThatOfTheNetworkThatGoes(t *testing.T) {
	subnet := netip.MustParsePrefix("10.1.4.0/24")
	s := grown(t, network(placement.NetworkSpec{Key: "front", Name: "app_front", Subnets: []netip.Prefix{subnet}}), service("web", on("front")))
	s.o.Networks[0].Subnets, s.o.Hosts[0].Routes = []netip.Prefix{subnet}, []netip.Prefix{subnet}
	s.up(t)
	s.o.Hosts[0].Routes = nil
	golden(t, s.plan(t), "")
}

func TestAPlainNetworkThatOthersUseIsNotTakenAway(t *testing.T) {
	s := grown(t, service("db", on("default")), service("web", on("default")))
	if _, err := Up(s.p, s.o, UpOptions{Services: []string{"web"}}); err == nil || !strings.Contains(err.Error(), "app-db-1 is on it and no part of this command") {
		t.Errorf("error %v", err)
	}
	s.o.Networks[0].Project = "other"
	if _, err := Up(s.p, s.o, UpOptions{}); err == nil || !strings.Contains(err.Error(), "host a has one of that name that is not this project's") {
		t.Errorf("error %v", err)
	}
}
