package scheduler

import (
	"net/netip"
	"slices"

	"berth/placement"
)

// asks is how many name servers an engine's resolver asks, of however many it is given (libnetwork, maxExtDNS).
const asks = 3

// published are the container ports that a service publishes, each once, in the order of the file.
func published(s *placement.Service) []placement.EndpointPort {
	if s.Spec == nil {
		return nil
	}
	var ports []placement.EndpointPort
	for _, p := range s.Spec.Ports {
		e := placement.EndpointPort{Name: p.Name, Target: uint16(p.Target), Protocol: p.Protocol}
		if e.Protocol == "" {
			e.Protocol = "tcp"
		}
		if !slices.Contains(ports, e) {
			ports = append(ports, e)
		}
	}
	return ports
}

// ownDNS are the name servers that the file gives a service.
func ownDNS(s *placement.Service) []string {
	if s.Spec == nil {
		return nil
	}
	return s.Spec.DNS
}

// resolversOf are the agent's addresses on the networks of a service: as many as leave room for name servers of its own, which
// are asked after them.
func resolversOf(s *placement.Service, gateways []netip.Addr) []netip.Addr {
	return gateways[:min(len(gateways), max(1, asks-len(ownDNS(s))))]
}
