package cluster

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"berth/placement"
)

func TestHostsAreAtAddressesOfOneFamily(t *testing.T) {
	names := map[string][]string{
		"four": {"10.0.0.7"}, "six": {"fd00::7"}, "both": {"fd00::8", "10.0.0.8"}, "local": {"127.0.0.1", "::1"}, "link": {"fe80::1%eth0", "fd00::9"},
	}
	find := func(_ context.Context, name string) (out []netip.Addr, err error) {
		for _, text := range names[name] {
			out = append(out, netip.MustParseAddr(text))
		}
		if out == nil {
			err = errors.New("no such host")
		}
		return out, err
	}
	for _, c := range []struct {
		name, addresses string            // of the hosts a, b, …; one after a comma is its ip:
		settled         map[string]string // who has an agent, and where
		want            string            // addresses, or the error
	}{
		{"IPv4", "tcp://10.0.0.1:2375 ssh://root@10.0.0.2", nil, "10.0.0.1 10.0.0.2"},
		{"IPv6", "tcp://[fd00::1]:2375 ssh://root@[fd00::2]", nil, "fd00::1 fd00::2"},
		{"names", "tcp://four:1 tcp://both:1", nil, "10.0.0.7 10.0.0.8"},
		{"names of both kinds", "tcp://both:1 tcp://both:1", nil, "10.0.0.8 10.0.0.8"},
		{"a name with IPv6 alone", "tcp://six:1 ssh://both", nil, "fd00::7 fd00::8"},
		{"an address of a link is none", "tcp://link:1 ssh://both", nil, "fd00::9 fd00::8"},
		{"ip: goes before address:", "tcp://10.0.0.1:1,fd00::1 tcp://six:1", nil, "fd00::1 fd00::7"},
		{"nobody knows where one is", "tcp://10.0.0.1:1 tcp://nowhere:1 unix:///run/docker.sock tcp://local:1", nil, "10.0.0.1 - - -"},
		{"mixed", "tcp://[fd00::1]:1 tcp://both:1 tcp://four:1", nil,
			"hosts c (10.0.0.7) and a (fd00::1) do not reach each other, because one is at an IPv4 address and the other at an IPv6 one; give the hosts addresses of one kind in hosts.yml, by ip: where address: has to stay"},
		{"one joins that is apart", "tcp://10.0.0.1:1 tcp://both:1 tcp://six:1", map[string]string{"a": "10.0.0.1", "b": "10.0.0.8"},
			"hosts a (10.0.0.1) and c (fd00::7) do not reach each other, because one is at an IPv4 address and the other at an IPv6 one; give the hosts addresses of one kind in hosts.yml, by ip: where address: has to stay"},
		{"one joins where it could be either", "tcp://six:1 tcp://both:1", map[string]string{"a": "fd00::7"}, "fd00::7 fd00::8"},
		{"who is settled keeps to it", "tcp://both:1 tcp://both:1", map[string]string{"a": "fd00::8"}, "fd00::8 fd00::8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inv := &placement.Inventory{Path: "hosts.yml"}
			for i, a := range strings.Fields(c.addresses) {
				address, ip, _ := strings.Cut(a, ",")
				inv.Hosts = append(inv.Hosts, placement.InventoryHost{Name: string(rune('a' + i)), Address: address, IP: ip})
			}
			cl, err := Connect(inv, Options{Timeout: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			settled := map[string]netip.Addr{}
			for host, at := range c.settled {
				settled[host] = netip.MustParseAddr(at)
			}
			all := cl.locate(t.Context(), find)
			six, err := oneFamily(all, settled, inv.Path)
			var got []string
			for _, w := range all {
				if a := w.at(six); a.IsValid() {
					got = append(got, a.String())
				} else {
					got = append(got, "-")
				}
			}
			if err != nil {
				got = []string{err.Error()}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), c.want)
			}
		})
	}
}

func TestAClusterThatStandsKeepsToItsFamily(t *testing.T) {
	settled := map[string]netip.Addr{"a": netip.MustParseAddr("10.0.0.1"), "b": netip.MustParseAddr("10.0.0.2")}
	for _, c := range []struct {
		name     string
		a, b     placement.InventoryHost
		mentions string // "" where nothing is wrong
	}{
		{"as it was", placement.InventoryHost{IP: "10.0.0.1"}, placement.InventoryHost{Address: "tcp://10.0.0.2:2375"}, ""},
		{"another address of the kind", placement.InventoryHost{IP: "10.0.7.1"}, placement.InventoryHost{Address: "ssh://root@10.0.7.2"}, ""},
		{"names and sockets", placement.InventoryHost{Address: "ssh://node-a"}, placement.InventoryHost{Address: "unix:///run/docker.sock"}, ""},
		{"ip: of the other", placement.InventoryHost{Address: "tcp://10.0.0.1:2375"}, placement.InventoryHost{Address: "tcp://10.0.0.2:2375", IP: "fd00::2"},
			"host b is at 10.0.0.2 in this cluster and at fd00::2 in hosts.yml"},
		{"address: of the other", placement.InventoryHost{Address: "tcp://[fd00::1]:2375"}, placement.InventoryHost{},
			"host a is at 10.0.0.1 in this cluster and at fd00::1 in hosts.yml"},
		{"an engine reached over IPv6, with an ip: that stays", placement.InventoryHost{Address: "tcp://[fd00::1]:2375", IP: "10.0.0.1"}, placement.InventoryHost{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.a.Name, c.b.Name = "a", "b"
			stranger := placement.InventoryHost{Name: "c", IP: "fd00::3"} // has no agent yet; oneFamily is about it
			err := moved(&placement.Inventory{Path: "hosts.yml", Hosts: []placement.InventoryHost{c.a, c.b, stranger}}, settled)
			if c.mentions == "" && err != nil || c.mentions != "" && (err == nil || !strings.Contains(err.Error(), c.mentions)) {
				t.Errorf("got %v, want %q", err, c.mentions)
			}
		})
	}
}
