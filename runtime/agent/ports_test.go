package agent

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
	"berth/runtime/ledger"
)

func TestAPortLeadsToTheTasksThatServe(t *testing.T) {
	v := twoHosts(t)
	a := &agent{config: Config{Host: "me"}, view: v, nets: map[string]*network{"net": {name: "net", id: "1"}}, containers: map[string]ledger.State{}}
	var c changes
	v.apply(event(t, ledger.PortKey("tcp", 80), placement.PortRecord{Published: 80, Target: 8000, Protocol: "tcp", Project: "shop", Service: "web", Network: "net"}), &c)
	if !c.ports {
		t.Error("a new port is no change of ports")
	}
	task := func(name, host, ip, service string, number int) {
		e := at(host, ip)
		e.Container, e.Project, e.Service, e.Number = name, "shop", service, number
		v.apply(event(t, ledger.EndpointKey(e), e), &c)
		state := ledger.State{Running: true}
		v.apply(event(t, ledger.StateKey(host, name), state), &c)
		if host == "me" {
			a.containers[name] = state
		}
	}
	task("web-1", "me", "10.1.0.1", "web", 1)
	task("web-2", "you", "10.1.0.2", "web", 2)
	task("run", "you", "10.1.0.3", "web", 0) // a one-off
	task("api-1", "you", "10.1.0.4", "api", 1)
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{"all serve", func() {}, []string{"10.1.0.1:8000 local", "10.1.0.2:8000"}},
		{"one is sick", func() {
			v.apply(event(t, ledger.StateKey("you", "web-2"), ledger.State{Running: true, Health: "unhealthy"}), &c)
		}, []string{"10.1.0.1:8000 local"}},
		{"and well again", func() {
			v.apply(event(t, ledger.StateKey("you", "web-2"), ledger.State{Running: true, Health: "healthy"}), &c)
		}, []string{"10.1.0.1:8000 local", "10.1.0.2:8000"}},
		{"the store does not know yet that ours died", func() { a.containers["web-1"] = ledger.State{} }, []string{"10.1.0.2:8000"}},
		{"one is about to be stopped", func() { v.apply(event(t, ledger.WithdrawnKey("you", "web-2"), ""), &c) }, nil},
		{"and was not", func() { v.apply(event(t, ledger.WithdrawnKey("you", "web-2"), nil), &c) }, []string{"10.1.0.2:8000"}},
		{"its host is lost", func() { v.apply(event(t, ledger.StateKey("you", "web-2"), nil), &c) }, nil},
	} {
		step.do()
		s, _, troubles, waits := a.wantedPorts()
		if len(troubles) > 0 || waits || len(s.Ports) != 1 {
			t.Fatalf("%s: %v, troubles %v, waits %t", step.name, s, troubles, waits)
		}
		var got []string
		for _, b := range s.Ports[0].Backends {
			text := b.Addr.String()
			if b.Local {
				text += " local"
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
}

func TestAPortWithoutAWayToItsTasksIsNotAnswered(t *testing.T) {
	v := twoHosts(t)
	a := &agent{config: Config{Host: "me"}, view: v, nets: map[string]*network{}}
	var c changes
	v.apply(event(t, ledger.PortKey("tcp", 80), placement.PortRecord{Published: 80, Protocol: "tcp", Project: "shop", Service: "web", Network: "net"}), &c)
	v.networks["net"] = record{Network: placement.Network{Name: "net", Subnet: netip.MustParsePrefix("10.1.0.0/24"), Blocks: map[string]placement.Block{"me": {}}}}
	if _, _, _, waits := a.wantedPorts(); !waits {
		t.Error("a network that is on its way is not waited for")
	}
	a.nets["net"] = &network{name: "net", problem: "no room"}
	if _, _, troubles, _ := a.wantedPorts(); troubles["80/tcp"] != "no room" {
		t.Errorf("a network that cannot be: %v", troubles)
	}
	delete(v.networks["net"].Blocks, "me")
	if _, _, troubles, _ := a.wantedPorts(); troubles["80/tcp"] != "the host is not on network net yet; run berth up for project shop again" {
		t.Errorf("a host that joined later: %v", troubles)
	}
}
