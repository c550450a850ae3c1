package engine

import (
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
)

// networkAspects are ports, network mode, memberships and names.
func networkAspects(want *creation, have container.InspectResponse) []aspect {
	joined := map[string]*network.EndpointSettings{}
	if have.NetworkSettings != nil {
		joined = have.NetworkSettings.Networks
	}
	aspects := []aspect{{"ports", bindingsOf(want.Host.PortBindings), bindingsOf(have.HostConfig.PortBindings)}}
	// Which of several networks came first is no difference: versions of compose choose otherwise.
	if _, one := joined[string(have.HostConfig.NetworkMode)]; !one || len(want.Networks) == 0 {
		aspects = append(aspects, aspect{"network_mode", networkMode(want.Host.NetworkMode), networkMode(have.HostConfig.NetworkMode)})
	}
	if len(want.Networks) == 0 {
		return aspects
	}
	var names []string
	for _, n := range want.Networks {
		names = append(names, n.Network)
	}
	aspects = append(aspects, aspect{"networks", sorted(names), sortedKeys(joined)})
	for _, n := range want.Networks {
		have := joined[n.Network]
		if have == nil {
			continue // told above
		}
		w := n.Settings
		mac := have.MacAddress
		if w.MacAddress == "" {
			mac = "" // the engine's choice
		}
		aspects = append(aspects,
			aspect{"networks." + n.Network + ".aliases", missing(w.Aliases, have.Aliases), []string{}},
			aspect{"networks." + n.Network + ".links", missing(givenLinks(w.Links), have.Links), []string{}},
			aspect{"networks." + n.Network + ".ipv4_address", ipam(w), ipam(have)},
			aspect{"networks." + n.Network + ".mac_address", strings.ToLower(w.MacAddress), strings.ToLower(mac)},
			aspect{"networks." + n.Network + ".driver_opts", w.DriverOpts, have.DriverOpts},
		)
	}
	return aspects
}

// networkMode: engines say "default" or "bridge" for the default bridge.
func networkMode(m container.NetworkMode) string {
	if m == "default" || m == "" {
		return "bridge"
	}
	return string(m)
}

// missing are the wanted names that are not there. More is no difference: engines and other tools add names of their
// own (the short ID, the service's number).
func missing(wanted, have []string) []string {
	return slices.DeleteFunc(sorted(wanted), func(a string) bool { return slices.Contains(have, a) })
}

// numbered is the form of the link aliases that are made up (db-1); versions of compose number them differently.
var numbered = regexp.MustCompile(`-\d+$`)

// givenLinks are the links that the file gives.
func givenLinks(links []string) []string {
	return slices.DeleteFunc(slices.Clone(links), numbered.MatchString)
}

func ipam(e *network.EndpointSettings) network.EndpointIPAMConfig {
	if e.IPAMConfig == nil {
		return network.EndpointIPAMConfig{}
	}
	c := *e.IPAMConfig
	if len(c.LinkLocalIPs) == 0 {
		c.LinkLocalIPs = nil
	}
	return c
}

func bindingsOf(m nat.PortMap) []string {
	var list []string
	for port, bindings := range m {
		for _, b := range bindings {
			host := b.HostIP
			if host == "0.0.0.0" {
				host = ""
			}
			published := b.HostPort
			if published == "0" {
				published = ""
			}
			list = append(list, host+":"+published+":"+portWithProto(string(port)))
		}
	}
	return sorted(list)
}
