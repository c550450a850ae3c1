package engine

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"berth/placement"
)

// interfaceName is the engine's option for what compose calls interface_name.
const interfaceName = "com.docker.network.endpoint.ifname"

// ports are what the container exposes and what of it is published. A published range stays one: the engine picks a
// free port of it.
func ports(s *types.ServiceConfig) (nat.PortSet, nat.PortMap, error) {
	exposed, bindings := nat.PortSet{}, nat.PortMap{}
	for _, e := range s.Expose {
		proto, span := nat.SplitProtoPort(e)
		first, last, err := nat.ParsePortRangeToInt(span)
		if err != nil || proto == "" {
			return nil, nil, fmt.Errorf("expose %q is not a port, a range, or either with /udp", e)
		}
		for n := first; n <= last; n++ {
			exposed[portKey(uint32(n), proto)] = struct{}{}
		}
	}
	for _, p := range s.Ports {
		key := portKey(p.Target, p.Protocol)
		exposed[key] = struct{}{}
		b := nat.PortBinding{HostIP: p.HostIP, HostPort: p.Published}
		if !slices.Contains(bindings[key], b) {
			bindings[key] = append(bindings[key], b)
		}
	}
	return exposed, bindings, nil
}

func portKey(n uint32, proto string) nat.Port {
	if proto == "" {
		proto = "tcp"
	}
	return nat.Port(strconv.Itoa(int(n)) + "/" + strings.ToLower(proto))
}

// networks settles the network mode and the memberships.
func (c *creation) networks(s *CreateSpec, by surroundings) error {
	svc := s.Service.Spec
	if svc.NetworkMode != "" {
		mode, err := s.shared(svc.NetworkMode)
		if err != nil {
			return fmt.Errorf("network_mode: %w", err)
		}
		c.Host.NetworkMode = container.NetworkMode(mode)
		c.Config.MacAddress = svc.MacAddress //nolint:staticcheck // the only field engines below API 1.44 know
		if mode == network.NetworkBridge || mode == network.NetworkDefault {
			c.Host.Links = s.links(s.beside) // the default bridge has no names, but for links
			c.primaryMAC(svc.MacAddress, mode, by)
		}
		return nil
	}
	keys := svc.NetworksByPriority()
	if len(keys) == 0 {
		for _, a := range s.Service.Networks {
			keys = append(keys, a.Network)
		}
	}
	if len(keys) == 0 {
		if s.network("default") == nil {
			c.Host.NetworkMode = network.NetworkNone
			return nil
		}
		keys = []string{"default"}
	}
	for _, key := range keys {
		n := s.network(key)
		if n == nil {
			return fmt.Errorf("networks: the project has no network %s", key)
		}
		settings, err := c.endpoint(s, key, n.Name, by)
		if err != nil {
			return fmt.Errorf("networks: %s: %w", key, err)
		}
		c.Networks = append(c.Networks, endpoint{Network: n.Name, Settings: settings})
	}
	c.Host.NetworkMode = container.NetworkMode(c.Networks[0].Network)
	if !atLeast(by.API, "1.48") {
		c.warnOfGateway(s, keys)
	}
	return c.macAddresses(svc.MacAddress, by)
}

// warnOfGateway tells where an engine that does not know gw_priority takes another default gateway than the file wants:
// such engines take that of the network whose name comes first, internal ones left out.
func (c *creation) warnOfGateway(s *CreateSpec, keys []string) {
	first, wanted, highest := "", "", 0
	for _, key := range keys {
		n := s.network(key)
		if n == nil || n.Internal {
			continue
		}
		if first == "" || n.Name < first {
			first = n.Name
		}
		priority := 0
		if cfg := s.Service.Spec.Networks[key]; cfg != nil {
			priority = cfg.GatewayPriority
		}
		if wanted == "" || priority > highest || priority == highest && n.Name < wanted {
			wanted, highest = n.Name, priority
		}
	}
	if wanted != first {
		c.warn("gw_priority needs Docker 28 on the host: there the default gateway is that of network %s, whose name comes first, and not of %s", first, wanted)
	}
}

// network finds the project's network of that key.
func (s *CreateSpec) network(key string) *placement.NetworkSpec {
	for _, n := range s.Project.Networks {
		if n.Key == key {
			return n
		}
	}
	return nil
}

// endpoint is the membership in one network. On an overlay the address comes from the store, and names from the agents.
func (c *creation) endpoint(s *CreateSpec, key, name string, by surroundings) (*network.EndpointSettings, error) {
	cfg := s.Service.Spec.Networks[key]
	if cfg == nil {
		cfg = &types.ServiceNetworkConfig{}
	}
	if cfg.InterfaceName != "" && !atLeast(by.API, "1.49") {
		return nil, fmt.Errorf("interface_name needs Docker 28.1 or later on the host")
	}
	e := &network.EndpointSettings{MacAddress: cfg.MacAddress}
	ipam := network.EndpointIPAMConfig{IPv4Address: cfg.Ipv4Address, IPv6Address: cfg.Ipv6Address}
	setJoin(joinOf(cfg), e, &ipam)
	i := slices.IndexFunc(s.Endpoints, func(p placement.Endpoint) bool { return p.Network == name })
	if i >= 0 {
		setAddress(s.Endpoints[i], e, &ipam, by.API)
	} else {
		e.Aliases = s.aliases(cfg)
		e.Links = s.links(s.containersOf)
	}
	if ipam.IPv4Address != "" || ipam.IPv6Address != "" || len(ipam.LinkLocalIPs) > 0 {
		e.IPAMConfig = &ipam
	}
	return e, nil
}

// aliases are the names that the engine's resolver answers on the network: final container name, service, aliases. A
// one-off is no task of its service and must not receive its traffic: it has the service's name only where its aliases
// say so (`run --use-aliases`).
func (s *CreateSpec) aliases(cfg *types.ServiceNetworkConfig) []string {
	name := s.Name
	if s.Replaces != "" {
		name = s.Replaces
	}
	list := []string{name}
	if !s.OneOff && cfg.ServiceNameAliasEnabled() {
		list = append(list, s.Service.Name)
	}
	for _, a := range cfg.Aliases {
		if !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// links are the extra names of other containers, in the engine's form container:alias; of gives those of a service.
func (s *CreateSpec) links(of func(service string) []string) []string {
	var list []string
	add := func(name, alias string) {
		if l := name + ":" + alias; !slices.Contains(list, l) {
			list = append(list, l)
		}
	}
	for _, l := range s.Service.Spec.Links {
		service, alias, ok := strings.Cut(l, ":")
		if !ok {
			alias = service
		}
		for i, name := range of(service) {
			add(name, alias)
			add(name, service+"-"+strconv.Itoa(i+1))
		}
	}
	for _, l := range s.Service.Spec.ExternalLinks {
		name, alias, ok := strings.Cut(l, ":")
		if !ok {
			alias = name
		}
		add(name, alias)
	}
	return list
}

// beside is the container of a linked service that there is for this one, if any: on its own bridge the engine looks a
// linked container up at once.
func (s *CreateSpec) beside(service string) []string {
	if id := s.ShareWith[service]; id != "" {
		return []string{id}
	}
	return nil
}

// containersOf names the containers that a linked service has or will have, in order of their numbers. On a project's
// network the engine looks a linked container up when the name is asked for, so it need not exist yet.
func (s *CreateSpec) containersOf(service string) []string {
	svc := s.Project.Service(service)
	if svc == nil {
		return nil
	}
	var names []string
	for i := 1; i <= max(svc.Replicas, 1); i++ {
		names = append(names, s.Project.ContainerName(svc, i))
	}
	return names
}

// macAddresses puts wanted MAC addresses where the engine's version looks for them: on each endpoint, or, below API
// 1.44, one on the container; further ones are left out with a warning there.
func (c *creation) macAddresses(wanted string, by surroundings) error {
	primary := c.Networks[0].Settings
	if wanted != "" && primary.MacAddress != "" && primary.MacAddress != wanted {
		return fmt.Errorf("mac_address %s of the service and %s of its network %s differ; keep one", wanted, primary.MacAddress, c.Networks[0].Network)
	}
	if wanted != "" {
		primary.MacAddress = wanted
	}
	for _, e := range c.Networks {
		if m := e.Settings.MacAddress; m != "" {
			if _, err := net.ParseMAC(m); err != nil {
				return fmt.Errorf("mac_address %q: %w", m, err)
			}
		}
	}
	if atLeast(by.API, "1.44") {
		return nil
	}
	for i, e := range c.Networks {
		if e.Settings.MacAddress == "" {
			continue
		}
		if i > 0 {
			c.warn("a MAC address on another than the first network needs Docker 25 or later: on %s it is one that the engine makes up", e.Network)
			e.Settings.MacAddress = ""
			continue
		}
		c.Config.MacAddress = e.Settings.MacAddress //nolint:staticcheck // the only field engines below API 1.44 know
		e.Settings.MacAddress = ""
	}
	return nil
}

// primaryMAC moves a container-wide MAC address to the default bridge's endpoint, where engines from 1.44 want it.
func (c *creation) primaryMAC(mac, mode string, by surroundings) {
	if mac != "" && atLeast(by.API, "1.44") {
		c.Networks = []endpoint{{Network: mode, Settings: &network.EndpointSettings{MacAddress: mac}}}
	}
}
