// Package names is the name server that a host's containers ask: on the gateway address of each overlay network it
// answers the names of services and containers, and forwards everything else to the host's own resolvers.
//
// Who asks is known from the network of the listener and the source address. A container sees the names of all
// networks that it is on, and no others; an address that no endpoint has (a container started by hand) sees those of
// the network it asks on. Names of an endpoint: <service>, tasks.<service>, <container> and its aliases, all but the second also
// with .<project> behind them; a container with links knows further names that nobody else does. Answers are the addresses of tasks that
// serve (running, and healthy if they have a check), one per container, those on this host first, in random order among
// themselves, with a TTL of 0. _<port>._<protocol>.<name> has an SRV record for each of them that publishes that port.
//
// A known name of which no task serves is answered with no addresses (NOERROR), not with NXDOMAIN and not by asking
// elsewhere: the name exists, so a search domain or a resolver outside must not answer in its place, and nothing may
// remember that it does not exist. Other types than A and AAAA of a known name are answered likewise, and AAAA where the
// network has no IPv6.
//
// Readers take no locks: a query works on an immutable [snapshot] behind an atomic pointer, and on one atomic flag per
// container for whether it serves.
package names

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"berth/placement"
)

// Zone is one overlay network as the name server needs it.
type Zone struct {
	Network   string
	Subnet    netip.Prefix
	Endpoints []placement.Endpoint
	Subnet6   netip.Prefix // zero without IPv6
}

// snapshot is all zones at one moment; never changed once published.
type snapshot struct {
	zones  []*zone // sorted by network
	byName map[string]*zone
}

type zone struct {
	network    string
	subnets    []netip.Prefix
	names      map[string][]*record // lower case, without a final dot
	addresses  map[netip.Addr]*record
	containers map[task]*record
}

// record is one endpoint.
type record struct {
	container string
	host      string
	ip        netip.Addr
	ip6       netip.Addr   // zero without IPv6
	serving   *atomic.Bool // shared by all records of the container
	links     map[string]string
	ports     []placement.EndpointPort
	elsewhere bool // it has name servers of its own
}

// task names a container on a host; its state is reported under this key.
type task struct{ host, container string }

// compile indexes a zone. serving returns the shared flag of a container.
func compile(z Zone, serving func(task) *atomic.Bool) *zone {
	out := &zone{network: z.Network, subnets: []netip.Prefix{z.Subnet, z.Subnet6}, names: make(map[string][]*record, len(z.Endpoints)),
		addresses:  make(map[netip.Addr]*record, len(z.Endpoints)),
		containers: make(map[task]*record, len(z.Endpoints))}
	records := make([]record, len(z.Endpoints))
	services := map[[2]string][]string{}
	for i, e := range z.Endpoints {
		r := &records[i]
		*r = record{container: e.Container, host: e.Host, ip: e.IP.Unmap(), ip6: e.IP6, serving: serving(task{e.Host, e.Container}),
			ports: e.Ports, elsewhere: e.OwnDNS}
		out.addresses[r.ip] = r
		if r.ip6.IsValid() {
			out.addresses[r.ip6] = r
		}
		out.containers[task{e.Host, e.Container}] = r
		for _, name := range append([]string{e.Container}, e.Aliases...) {
			for _, name := range inProject(name, e.Project) {
				out.add(name, r)
			}
		}
		for alias, name := range e.Links {
			if r.links == nil {
				r.links = make(map[string]string, len(e.Links))
			}
			r.links[strings.ToLower(alias)] = strings.ToLower(name)
		}
		// A one-off (number 0) is not a task of its service, so that a "run" beside a service gets none of its
		// traffic; it has its own name and aliases only.
		if e.Service == "" || e.Number == 0 {
			continue
		}
		key := [2]string{e.Service, e.Project}
		if services[key] == nil {
			services[key] = serviceNames(e.Service, e.Project)
		}
		for _, name := range services[key] {
			out.add(name, r)
		}
	}
	return out
}

// serviceNames lists what the tasks of a service answer to beside their own names.
func serviceNames(service, project string) []string {
	return append(inProject(service, project), "tasks."+service)
}

// inProject is a name by itself, and with the project as its domain.
func inProject(name, project string) []string {
	if project == "" {
		return []string{name}
	}
	return []string{name, name + "." + project}
}

// add gives a record a name, once.
func (z *zone) add(name string, r *record) {
	name = strings.ToLower(name)
	list := z.names[name]
	if n := len(list); n == 0 || list[n-1] != r {
		z.names[name] = append(list, r)
	}
}

// with returns a snapshot in which the zone stands in place of the one of its network.
func (s *snapshot) with(z *zone) *snapshot {
	byName := maps.Clone(s.byName)
	byName[z.network] = z
	return newSnapshot(byName)
}

// without returns a snapshot without the network.
func (s *snapshot) without(network string) *snapshot {
	byName := maps.Clone(s.byName)
	delete(byName, network)
	return newSnapshot(byName)
}

func newSnapshot(byName map[string]*zone) *snapshot {
	if byName == nil {
		byName = map[string]*zone{}
	}
	zones := slices.SortedFunc(maps.Values(byName), func(a, b *zone) int { return cmp.Compare(a.network, b.network) })
	return &snapshot{zones: zones, byName: byName}
}

// seenBy returns the zones of the one who asks from an address on a network, and what is known of it: the zero record for
// an address that no endpoint has.
func (s *snapshot) seenBy(network string, from netip.Addr) (zones []*zone, asker record) {
	here := s.byName[network]
	if here == nil {
		return nil, record{}
	}
	known := here.addresses[from.Unmap()]
	if known == nil {
		return []*zone{here}, record{}
	}
	for _, z := range s.zones {
		if _, ok := z.containers[task{known.host, known.container}]; ok {
			zones = append(zones, z)
		}
	}
	return zones, *known
}

// lookup returns the IPv4 addresses of a name, one per container that serves, those on the host first; known is whether
// any of the zones has the name at all.
func lookup(zones []*zone, name, host string) (addrs []netip.Addr, known bool) {
	found, known := find(zones, name, host)
	for _, r := range found {
		addrs = append(addrs, r.ip)
	}
	return addrs, known
}

// find returns the endpoints behind a name in the order in which they are answered.
func find(zones []*zone, name, host string) (found []*record, known bool) {
	var near, far []*record
	seen := map[task]bool{}
	for _, z := range zones {
		for _, r := range z.names[name] {
			known = true
			of := task{r.host, r.container}
			if seen[of] || !r.serving.Load() {
				continue
			}
			seen[of] = true
			if r.host == host {
				near = append(near, r)
			} else {
				far = append(far, r)
			}
		}
	}
	for _, s := range [][]*record{near, far} {
		rand.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	}
	return append(near, far...), known
}

// reverse returns the name of the container with the address; inside is whether the address belongs to one of the
// networks at all, so that nobody else knows better.
func reverse(zones []*zone, addr netip.Addr) (container string, inside bool) {
	for _, z := range zones {
		if r := z.addresses[addr]; r != nil {
			return r.container, true
		}
		inside = inside || slices.ContainsFunc(z.subnets, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	return "", inside
}
