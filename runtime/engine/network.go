package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"berth/placement"
)

// NetworkInfo is a network as the engine has it.
type NetworkInfo struct {
	ID, Name, Driver string
	Bridge           string         // Linux bridge that was asked for by name; "" when the engine chose
	Subnets          []netip.Prefix // as configured
	Range            netip.Prefix   // of the first subnet; zero when not limited
	Gateway          netip.Addr     // of the first subnet; zero when not configured
	Gateway6         netip.Addr     // of the last IPv6 subnet; zero when not configured
	MTU              int            // bytes; 0 when not set
	Internal         bool
	Options, Labels  map[string]string
}

// bridgeOption and mtuOption are the bridge driver's options for the Linux bridge's name and the MTU.
const (
	bridgeOption = "com.docker.network.bridge.name"
	mtuOption    = "com.docker.network.driver.mtu"
)

// Networks lists the networks that carry a label, `key` or `key=value`; all with "".
func (e *Engine) Networks(ctx context.Context, label string) ([]NetworkInfo, error) {
	var args filters.Args
	if label != "" {
		args = filters.NewArgs(filters.Arg("label", label))
	}
	list, err := e.api.NetworkList(ctx, network.ListOptions{Filters: args})
	if err != nil {
		return nil, e.fail("list networks", "", err)
	}
	infos := make([]NetworkInfo, len(list))
	for i, n := range list {
		infos[i] = networkInfo(n)
	}
	return infos, nil
}

func networkInfo(n network.Inspect) NetworkInfo {
	info := NetworkInfo{ID: n.ID, Name: n.Name, Driver: n.Driver, Bridge: n.Options[bridgeOption], Internal: n.Internal,
		Options: n.Options, Labels: n.Labels}
	info.MTU, _ = strconv.Atoi(n.Options[mtuOption])
	for i, pool := range n.IPAM.Config {
		p, err := netip.ParsePrefix(pool.Subnet)
		if err != nil {
			continue
		}
		info.Subnets = append(info.Subnets, p)
		gateway, _, _ := strings.Cut(pool.Gateway, "/") // some engines add the mask
		if i == 0 {
			info.Range, _ = netip.ParsePrefix(pool.IPRange)
			info.Gateway, _ = netip.ParseAddr(gateway)
		}
		if p.Addr().Is6() {
			info.Gateway6, _ = netip.ParseAddr(gateway)
		}
	}
	return info
}

// CreateNetwork makes a network of the project as compose does, and gives its ID. One of the same name that is the
// project's own already is success.
func (e *Engine) CreateNetwork(ctx context.Context, p *placement.Project, n *placement.NetworkSpec) (string, error) {
	api, err := e.version(ctx)
	if err != nil {
		return "", e.fail("create network", n.Name, err)
	}
	made, err := e.api.NetworkCreate(ctx, n.Name, networkOptions(p, n, api))
	if err == nil {
		return made.ID, nil
	}
	if there, inspectErr := e.api.NetworkInspect(ctx, n.Name, network.InspectOptions{}); inspectErr == nil && there.Name == n.Name &&
		there.Labels[labelProject] == p.Name && there.Labels[labelNetwork] == n.Key {
		return there.ID, nil
	}
	return "", e.fail("create network", n.Name, err)
}

// networkOptions translates one entry of networks:. API versions below 1.48 do not know enable_ipv4.
func networkOptions(p *placement.Project, n *placement.NetworkSpec, api string) network.CreateOptions {
	spec := n.Spec
	if spec == nil {
		spec = &types.NetworkConfig{Name: n.Name, Driver: n.Driver}
	}
	o := network.CreateOptions{
		Driver: n.Driver, Options: spec.DriverOpts, Internal: spec.Internal || n.Internal, Attachable: spec.Attachable,
		EnableIPv6: spec.EnableIPv6, Labels: map[string]string{},
	}
	if atLeast(api, "1.48") {
		o.EnableIPv4 = spec.EnableIPv4
	}
	for k, v := range spec.Labels {
		o.Labels[k] = v
	}
	o.Labels[labelProject], o.Labels[labelNetwork], o.Labels[labelVersion] = p.Name, n.Key, ComposeVersion
	o.Labels[labelConfigHash] = n.ConfigHash
	if spec.Ipam.Driver != "" || len(spec.Ipam.Config) > 0 || len(spec.Ipam.Options) > 0 {
		o.IPAM = &network.IPAM{Driver: spec.Ipam.Driver, Options: spec.Ipam.Options}
		for _, pool := range spec.Ipam.Config {
			o.IPAM.Config = append(o.IPAM.Config, network.IPAMConfig{
				Subnet: pool.Subnet, IPRange: pool.IPRange, Gateway: pool.Gateway, AuxAddress: pool.AuxiliaryAddresses,
			})
		}
	}
	return o
}

// removalPauses are the waits between attempts to remove a network whose endpoints the engine is still taking down:
// 20.10 does that after it has answered the removal of their containers, and tells no one when it is done.
var removalPauses = []time.Duration{
	20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond,
}

// patience is how many attempts a container that does not run any more gets to let go of a network by itself.
const patience = 3

// errMiscounted says that the engine counts endpoints of a network that are not there.
var errMiscounted = errors.New("endpoints miscounted")

// RemoveNetwork removes a network. One that is not there is success. Endpoints of containers that are gone ("ghosts") are
// waited for, then cut off by force; a container that really uses the network is an error that names it, for which
// IsInUse holds. It does not hold when the engine has lost count (see release.go): nothing but a restart cures that.
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	err := e.tryRemoveNetwork(ctx, name)
	for attempt, pause := range removalPauses {
		if err == nil || !activeEndpoints(err) {
			return e.fail("remove network", name, err)
		}
		users, forced, inspectErr := e.releaseGhosts(ctx, name, err, attempt >= patience)
		if inspectErr != nil {
			return e.fail("remove network", name, inspectErr)
		}
		if len(users) > 0 {
			return &Error{Host: e.host.Name, Op: "remove network", Subject: name, Cause: err,
				Text: "it is in use by " + strings.Join(users, ", "), Hint: "remove these containers or disconnect them first"}
		}
		if !forced {
			if err := sleep(ctx, pause); err != nil {
				return e.fail("remove network", name, err)
			}
		}
		err = e.tryRemoveNetwork(ctx, name)
	}
	if err != nil && activeEndpoints(err) {
		return &Error{Host: e.host.Name, Op: "remove network", Subject: name, Cause: fmt.Errorf("%w: %w", errMiscounted, err),
			Text: "the engine counts an endpoint of a container that is gone",
			Hint: "restart the engine, then run the command again; until then the network can be used, but not removed"}
	}
	return e.fail("remove network", name, err)
}

// ClearNetwork takes all containers off a network, running or not, and returns their names, sorted. A network that is not
// there has none.
func (e *Engine) ClearNetwork(ctx context.Context, name string) ([]string, error) {
	const op = "clear network"
	info, err := e.api.NetworkInspect(ctx, name, network.InspectOptions{})
	if IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, e.fail(op, name, err)
	}
	var users []string
	for _, end := range info.Containers {
		err := e.api.NetworkDisconnect(ctx, info.ID, end.Name, true)
		if err != nil && !IsNotFound(err) {
			return users, e.fail(op, name, err)
		}
		users = append(users, end.Name)
	}
	slices.Sort(users)
	return users, nil
}

func (e *Engine) tryRemoveNetwork(ctx context.Context, name string) error {
	if err := e.api.NetworkRemove(ctx, name); !IsNotFound(err) {
		return err
	}
	return nil
}

func activeEndpoints(err error) bool {
	if refused := (*Error)(nil); errors.As(err, &refused) {
		err = refused.Cause
	}
	return strings.Contains(err.Error(), "active endpoints")
}

// releaseGhosts force-disconnects what no container stands behind, with stopped set also what a container that does not
// run holds on to, and names the running containers that really use the network.
func (e *Engine) releaseGhosts(ctx context.Context, name string, refused error, stopped bool) (users []string, forced bool, err error) {
	info, err := e.api.NetworkInspect(ctx, name, network.InspectOptions{})
	if IsNotFound(err) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	ghosts := map[string]bool{}
	for _, n := range endpointNames(refused) {
		ghosts[n] = true
	}
	for id, end := range info.Containers {
		if strings.HasPrefix(id, "ep-") { // how an endpoint without a container is listed
			ghosts[end.Name] = true
			continue
		}
		s, err := e.State(ctx, id)
		switch {
		case IsNotFound(err):
			ghosts[end.Name] = true
		case err != nil:
			return nil, false, err
		case s.Running || s.Status == "restarting":
			users = append(users, "container "+end.Name)
			delete(ghosts, end.Name)
		case stopped:
			ghosts[end.Name] = true
		default: // on its way out
			delete(ghosts, end.Name)
		}
	}
	slices.Sort(users)
	for _, g := range sortedKeys(ghosts) {
		if e.api.NetworkDisconnect(ctx, info.ID, g, true) == nil {
			forced = true
		}
	}
	return users, forced, nil
}

// endpointNames reads the endpoints that newer engines name in their refusal: `(name:"web-1" id:"…")`.
func endpointNames(refused error) []string {
	var names []string
	for _, part := range strings.Split(refused.Error(), `name:"`)[1:] {
		if name, _, ok := strings.Cut(part, `"`); ok {
			names = append(names, name)
		}
	}
	return names
}

// sleep waits, or ends with the context.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// errDiffers says that a network of the wanted name is there but is not the wanted one.
var errDiffers = errors.New("a network of that name is there already, and differs")

func differs(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDiffers, fmt.Sprintf(format, args...))
}
