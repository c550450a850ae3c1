package ledger

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"berth/placement"
	"berth/runtime/store"
)

// Found is what runs on one host, as its engine's containers, networks and their labels say.
type Found struct {
	Host      string
	Networks  []placement.Network // berth's engine networks, each with this host's block only
	Endpoints []placement.Endpoint
	Ports     []placement.PortRecord
	// Tasks and Pins are by project; Pins are engine volume names.
	Tasks map[string]map[placement.Task]placement.TaskRecord
	Pins  map[string][]string
	// Containers are the names of all containers of the host.
	Containers map[string]bool
	// Refused are the hosts that the host's agent knows to be refused, with the admission of each that is good, "" for none.
	Refused map[string]string
}

// Rebuild works out what the store has to learn, so that what it says about one host is true again, after it was emptied
// or got an old backup. What runs on a host wins over what the store says of it, and over what it says of hosts that have
// not told yet; what another host has told wins over this one, as both cannot be true: that is a problem, a sentence.
// Nothing to do is a transaction without puts and deletes. The same host told twice changes nothing.
//
// A host that tells is not waited for by others: two may tell at once, each from what it has read. So the transaction
// compares the Allocation key, which each of them writes.
func Rebuild(v *View, f Found) (store.Txn, []string) {
	r := rebuilding{view: v, found: f, networks: map[string]placement.Network{}, endpoints: map[string]placement.Endpoint{},
		puts: map[string]any{}, deletes: map[string]bool{}}
	for _, n := range v.Networks {
		r.networks[n.Name] = n
	}
	for _, e := range v.Endpoints {
		r.endpoints[EndpointKey(e)] = e
	}
	r.dropStale()
	for _, n := range f.Networks {
		r.network(n)
	}
	for _, e := range f.Endpoints {
		r.endpoint(e)
	}
	for _, p := range f.Ports {
		r.port(p)
	}
	for project, tasks := range f.Tasks {
		r.tasks(project, tasks)
	}
	for project, pins := range f.Pins {
		r.pins(project, pins)
	}
	for host, admitted := range f.Refused {
		r.refusal(host, admitted)
	}
	slices.Sort(r.problems)
	return r.txn(), r.problems
}

// refusal keeps a host out that was refused before. Of two admissions that agents and store take for the good one, neither
// may be: the next command lets a host of the inventory in again.
func (r *rebuilding) refusal(host, admitted string) {
	if host == r.found.Host {
		return // who is refused has no say in it
	}
	now, there := r.view.Refused[host]
	switch {
	case !there:
		r.put(RefusedKey(host), Refusal{Admitted: admitted})
	case now.Admitted != "" && now.Admitted != admitted:
		r.put(RefusedKey(host), Refusal{})
	}
}

type rebuilding struct {
	view      *View
	found     Found
	networks  map[string]placement.Network  // as they will be
	endpoints map[string]placement.Endpoint // by key, as they will be
	refused   map[string]bool               // networks of this host that another one contradicts
	puts      map[string]any
	deletes   map[string]bool
	problems  []string
}

// told reports whether another host has said that what the store knows of it is so.
func (r *rebuilding) told(host string) bool { return host != r.found.Host && r.view.Told(host) }

// teller is a host of a network that has told, "" when there is none.
func (r *rebuilding) teller(n placement.Network) string {
	for _, host := range slices.Sorted(maps.Keys(n.Blocks)) {
		if r.told(host) {
			return host
		}
	}
	return ""
}

func (r *rebuilding) put(key string, v any) {
	delete(r.deletes, key)
	r.puts[key] = v
}

func (r *rebuilding) drop(key string) {
	delete(r.puts, key)
	r.deletes[key] = true
}

func (r *rebuilding) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// dropStale takes back what a store that has lost its present says of this host and is not so any more: else others would
// take it for told.
func (r *rebuilding) dropStale() {
	if !r.view.Epoch.Lost {
		return
	}
	me := r.found.Host
	for key, e := range r.endpoints {
		if e.Host == me && !r.found.Containers[e.Container] {
			delete(r.endpoints, key)
			r.drop(key)
		}
	}
	for name, n := range r.networks {
		if _, ok := n.Blocks[me]; ok && !r.standsHere(name, n.VNI) {
			n.Blocks = maps.Clone(n.Blocks)
			delete(n.Blocks, me)
			r.set(n)
		}
	}
	for project, p := range r.view.Projects {
		for task, rec := range p.Tasks {
			if rec.Host == me && !r.found.Containers[rec.Container] {
				r.drop(TaskKey(project, task))
			}
		}
	}
}

// set writes a network, or removes it with its endpoints when no host is on it.
func (r *rebuilding) set(n placement.Network) {
	if len(n.Blocks) == 0 {
		r.remove(n.Name)
		return
	}
	r.networks[n.Name] = n
	r.put(NetworkKey(n.Name), n)
}

func (r *rebuilding) remove(network string) {
	delete(r.networks, network)
	r.drop(NetworkKey(network))
	for key, e := range r.endpoints {
		if e.Network == network {
			delete(r.endpoints, key)
			r.drop(key)
		}
	}
}

// network tells of one that stands on this host.
func (r *rebuilding) network(n placement.Network) {
	me := r.found.Host
	refuse := func(format string, args ...any) {
		if r.refused == nil {
			r.refused = map[string]bool{}
		}
		r.refused[n.Name] = true
		r.problem("network "+n.Name+" of host "+me+" "+format, args...)
	}
	old, known := r.networks[n.Name]
	if known && old.VNI == n.VNI && old.Subnet == n.Subnet && old.Subnet6 == n.Subnet6 {
		r.block(old, n.Blocks[me], refuse)
		return
	}
	if known {
		if host := r.teller(old); host != "" {
			refuse("has VNI %d and subnet %s, that of host %s %d and %s; take the project down on one of them", n.VNI, n.Subnet, host, old.VNI, old.Subnet)
			return
		}
		r.remove(n.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(r.networks)) {
		other := r.networks[name]
		if other.VNI != n.VNI && !other.Subnet.Overlaps(n.Subnet) && !overlaps(other.Subnet6, n.Subnet6) {
			continue
		}
		if host := r.teller(other); host != "" || r.standsHere(name, other.VNI) {
			refuse("has the VNI or subnet of network %s on host %s; take its project down and up again", name, host)
			return
		}
		r.remove(name)
	}
	r.set(n)
}

// standsHere reports whether a network of the store is one of this host's, told already or to be told.
func (r *rebuilding) standsHere(name string, vni uint32) bool {
	return slices.ContainsFunc(r.found.Networks, func(n placement.Network) bool { return n.Name == name && n.VNI == vni })
}

func overlaps(a, b netip.Prefix) bool { return a.IsValid() && b.IsValid() && a.Overlaps(b) }

// block tells of this host's part of a network that the store knows.
func (r *rebuilding) block(n placement.Network, mine placement.Block, refuse func(string, ...any)) {
	me := r.found.Host
	if n.Blocks[me] == mine {
		return
	}
	blocks := map[string]placement.Block{me: mine}
	for host, b := range n.Blocks {
		if host == me {
			continue
		}
		if !b.Range.Overlaps(mine.Range) && !overlaps(b.Range6, mine.Range6) {
			blocks[host] = b
		} else if r.told(host) {
			refuse("has the block %s, which overlaps %s of host %s; take the project down on one of them", mine.Range, b.Range, host)
			return
		}
	}
	n.Blocks = blocks
	r.set(n)
}

// endpoint tells of a container's address.
func (r *rebuilding) endpoint(e placement.Endpoint) {
	if _, ok := r.networks[e.Network]; !ok || r.refused[e.Network] {
		return
	}
	key := EndpointKey(e)
	if old, ok := r.endpoints[key]; ok {
		if reflect.DeepEqual(old, e) {
			return
		}
		if old.Host != e.Host && r.told(old.Host) {
			r.problem("container %s is on host %s and on host %s; remove one of them", e.Container, old.Host, e.Host)
			return
		}
	}
	for _, at := range slices.Sorted(maps.Keys(r.endpoints)) {
		other := r.endpoints[at]
		if at == key || other.Network != e.Network || other.IP != e.IP && (!other.IP6.IsValid() || other.IP6 != e.IP6) {
			continue
		}
		if r.told(other.Host) || other.Host == e.Host && r.has(other) {
			r.problem("container %s of host %s has address %s, as %s of host %s has; recreate it with \"berth up --force-recreate %s\"",
				e.Container, e.Host, e.IP, other.Container, other.Host, e.Service)
			return
		}
		delete(r.endpoints, at)
		r.drop(at)
	}
	r.endpoints[key] = e
	r.put(key, e)
}

// has reports whether a container of this host really has the address that the store knows of it. One that was made again after
// the store's past has another, which may be yet to be told.
func (r *rebuilding) has(e placement.Endpoint) bool {
	return slices.ContainsFunc(r.found.Endpoints, func(mine placement.Endpoint) bool {
		return mine.Network == e.Network && mine.Container == e.Container && mine.IP == e.IP && mine.IP6 == e.IP6
	})
}

// port tells of a port in mode ingress. Another service has it if a host has told that it runs one of its tasks.
func (r *rebuilding) port(p placement.PortRecord) {
	i := slices.IndexFunc(r.view.Ports, func(o placement.PortRecord) bool { return o.Published == p.Published && o.Protocol == p.Protocol })
	if i >= 0 && r.view.Ports[i] == p {
		return
	}
	if i >= 0 {
		other := r.view.Ports[i]
		if known := r.view.Projects[other.Project]; known != nil && (other.Project != p.Project || other.Service != p.Service) {
			for t, rec := range known.Tasks {
				if t.Service == other.Service && r.told(rec.Host) {
					r.problem("service %s of project %s and service %s of project %s on host %s both publish %s on every host; give one of them another port",
						p.Service, p.Project, other.Service, other.Project, rec.Host, p.Port())
					return
				}
			}
		}
	}
	r.put(PortKey(p.Protocol, p.Published), p)
}

func (r *rebuilding) tasks(project string, tasks map[placement.Task]placement.TaskRecord) {
	known := map[placement.Task]placement.TaskRecord{}
	if p := r.view.Projects[project]; p != nil {
		known = p.Tasks
	}
	for t, mine := range tasks {
		old, ok := known[t]
		if ok && old.Host == mine.Host {
			mine.Instead = old.Instead
		}
		if ok && (old == mine || r.told(old.Host)) {
			continue
		}
		r.put(TaskKey(project, t), mine)
	}
}

func (r *rebuilding) pins(project string, volumes []string) {
	known := map[string]string{}
	if p := r.view.Projects[project]; p != nil {
		known = p.Pins
	}
	for _, v := range volumes {
		if old := known[v]; old != r.found.Host && !r.told(old) {
			r.put(PinKey(project, v), r.found.Host)
		}
	}
}

// txn is what is to be written: networks first, for stores that take it in parts.
func (r *rebuilding) txn() store.Txn {
	var t store.Txn
	rank := func(key string) int {
		if strings.HasPrefix(key, Networks) {
			return 0
		}
		return 1
	}
	for _, key := range slices.SortedFunc(maps.Keys(r.puts), func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	}) {
		value, err := json.Marshal(r.puts[key])
		if err != nil {
			r.problem("store record %s cannot be encoded: %s", key, err)
			continue
		}
		t.Puts = append(t.Puts, store.Put{Key: key, Value: value})
	}
	t.Deletes = slices.Sorted(maps.Keys(r.deletes))
	return t
}
