package placement

import (
	"fmt"
	"net/netip"
)

// PortRecord is the store's memory of a port in mode ingress: every host answers Published, and passes on what comes
// there to Target of the service's tasks that serve. A port is of one service in the whole cluster.
type PortRecord struct {
	Published uint16 `json:"published"`
	Target    uint16 `json:"target"`
	Protocol  string `json:"protocol"` // tcp, udp
	Project   string `json:"project"`
	Service   string `json:"service"`
	Network   string `json:"network"` // engine name of the overlay on which the hosts reach the tasks
}

// Port is the published side, for comparisons and messages.
func (r PortRecord) Port() Port {
	return Port{Published: r.Published, Target: r.Target, Protocol: r.Protocol}
}

// TaskRecord is the store's memory of where a task was put.
type TaskRecord struct {
	Host      string `json:"host"`
	Container string `json:"container"` // container name
	Hash      string `json:"hash"`      // config hash
	// Instead is the number of the task whose place this one takes while a rebalance moves it: both are there until this
	// one runs. 0 otherwise.
	Instead int `json:"instead,omitempty"`
}

// ContainerRecord is what the store knows of a container beside what its other labels say.
type ContainerRecord struct {
	Endpoints []Endpoint   `json:"endpoints,omitempty"`
	Pins      []string     `json:"pins,omitempty"`  // engine names of volumes that tie the task to this host
	Ports     []PortRecord `json:"ports,omitempty"` // of its service
	// Joins says, by engine network name, how the container is on networks beside its address; without those that it is on
	// in no special way.
	Joins map[string]Join `json:"joins,omitempty"`
	// Unchecked says that its engine runs no health check on it: it serves from its start, and the agent need not ask.
	Unchecked bool `json:"unchecked,omitempty"`
}

// Join is how a container is on a network, beside its address: what an engine is told, and forgets when the container is
// taken off the network.
type Join struct {
	DriverOpts      map[string]string `json:"driver_opts,omitempty"`      // of the endpoint
	GatewayPriority int               `json:"gateway_priority,omitempty"` // engines before 28 do not know it
	LinkLocal       []string          `json:"link_local,omitempty"`       // addresses
}

// Network is an overlay network: its address space and members.
type Network struct {
	Name     string            `json:"name"` // engine name, unique in the cluster
	Project  string            `json:"project"`
	Key      string            `json:"key"`
	VNI      uint32            `json:"vni"` // from 1<<20 up
	Subnet   netip.Prefix      `json:"subnet"`
	Subnet6  netip.Prefix      `json:"subnet6,omitzero"` // zero: no IPv6
	MTU      int               `json:"mtu,omitempty"`    // bytes inside the tunnel; 0: the agent's own figure
	Internal bool              `json:"internal,omitempty"`
	Options  map[string]string `json:"options,omitempty"` // driver_opts for the engine's bridge
	Labels   map[string]string `json:"labels,omitempty"`  // engine labels
	Blocks   map[string]Block  `json:"blocks"`            // by host: a host is on the network exactly while it has a block
}

// Block is the part of a network's subnet that one host's engine hands out by itself (docker run --network …).
// Addresses of tasks come from the rest of the subnet, out of the store.
type Block struct {
	Range   netip.Prefix `json:"range"`
	Gateway netip.Addr   `json:"gateway"` // the bridge's address on that host, inside Range; each host has its own

	Range6   netip.Prefix `json:"range6,omitzero"` // both zero on a network without IPv6
	Gateway6 netip.Addr   `json:"gateway6,omitzero"`
}

// Endpoint is a task's address on a network, and the names it answers to there.
type Endpoint struct {
	Network   string     `json:"network"`   // engine network name
	Container string     `json:"container"` // container name, unique in the cluster
	Host      string     `json:"host"`
	Project   string     `json:"project"`
	Service   string     `json:"service"`
	Number    int        `json:"number"`
	IP        netip.Addr `json:"ip"`
	MAC       string     `json:"mac"`               // 02:42 + the four address bytes, as the engine's bridge driver derives it
	Aliases   []string   `json:"aliases,omitempty"` // beside service and container name
	IP6       netip.Addr `json:"ip6,omitzero"`      // zero on a network without IPv6

	Links  map[string]string `json:"links,omitempty"`  // Service.Links
	Ports  []EndpointPort    `json:"ports,omitempty"`  // that the service publishes
	OwnDNS bool              `json:"owndns,omitempty"` // the service has name servers of its own (dns:), which are asked what berth does not know
}

// EndpointPort is a container's port that its service publishes.
type EndpointPort struct {
	Name     string `json:"name,omitempty"` // in the file, "" for none
	Target   uint16 `json:"target"`
	Protocol string `json:"protocol"` // tcp, udp, sctp
}

// MACFor returns the MAC address of an IPv4 endpoint: 02:42 followed by the address, the rule of the engine's own
// bridge driver (libnetwork netutils.GenerateMACFromIP), so that engines that ignore a wanted MAC agree with it.
func MACFor(ip netip.Addr) string {
	b := ip.As4()
	return fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}
