package engine

import (
	"maps"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/network"

	"berth/placement"
)

// joinOf is how a service is on a network, beside its address.
func joinOf(cfg *types.ServiceNetworkConfig) placement.Join {
	j := placement.Join{DriverOpts: maps.Clone(map[string]string(cfg.DriverOpts)), GatewayPriority: cfg.GatewayPriority, LinkLocal: cfg.LinkLocalIPs}
	if cfg.InterfaceName != "" && j.DriverOpts[interfaceName] == "" {
		if j.DriverOpts == nil {
			j.DriverOpts = map[string]string{}
		}
		j.DriverOpts[interfaceName] = cfg.InterfaceName
	}
	return j
}

func setJoin(j placement.Join, e *network.EndpointSettings, ipam *network.EndpointIPAMConfig) {
	e.DriverOpts, e.GwPriority, ipam.LinkLocalIPs = j.DriverOpts, j.GatewayPriority, j.LinkLocal
}

// setAddress takes the addresses from the store.
func setAddress(p placement.Endpoint, e *network.EndpointSettings, ipam *network.EndpointIPAMConfig, api string) {
	if p.IP.IsValid() {
		ipam.IPv4Address = p.IP.String()
	}
	if p.IP6.IsValid() {
		ipam.IPv6Address = p.IP6.String()
	}
	// Engines below 1.44 take no MAC address per network; they have the container's, or derive ours from the address.
	if p.MAC != "" && atLeast(api, "1.44") {
		e.MacAddress = p.MAC
	}
}

// joins are the networks that the container is on in a special way.
func (s *CreateSpec) joins() map[string]placement.Join {
	var all map[string]placement.Join
	for key, cfg := range s.Service.Spec.Networks {
		n := s.network(key)
		if cfg == nil || n == nil {
			continue
		}
		if j := joinOf(cfg); len(j.DriverOpts) > 0 || j.GatewayPriority != 0 || len(j.LinkLocal) > 0 {
			if all == nil {
				all = map[string]placement.Join{}
			}
			all[n.Name] = j
		}
	}
	return all
}
