package scheduler

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"berth/placement"
)

const (
	firstVNI   = 1 << 20 // swarm starts at 4096 (OVERLAY.md)
	subnetBits = 20      // of a network whose subnet berth chooses: 4094 addresses; fewer bits where tasks or hosts need more
	maxBlock   = 16      // addresses of a host's block
	minBlock   = 4       // the reserved first one, the gateway, and two for docker run
)

// overlay is one network of this plan with its address bookkeeping.
type overlay struct {
	placement.Network
	spec    *placement.NetworkSpec
	own     bool // made by this project
	changed bool
	pool    netip.Prefix          // where tasks' addresses come from: ip_range or the subnet
	used    map[netip.Addr]string // address → who has it
	cursor  netip.Addr            // below it no address of pool is free

	above     uint64                // at and above it no block is free
	intoRange bool                  // blocks are cut from the file's ip_range, as nothing else is left
	reserved  map[netip.Addr]string // static addresses → service
}

// isOverlay reports whether a network is one of berth's overlays on a cluster.
func (u *upper) isOverlay(n *placement.NetworkSpec) bool {
	if !u.o.Cluster {
		return false
	}
	if n.External {
		return u.w.overlays[n.Name] != nil
	}
	return n.Driver == "" || n.Driver == "bridge" || n.Driver == "overlay"
}

// placed lists the tasks in scope that have a host that answers, services in dependency order.
func (u *upper) placed() []*task {
	var all []*task
	for _, st := range u.order {
		if !st.inScope {
			continue
		}
		for _, t := range st.tasks {
			if t.host() != "" && !t.away {
				all = append(all, t)
			}
		}
	}
	return all
}

// allocate gives every placed task its addresses, and every host that needs one its block. What has an address keeps
// it, also on another host.
func (u *upper) allocate() error {
	if !u.o.Cluster {
		return nil
	}
	tasks := u.placed()
	overlays := map[string]*overlay{} // by key
	keys := slices.Sorted(maps.Keys(u.networks))
	for _, k := range keys {
		n := u.networks[k]
		users := u.users(tasks, k)
		if len(users) == 0 && !u.onlyAnswers(n) || !u.isOverlay(n) {
			u.warnOfOwnAddresses(n, users)
			continue
		}
		v, err := u.openOverlay(n, len(users), overlays)
		if err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
		overlays[k] = v
		if err := u.carve(v, users); err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
		if err := u.assignAddresses(v, k, users); err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
		if v.changed || u.outgrownBy(n) {
			u.change.Networks = append(u.change.Networks, v.Network)
		}
	}
	slices.SortFunc(u.change.Networks, func(a, b placement.Network) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range tasks {
		attached := t.set.service.Networks
		slices.SortStableFunc(t.endpoints, func(a, b placement.Endpoint) int {
			at := func(e placement.Endpoint) int {
				return slices.IndexFunc(attached, func(a placement.Attachment) bool {
					return overlays[a.Network] != nil && overlays[a.Network].Name == e.Network
				})
			}
			return at(a) - at(b)
		})
		for _, a := range attached {
			if v := overlays[a.Network]; v != nil {
				t.resolvers = append(t.resolvers, v.Blocks[t.host()].Gateway)
			}
		}
		t.resolvers = resolversOf(t.set.service, t.resolvers)
		for _, e := range t.endpoints {
			if old, ok := u.w.endpoints[key{e.Network, e.Container}]; !ok || !sameEndpoint(old, e) {
				u.change.Endpoints = append(u.change.Endpoints, e)
			}
		}
	}
	return nil
}

func sameEndpoint(a, b placement.Endpoint) bool {
	return a.IP == b.IP && a.IP6 == b.IP6 && a.MAC == b.MAC && a.Host == b.Host && a.Project == b.Project && a.Service == b.Service &&
		a.Number == b.Number && slices.Equal(a.Aliases, b.Aliases) && maps.Equal(a.Links, b.Links) &&
		slices.Equal(a.Ports, b.Ports) && a.OwnDNS == b.OwnDNS
}

// users are the tasks attached to a network.
func (u *upper) users(tasks []*task, network string) []*task {
	var all []*task
	for _, t := range tasks {
		if u.attaches(t, u.networks[network]) {
			all = append(all, t)
		}
	}
	return all
}

// attaches reports whether a task is on a network: the file says it or, where its container stays as it is, that is on it.
func (u *upper) attaches(t *task, n *placement.NetworkSpec) bool {
	if attachment(t.set.service, n.Key) == nil {
		return false
	}
	if !u.untouched(t) {
		return true
	}
	_, on := t.old.Networks[n.Name]
	_, recorded := u.w.endpoints[key{n.Name, t.name}] // engines do not tell of a network that a container waits for
	return on || recorded
}

// keeps reports whether a task's container is left alone: --no-recreate says so, or nothing would start in its place.
func (u *upper) keeps(t *task) bool { return u.opts.NoRecreate || t.set.lacks != "" }

// untouched reports whether a task's container stays as it is, whatever the file says now.
func (u *upper) untouched(t *task) bool {
	return u.keeps(t) && t.old != nil && !t.moves() && !u.volumeRenewed(t.old)
}

func attachment(s *placement.Service, network string) *placement.Attachment {
	for i := range s.Networks {
		if s.Networks[i].Network == network {
			return &s.Networks[i]
		}
	}
	return nil
}

// openOverlay finds the record of a network or makes one for so many tasks, and collects the addresses that are taken
// on it.
func (u *upper) openOverlay(n *placement.NetworkSpec, tasks int, made map[string]*overlay) (*overlay, error) {
	v := &overlay{spec: n, own: !n.External, used: map[netip.Addr]string{}, reserved: map[netip.Addr]string{}}
	if old := u.w.overlays[n.Name]; old != nil {
		v.Network = *old
		v.Blocks = maps.Clone(old.Blocks)
		if v.Blocks == nil {
			v.Blocks = map[string]placement.Block{}
		}
		if err := u.checkRecord(v, n); err != nil {
			return nil, err
		}
		u.warnOfRoutes(v)
	} else if err := u.newOverlay(v, n, tasks, made); err != nil {
		return nil, err
	}
	v.pool = v.Subnet
	v.used[v.Subnet.Masked().Addr()] = "the network itself"
	v.used[last(v.Subnet)] = "broadcast"
	if err := v.readIPAM(); err != nil {
		return nil, err
	}
	for _, st := range u.sets {
		if a := attachment(st.service, n.Key); a != nil {
			if err := v.reserve(a, st); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// checkRecord refuses to use a network whose record and file differ in what cannot be changed under running tasks.
func (u *upper) checkRecord(v *overlay, n *placement.NetworkSpec) error {
	if n.External {
		return nil
	}
	if v.Project != u.p.Name {
		return fmt.Errorf("the name is taken by project %s; give this network another name:, or set external: true", v.Project)
	}
	if want := firstIPv4(n.Subnets); want.IsValid() && want != v.Subnet {
		return fmt.Errorf("it exists with subnet %s and the file says %s; run berth down first", v.Subnet, want)
	}
	if err := v.checkIPv6(n); err != nil {
		return err
	}
	if v.Internal != n.Internal {
		return fmt.Errorf("it exists with internal: %t and the file says %t; run berth down first", v.Internal, n.Internal)
	}
	if n.Spec != nil && !maps.Equal(v.Options, n.Spec.DriverOpts) {
		return fmt.Errorf("its driver_opts have changed; run berth down first")
	}
	for h := range v.Blocks {
		if _, ok := u.w.hosts[h]; !ok {
			delete(v.Blocks, h)
			v.changed = true
		}
	}
	return nil
}

// newOverlay gives a new network its subnet and number.
func (u *upper) newOverlay(v *overlay, n *placement.NetworkSpec, tasks int, made map[string]*overlay) error {
	if err := checkIPAM(n); err != nil {
		return err
	}
	taken := map[netip.Prefix]string{}
	numbers := map[uint32]bool{}
	take := func(o *placement.Network) {
		taken[o.Subnet] = o.Name
		if o.Subnet6.IsValid() {
			taken[o.Subnet6] = o.Name
		}
		numbers[o.VNI] = true
	}
	for i := range u.o.Overlays {
		take(&u.o.Overlays[i])
	}
	for _, m := range made {
		take(&m.Network)
	}
	// Subnets that the file gives to other networks are not for choosing.
	for _, other := range u.p.Networks {
		if other == n || other.External {
			continue
		}
		for _, s := range other.Subnets {
			taken[s] = other.Name
		}
	}
	vni := uint32(firstVNI)
	for numbers[vni] {
		vni++
	}
	subnet := firstIPv4(n.Subnets)
	if subnet.IsValid() {
		if clash := u.overlap(subnet, taken); clash != "" {
			return fmt.Errorf("subnet %s overlaps %s; choose another ipam subnet", subnet, clash)
		}
	} else {
		var err error
		if subnet, err = u.freeSubnet(wantedBits(tasks, len(u.o.Hosts)), taken); err != nil {
			return err
		}
	}
	subnet6, err := u.subnet6(n, subnet, taken)
	if err != nil {
		return err
	}
	v.Network = placement.Network{
		Subnet6: subnet6,
		Name:    n.Name, Project: u.p.Name, Key: n.Key, VNI: vni, Subnet: subnet, MTU: u.o.MTU, Internal: n.Internal,
		Labels: map[string]string{
			"com.docker.compose.project": u.p.Name, "com.docker.compose.network": n.Key,
			"com.docker.compose.config-hash": n.ConfigHash,
		},
		Blocks: map[string]placement.Block{},
	}
	if n.Spec != nil {
		if _, err := placement.WantsEncryption(n.Spec.DriverOpts); err != nil {
			return err
		}
		v.Options = maps.Clone(n.Spec.DriverOpts)
		for k, l := range n.Spec.Labels {
			v.Labels[k] = l
		}
	}
	v.changed = true
	return nil
}
