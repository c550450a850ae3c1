package scheduler

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"berth/placement"
)

// checkIPAM refuses what an overlay cannot be, before anything is made.
func checkIPAM(n *placement.NetworkSpec) error {
	for _, family := range []struct {
		name string
		is   func(netip.Addr) bool
	}{{"IPv4", netip.Addr.Is4}, {"IPv6", netip.Addr.Is6}} {
		own := slices.DeleteFunc(slices.Clone(n.Subnets), func(p netip.Prefix) bool { return !family.is(p.Addr()) })
		if len(own) > 1 {
			return fmt.Errorf("ipam gives it the %s subnets %s and %s, and a network that spans hosts has one; make it one larger subnet, or two networks",
				family.name, own[0], own[1])
		}
	}
	if n.Spec == nil {
		return nil
	}
	if d := n.Spec.Ipam.Driver; d != "" && d != "default" {
		return fmt.Errorf("ipam.driver %q is one engine's own, and addresses on a cluster come from the store; leave it out", d)
	}
	if len(n.Spec.Ipam.Options) > 0 {
		return fmt.Errorf("ipam.options are for an engine's own driver, and addresses on a cluster come from the store; leave them out")
	}
	if on := n.Spec.EnableIPv4; on != nil && !*on {
		return fmt.Errorf("enable_ipv4: false: a network that spans hosts always has IPv4; leave it out, and set enable_ipv6: true for IPv6 beside it")
	}
	return nil
}

// readIPAM takes in what the file's ipam section says beside the subnets: ip_range, gateway, aux_addresses.
func (v *overlay) readIPAM() error {
	if v.spec.Spec == nil || v.spec.External {
		return nil
	}
	for _, c := range v.spec.Spec.Ipam.Config {
		subnet := v.Subnet
		if s, err := netip.ParsePrefix(c.Subnet); err == nil && s.Addr().Is6() {
			subnet = v.Subnet6
		}
		if err := v.readPool(c, subnet); err != nil {
			return err
		}
	}
	return nil
}

// readPool takes in one entry of ipam.config.
func (v *overlay) readPool(c *types.IPAMPool, subnet netip.Prefix) error {
	if c.IPRange != "" {
		if subnet.Addr().Is6() {
			return fmt.Errorf("ip_range %s: addresses of IPv6 follow those of IPv4; give the range of the IPv4 subnet", c.IPRange)
		}
		r, err := netip.ParsePrefix(c.IPRange)
		if err != nil || !r.Addr().Is4() || r.Bits() < subnet.Bits() || !subnet.Contains(r.Addr()) {
			return fmt.Errorf("ip_range %q is no part of the subnet %s", c.IPRange, subnet)
		}
		v.pool = r.Masked()
	}
	// Each host has a gateway address of its own in its block; the one in the file stays free of tasks.
	keep := map[string]string{"the gateway in the file": c.Gateway}
	for name, aux := range c.AuxiliaryAddresses {
		keep["aux address "+name] = aux
	}
	for _, what := range slices.Sorted(maps.Keys(keep)) {
		text := keep[what]
		if text == "" {
			continue
		}
		ip, err := netip.ParseAddr(text)
		if err != nil || !subnet.Contains(ip) {
			return fmt.Errorf("%s, %q, is no address in the subnet %s", what, text, subnet)
		}
		if ip, ok := v.place(ip); ok {
			v.used[ip] = what
		}
	}
	return nil
}

// reserve keeps the addresses that the file gives to a service for it.
func (v *overlay) reserve(a *placement.Attachment, st *set) error {
	keep := func(ip netip.Addr, text string) error {
		ip, ok := v.place(ip)
		if !ok {
			return nil // beside all that tasks get by themselves
		}
		if other, taken := v.reserved[ip]; taken && other != st.service.Name && !st.oneOff { // which has its service's address, while that is free
			return fmt.Errorf("services %s and %s both want %s", other, st.service.Name, text)
		}
		v.reserved[ip] = st.service.Name
		return nil
	}
	if a.IPv4 != "" {
		ip, err := netip.ParseAddr(a.IPv4)
		if err != nil || !ip.Is4() {
			return fmt.Errorf("service %s: ipv4_address %q is no IPv4 address", st.service.Name, a.IPv4)
		}
		if !v.Subnet.Contains(ip) {
			return fmt.Errorf("service %s: ipv4_address %s is outside the subnet %s; set ipam.config.subnet", st.service.Name, ip, v.Subnet)
		}
		if err := keep(ip, "ipv4_address "+a.IPv4); err != nil {
			return err
		}
	}
	if a.IPv6 != "" {
		ip, err := netip.ParseAddr(a.IPv6)
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return fmt.Errorf("service %s: ipv6_address %q is no IPv6 address", st.service.Name, a.IPv6)
		}
		if !v.Subnet6.IsValid() {
			return fmt.Errorf("service %s: ipv6_address %s: the network has no IPv6; set enable_ipv6: true", st.service.Name, ip)
		}
		if !v.Subnet6.Contains(ip) {
			return fmt.Errorf("service %s: ipv6_address %s is outside the subnet %s; set ipam.config.subnet", st.service.Name, ip, v.Subnet6)
		}
		if err := keep(ip, "ipv6_address "+a.IPv6); err != nil {
			return err
		}
	}
	return nil
}

// warnOfOwnAddresses tells of a network that puts tasks of several hosts onto one segment, with addresses that each host's
// engine chooses by itself.
func (u *upper) warnOfOwnAddresses(n *placement.NetworkSpec, users []*task) {
	if n.External || n.Driver != "macvlan" && n.Driver != "ipvlan" {
		return
	}
	hosts := map[string]bool{}
	for _, t := range users {
		if attachment(t.set.service, n.Key).IPv4 == "" {
			hosts[t.host()] = true
		}
	}
	if len(hosts) > 1 {
		u.warn("network %s: each host's engine hands out addresses of a %s network by itself, so tasks on two hosts can get the same one; give the tasks ipv4_address:, or each host an external network with an ip-range of its own",
			n.Name, n.Driver)
	}
}
