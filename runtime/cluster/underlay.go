package cluster

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"

	"berth/placement"
	"berth/runtime/ledger"
)

// Tunnels and the store's members go from any host to any other, so all hosts of a cluster are at addresses of one
// family: IPv4 when each has such an address, else IPv6. One that stands keeps to what it has.

// whereabouts are the addresses at which the other hosts reach a host, one of each family at most.
type whereabouts struct {
	host      string
	four, six netip.Addr // zero: none
}

// at is the address of a family.
func (w whereabouts) at(six bool) netip.Addr {
	if six {
		return w.six
	}
	return w.four
}

// lookup finds the addresses of a name, as net.Resolver's LookupNetIP does with the network "ip".
type lookup func(ctx context.Context, name string) ([]netip.Addr, error)

func lookupName(ctx context.Context, name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
}

// locate finds out where hosts are: by their ip: in the inventory, or else by what address: names. Names are looked up, all
// at once.
func (c *Cluster) locate(ctx context.Context, find lookup) []whereabouts {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	all := make([]whereabouts, len(c.inv.Hosts))
	var wg sync.WaitGroup
	for i, h := range c.inv.Hosts {
		all[i].host = h.Name
		name := h.IP
		if name == "" {
			if u, err := url.Parse(c.engines[h.Name].Address()); err == nil {
				name = u.Hostname()
			}
		}
		if addr, err := netip.ParseAddr(name); err == nil {
			all[i].add(addr)
		} else if name != "" {
			wg.Go(func() {
				addrs, _ := find(ctx, name) // a name that is not known is an address that is not known, which underlay tells
				all[i].add(addrs...)
			})
		}
	}
	wg.Wait()
	return all
}

// add takes the first address of each family that may be reached from elsewhere.
func (w *whereabouts) add(addrs ...netip.Addr) {
	for _, a := range addrs {
		a = a.Unmap()
		switch {
		case !a.IsGlobalUnicast() && !(a.Is4() && a.IsLinkLocalUnicast()): // a link-local IPv6 address is one of a link
		case a.Is4() && !w.four.IsValid():
			w.four = a
		case a.Is6() && !w.six.IsValid():
			w.six = a
		}
	}
}

// oneFamily decides whether the hosts are at IPv6 addresses. settled is where hosts are that have an agent already.
// Hosts that are at no known address do not count.
func oneFamily(all []whereabouts, settled map[string]netip.Addr, inventory string) (six bool, err error) {
	known := slices.DeleteFunc(slices.Clone(all), func(w whereabouts) bool {
		return !w.four.IsValid() && !w.six.IsValid() || settled[w.host].IsValid()
	})
	lacking := func(six bool) int {
		return slices.IndexFunc(known, func(w whereabouts) bool { return !w.at(six).IsValid() })
	}
	mixed := func(a string, at netip.Addr, b string, bt netip.Addr) error {
		return fmt.Errorf("hosts %s (%s) and %s (%s) do not reach each other, because one is at an IPv4 address and the other at an IPv6 one; "+
			"give the hosts addresses of one kind in %s, by ip: where address: has to stay", a, at, b, bt, inventory)
	}
	for _, w := range all {
		at, ok := settled[w.host]
		if !ok {
			continue
		}
		if i := lacking(at.Is6()); i >= 0 {
			return false, mixed(w.host, at, known[i].host, known[i].at(at.Is4()))
		}
		return at.Is6(), nil
	}
	four, sixth := lacking(false), lacking(true)
	switch {
	case four < 0:
		return false, nil
	case sixth < 0:
		return true, nil
	}
	return false, mixed(known[sixth].host, known[sixth].four, known[four].host, known[four].six)
}

// established is where the hosts are that have an agent, as far as it is known: from where the store's members are, and from
// what the agents have told.
func (c *Cluster) established() map[string]netip.Addr {
	out := map[string]netip.Addr{}
	if c.access != nil && c.embedded() {
		for i, m := range c.access.Members {
			if u, err := url.Parse(c.access.Endpoints[i]); err == nil {
				if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
					out[m] = addr
				}
			}
		}
	}
	maps.Copy(out, c.told)
	return out
}

// vteps are where the agents have told that their hosts are.
func vteps(view *ledger.View) map[string]netip.Addr {
	out := map[string]netip.Addr{}
	for name, h := range view.Hosts {
		if h.VTEP.IsValid() {
			out[name] = h.VTEP
		}
	}
	return out
}

// moved refuses an inventory that puts hosts of a cluster which stands at addresses of the other family. Tunnels would lead
// nowhere while some hosts have moved and others have not; and what was made for IPv4 tunnels is too large for those over IPv6.
// Names are not looked up for it.
func moved(inv *placement.Inventory, settled map[string]netip.Addr) error {
	for _, h := range inv.Hosts {
		name := h.IP
		if name == "" {
			u, err := url.Parse(h.Address)
			if err != nil {
				continue
			}
			name = u.Hostname()
		}
		var now whereabouts
		if addr, err := netip.ParseAddr(name); err == nil {
			now.add(addr)
		}
		was := settled[h.Name]
		if next := now.at(was.Is4()); was.IsValid() && next.IsValid() {
			return fmt.Errorf("host %s is at %s in this cluster and at %s in %s: a cluster does not move between IPv4 and IPv6; "+
				"write its old address (ip:), or end the cluster with it (\"berth down\" for each project, then remove container and volume %s on every host) "+
				"and begin it with the new one by \"berth up\"", h.Name, was, next, inv.Path, AgentName)
		}
	}
	return nil
}

// underlay is the address at which the other hosts reach a host.
func (c *Cluster) underlay(ctx context.Context, h placement.InventoryHost) (netip.Addr, error) {
	c.placing.Lock()
	defer c.placing.Unlock()
	if c.places == nil {
		c.places = c.locate(ctx, lookupName)
	}
	six, err := oneFamily(c.places, c.established(), c.inv.Path)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, w := range c.places {
		if addr := w.at(six); w.host == h.Name && addr.IsValid() {
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("host %s: no address that the other hosts reach it at is known from %q; set ip: for it in %s",
		h.Name, c.engines[h.Name].Address(), c.inv.Path)
}
