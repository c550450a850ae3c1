package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/placement"
)

// What an engine is told when a container is made, and has forgotten when that is taken off a network.
func TestAContainerIsPutBackOntoItsNetworksAsItWasMade(t *testing.T) {
	p := project(t, "/srv/shop", `
services:
  web:
    image: web
    networks:
      front:
        priority: 10
        gw_priority: 7
        mac_address: 02:42:ac:11:65:43
        driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.log_martians=1}
        link_local_ips: [169.254.34.68]
      back:
  db: {image: db, networks: {front: {interface_name: wan0}}}
networks: {front: , back: }
`)
	for _, service := range []string{"web", "db"} {
		for _, api := range []string{"1.41", "1.51"} {
			if service == "db" && api == "1.41" {
				continue // which has no interface names
			}
			s := spec(p, service)
			s.Cluster = true
			for i, n := range p.Networks {
				a := ip("10.128." + string(rune('1'+i)) + ".2")
				s.Endpoints = append(s.Endpoints, placement.Endpoint{Network: n.Name, IP: a, MAC: "02:42:ac:11:65:43"})
			}
			made, err := convert(&s, surroundings{API: api, ImageID: "sha256:1234"})
			if err != nil {
				t.Fatal(err)
			}
			info := ContainerInfo{Labels: made.Config.Labels}
			for _, n := range made.Networks {
				for _, e := range s.Endpoints {
					if e.Network != n.Network {
						continue
					}
					if d := cmp.Diff(n.Settings, rejoining(info, e, api)); d != "" {
						t.Errorf("%s on %s, API %s: -made +put back\n%s", service, n.Network, api, d)
					}
				}
			}
		}
	}
}
