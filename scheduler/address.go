package scheduler

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"berth/placement"
)

// assignAddresses gives each user of a network its address there: the static one, else the one it has, else the
// lowest free one.
func (u *upper) assignAddresses(v *overlay, network string, users []*task) error {
	mine := map[string]*task{} // by container name
	for _, t := range users {
		mine[t.name] = t
	}
	// Addresses of others are taken: other projects', services out of scope, tasks on hosts that do not answer, and
	// those of containers that this plan removes, which are free only when the removal is done.
	for _, e := range u.o.Endpoints {
		if e.Network == v.Name && mine[e.Container] == nil {
			v.use(e)
		}
	}
	for _, g := range u.o.Guests {
		if g.Network == v.Name {
			v.use(g)
		}
	}
	given := map[*task]netip.Addr{}
	for _, t := range users {
		a := attachment(t.set.service, network)
		if old, ok := u.w.endpoints[key{v.Name, t.name}]; ok && u.untouched(t) {
			given[t] = old.IP
			v.used[old.IP] = t.name
			continue
		}
		if err := u.checkIPv6(v, t, a, mine); err != nil {
			return err
		}
		if a.IPv4 == "" {
			continue
		}
		ip := netip.MustParseAddr(a.IPv4) // openOverlay has read it
		if who, ok := v.used[ip]; ok && !u.leaving(who) {
			return fmt.Errorf("service %s: ipv4_address %s is taken by %s", t.Service, ip, who)
		}
		given[t] = ip
		v.used[ip] = t.name
	}
	for _, t := range users {
		if _, ok := given[t]; ok {
			continue
		}
		old, ok := u.w.endpoints[key{v.Name, t.name}]
		if !ok || !v.Subnet.Contains(old.IP) {
			continue
		}
		_, static := v.reserved[old.IP]
		_, used := v.used[old.IP]
		if !static && !used {
			given[t] = old.IP
			v.used[old.IP] = t.name
		}
	}
	for _, t := range users {
		ip, ok := given[t]
		if !ok {
			if ip, ok = v.lowest(); !ok {
				return fmt.Errorf("no address is free in %s for %s; use a larger subnet, or fewer replicas", v.pool, t.Task)
			}
			v.used[ip] = t.name
		}
		aliases := slices.Clone(attachment(t.set.service, network).Aliases)
		e := placement.Endpoint{
			Network: v.Name, Container: t.name, Host: t.host(), Project: u.p.Name, Service: t.Service, Number: t.Number,
			IP: ip, MAC: placement.MACFor(ip), Aliases: aliases, Links: t.set.service.Links, IP6: v.twin(ip),
			Ports: published(t.set.service), OwnDNS: len(ownDNS(t.set.service)) > 0,
		}
		fixed := attachment(t.set.service, network)
		if fixed.IPv6 != "" {
			e.IP6 = netip.MustParseAddr(fixed.IPv6)
		}
		if fixed.MAC != "" {
			e.MAC = strings.ToLower(fixed.MAC)
		}
		if old, ok := u.w.endpoints[key{v.Name, t.name}]; ok && u.untouched(t) {
			e.IP6, e.MAC = old.IP6, old.MAC
		}
		t.endpoints = append(t.endpoints, e)
	}
	return nil
}

// use marks an endpoint's addresses as taken.
func (v *overlay) use(e placement.Endpoint) {
	v.used[e.IP] = e.Container
	if e.IP6.IsValid() {
		if ip, ok := v.place(e.IP6); ok {
			v.used[ip] = e.Container
		}
	}
}

// checkIPv6 refuses a static IPv6 address that somebody has who keeps it; those that are given addresses now do not.
func (u *upper) checkIPv6(v *overlay, t *task, a *placement.Attachment, mine map[string]*task) error {
	if a.IPv6 == "" {
		return nil
	}
	ip := netip.MustParseAddr(a.IPv6)
	for _, e := range u.o.Endpoints {
		if e.Network == v.Name && e.IP6 == ip && mine[e.Container] == nil && !u.leaving(e.Container) {
			return fmt.Errorf("service %s: ipv6_address %s is taken by %s", t.Service, ip, e.Container)
		}
	}
	return nil
}

// leaving reports whether the container of that name goes in this plan, or is gone already.
func (u *upper) leaving(container string) bool {
	for _, d := range u.drops() {
		if d.c.Name == container {
			return true
		}
	}
	e := slices.IndexFunc(u.o.Endpoints, func(e placement.Endpoint) bool { return e.Container == container })
	return e >= 0 && u.o.Endpoints[e].Project == u.p.Name && !u.w.unreachable(u.o.Endpoints[e].Host) &&
		!slices.ContainsFunc(u.w.containers, func(c placement.Container) bool { return c.Name == container })
}

// drops lists all containers that go.
func (u *upper) drops() []*drop {
	all := slices.Clone(u.orphaned)
	for _, st := range u.order {
		if st.inScope {
			all = append(all, st.drops...)
		}
	}
	return all
}

// lowest is the lowest free address of the pool.
func (v *overlay) lowest() (netip.Addr, bool) {
	if !v.cursor.IsValid() {
		v.cursor = v.pool.Addr()
	}
	for v.cursor.IsValid() && v.pool.Contains(v.cursor) {
		ip := v.cursor
		v.cursor = ip.Next()
		_, used := v.used[ip]
		_, static := v.reserved[ip]
		if !used && !static {
			return ip, true
		}
	}
	return netip.Addr{}, false
}
