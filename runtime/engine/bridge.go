package engine

import (
	"context"
	"net/netip"
	"slices"
	"strconv"

	"github.com/docker/docker/api/types/network"
)

// BridgeNetwork is an engine network on a Linux bridge that exists already, for the agent. The engine adopts the
// bridge and leaves it alone when the network goes.
type BridgeNetwork struct {
	Name     string
	Bridge   string       // the Linux bridge, at most 15 characters
	Subnet   netip.Prefix // of the whole overlay
	Range    netip.Prefix // the part that this engine hands out by itself
	Gateway  netip.Addr   // the bridge's address on this host, inside Range
	Reserved []netip.Addr // addresses in Range that the engine must not hand out
	// IPv6, beside: all zero without.
	Subnet6, Range6 netip.Prefix
	Gateway6        netip.Addr
	Reserved6       []netip.Addr
	MTU             int // bytes; 0 leaves the engine's default
	Internal        bool
	Options         map[string]string // more driver options; those that berth needs win
	Labels          map[string]string
}

// CreateBridgeNetwork makes the network and gives its ID. One with the same name, subnet, gateway and bridge is
// success; one that differs in them is an error.
func (e *Engine) CreateBridgeNetwork(ctx context.Context, n BridgeNetwork) (string, error) {
	o := network.CreateOptions{
		Driver: "bridge", Internal: n.Internal, Labels: n.Labels, Options: map[string]string{},
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{
			Subnet: n.Subnet.String(), IPRange: n.Range.String(), Gateway: n.Gateway.String(), AuxAddress: map[string]string{},
		}}},
	}
	for k, v := range n.Options {
		o.Options[k] = v
	}
	o.Options[bridgeOption] = n.Bridge
	if n.MTU > 0 {
		o.Options[mtuOption] = strconv.Itoa(n.MTU)
	}
	for i, a := range n.Reserved {
		o.IPAM.Config[0].AuxAddress["reserved"+strconv.Itoa(i)] = a.String()
	}
	if n.Subnet6.IsValid() {
		on := true
		o.EnableIPv6 = &on
		six := network.IPAMConfig{Subnet: n.Subnet6.String(), IPRange: n.Range6.String(), Gateway: n.Gateway6.String(), AuxAddress: map[string]string{}}
		for i, a := range n.Reserved6 {
			six.AuxAddress["reserved6-"+strconv.Itoa(i)] = a.String()
		}
		o.IPAM.Config = append(o.IPAM.Config, six)
	}
	made, err := e.api.NetworkCreate(ctx, n.Name, o)
	if err == nil {
		return made.ID, nil
	}
	there, inspectErr := e.api.NetworkInspect(ctx, n.Name, network.InspectOptions{})
	if inspectErr != nil || there.Name != n.Name {
		return "", e.fail("create network", n.Name, err)
	}
	if err := n.matches(networkInfo(there)); err != nil {
		return "", &Error{Host: e.host.Name, Op: "create network", Subject: n.Name, Cause: err,
			Hint: "remove it with \"docker network rm " + n.Name + "\" if nothing of yours uses it"}
	}
	return there.ID, nil
}

func (n BridgeNetwork) matches(have NetworkInfo) error {
	switch {
	case have.Driver != "bridge" || have.Bridge != n.Bridge:
		return differs("driver %s on bridge %q, wanted bridge %q", have.Driver, have.Bridge, n.Bridge)
	case len(have.Subnets) == 0 || have.Subnets[0] != n.Subnet:
		return differs("subnet %v, wanted %s", have.Subnets, n.Subnet)
	case have.Gateway != n.Gateway:
		return differs("gateway %s, wanted %s", have.Gateway, n.Gateway)
	case have.Range != n.Range:
		return differs("range %s, wanted %s", have.Range, n.Range)
	}
	return n.matches6(have)
}

func (n BridgeNetwork) matches6(have NetworkInfo) error {
	i := slices.IndexFunc(have.Subnets, func(p netip.Prefix) bool { return p.Addr().Is6() })
	switch {
	case i < 0 && !n.Subnet6.IsValid():
		return nil
	case i < 0:
		return differs("no IPv6, wanted subnet %s", n.Subnet6)
	case have.Subnets[i] != n.Subnet6:
		return differs("IPv6 subnet %s, wanted %q", have.Subnets[i], n.Subnet6)
	case have.Gateway6 != n.Gateway6:
		return differs("IPv6 gateway %s, wanted %s", have.Gateway6, n.Gateway6)
	}
	return nil
}
