package agent

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"reflect"
	"strconv"
	"time"

	"berth/placement"
	"berth/runtime/engine"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
)

// dnsPort is where the name server listens on a network's gateway address.
const dnsPort = 53

// network is what the loop knows of one engine network, wanted or on its way out.
type network struct {
	name    string
	busy    bool      // a job is under way
	made    made      // what the engine network stands as; zero while that is not known
	tried   made      // what it was last tried to be made as
	id      string    // engine network
	problem string    // why it does not stand
	failed  time.Time // of the last failed job
	pause   time.Duration
}

// made is the part of a network's record that the engine's network is made from.
type made struct {
	spec engine.BridgeNetwork
	vni  uint32
}

// wanted is how the engine's network shall be made.
func (a *agent) wanted(r record, mtu int) made {
	block, _ := r.block(a.config.Host)
	labels := maps.Clone(r.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	options := maps.Clone(r.Options)
	delete(options, placement.EncryptedOption) // not the bridge driver's
	labels[placement.NetworkLabel] = strconv.FormatUint(uint64(r.VNI), 10)
	rec := r.Network
	rec.Labels, rec.Blocks = nil, map[string]placement.Block{a.config.Host: block}
	if b, err := json.Marshal(rec); err == nil {
		labels[placement.RecordLabel] = string(b)
	}
	spec := engine.BridgeNetwork{
		Name: r.Name, Bridge: overlay.BridgeName(r.VNI), Subnet: r.Subnet, Range: block.Range, Gateway: block.Gateway,
		MTU: mtu, Internal: r.Internal, Options: options, Labels: labels,
		Subnet6: r.Subnet6, Range6: block.Range6, Gateway6: block.Gateway6,
	}
	// Engines hand out the first address of a range, which some software takes for the network itself. That of the
	// whole subnet they keep by themselves, and refuse to reserve.
	if first := block.Range.Masked().Addr(); first != block.Gateway && first != r.Subnet.Masked().Addr() {
		spec.Reserved = []netip.Addr{first}
	}
	if first := block.Range6.Masked().Addr(); block.Range6.IsValid() && first != r.Subnet6.Masked().Addr() {
		spec.Reserved6 = []netip.Addr{first}
	}
	return made{spec, r.VNI}
}

// reconcile compares everything: links and entries with the kernel, networks with the engine. It needs the store's
// word and the engine's, so that nothing is taken for stale only because nobody was asked yet.
func (a *agent) reconcile(ctx context.Context) {
	a.due = false
	a.compare(ctx)
	a.encrypt(ctx) // last: a peer that goes has no more entries then
}

// compare is reconcile without the WireGuard device.
func (a *agent) compare(ctx context.Context) {
	if a.view == nil || a.engineNets == nil || !a.underlay.Addr.IsValid() || a.retired {
		return
	}
	here := a.view.here()
	state := overlay.State{Host: a.config.Host, Underlay: a.underlay, OwnChecksums: a.paths.own}
	vnis := map[uint32]bool{}
	mtus := map[string]int{}
	for name, r := range here {
		n := a.view.desired(r, a.underlay)
		if n.Encrypted {
			a.seal(&n)
		}
		mtus[name] = n.MTU
		vnis[r.VNI] = true
		a.gateways(&n, name, r)
		state.Networks = append(state.Networks, n)
	}
	for _, info := range a.engineNets {
		if vni := labelVNI(info); !vnis[vni] {
			vnis[vni] = true
			state.Networks = append(state.Networks, overlay.Network{VNI: vni, Leaving: true})
		}
	}
	for _, n := range a.nets {
		// The engine may be putting its network on this bridge right now, wanted or not.
		if vni := n.tried.vni; n.busy && vni != 0 && !vnis[vni] {
			vnis[vni] = true
			state.Networks = append(state.Networks, overlay.Network{VNI: vni, Leaving: true})
		}
	}
	began := time.Now()
	report, err := a.net.Reconcile(ctx, state)
	if err != nil {
		a.log.Error("overlay not compared", "err", err)
	}
	if report.OwnChecksums && !a.paths.own { // as an earlier agent found out
		a.paths.own = true
		a.refresh()
	}
	if report.Changed() {
		a.log.Info("overlay mended", "networks", len(here), "links_deleted", report.Links, "written", report.Written,
			"deleted", report.Deleted, "ports", report.Ports, "took", time.Since(began).Round(10*time.Microsecond))
	}
	for name, r := range here {
		n := a.network(name)
		if e := report.Failed[r.VNI]; e != nil || err != nil {
			if e == nil {
				e = err
			}
			a.trouble(n, r.revision, notMade, e)
			continue
		}
		if info, ok := a.engineNets[name]; ok && a.outdated(info, r) {
			a.replace(ctx, n, info.ID) // its end comes back here
			continue
		}
		if r.Encrypted() && !a.encryption.standing {
			if p := a.encryption.problem; p != "" {
				a.trouble(n, r.revision, notMade, errors.New(p))
			}
			continue
		}
		a.ensure(ctx, n, r, a.wanted(r, mtus[name]))
	}
	for name, info := range a.engineNets {
		if r, ok := here[name]; !ok || labelVNI(info) != r.VNI {
			a.remove(ctx, a.network(name), info.ID, false)
		}
	}
	// Reports of networks that are neither wanted nor there: of an earlier life, or made in vain.
	reported := maps.Clone(a.view.ready)
	for name := range a.nets {
		reported[name] = true
	}
	for name := range reported {
		_, wanted := here[name]
		_, there := a.engineNets[name]
		if n := a.nets[name]; wanted || there || n != nil && n.busy {
			continue
		}
		if err != nil { // its links may still be there
			a.later(ctx, time.Second)
			break
		}
		a.gone(name)
	}
	a.host(ctx)
}

// gateways gives a network's bridge its addresses to keep, once the engine's network stands on it.
func (a *agent) gateways(n *overlay.Network, name string, r record) {
	info, ok := a.engineNets[name]
	if !ok || info.Bridge != overlay.BridgeName(r.VNI) {
		return
	}
	b, _ := r.block(a.config.Host)
	n.Gateway = netip.PrefixFrom(b.Gateway, r.Subnet.Bits())
	if b.Gateway6.IsValid() {
		n.Gateway6 = netip.PrefixFrom(b.Gateway6, r.Subnet6.Bits())
	}
}

func (a *agent) network(name string) *network {
	n := a.nets[name]
	if n == nil {
		n = &network{name: name}
		a.nets[name] = n
	}
	return n
}

// outdated reports whether the engine's network is one of an earlier time of this host in the cluster, when it had
// another block, which may be another host's by now.
func (a *agent) outdated(info engine.NetworkInfo, r record) bool {
	b, _ := r.block(a.config.Host)
	return labelVNI(info) == r.VNI && info.Gateway.IsValid() && info.Gateway != b.Gateway
}

// ensure starts making the engine's network unless it stands as wanted, and reports it when it does.
func (a *agent) ensure(ctx context.Context, n *network, r record, want made) {
	info, there := a.engineNets[n.name]
	if n.busy || there && labelVNI(info) != r.VNI {
		return // its job's end, or that of its predecessor's removal, comes back here
	}
	if there && n.id == info.ID && reflect.DeepEqual(n.made, want) {
		a.serve(ctx, n, r)
		return
	}
	if reflect.DeepEqual(n.tried, want) && time.Since(n.failed) < n.pause {
		return
	}
	n.tried, n.made = want, made{}
	a.start(ctx, n, func(ctx context.Context) result {
		id, err := a.engine.CreateBridgeNetwork(ctx, want.spec)
		return result{id: id, made: want, err: err}
	})
}

// serve listens for names on a network that stands, and tells the store.
func (a *agent) serve(ctx context.Context, n *network, r record) {
	block, _ := r.block(a.config.Host)
	if err := a.names.Listen(ctx, n.name, netip.AddrPortFrom(block.Gateway, dnsPort)); err != nil {
		a.trouble(n, r.revision, notMade, err)
		return
	}
	n.problem = ""
	n.pause = 0
	a.publish.set(ledger.ReadyKey(n.name, a.config.Host), ledger.Ready{Revision: r.revision, EngineNetwork: n.id}, false)
}

// What trouble is about, for the log.
const (
	notMade    = "network does not stand"
	notRemoved = "network not removed yet"
)

// trouble tells the store and the log why a network is not as wanted. One that stood keeps its containers.
func (a *agent) trouble(n *network, revision int64, what string, err error) {
	if n.problem != err.Error() {
		a.log.Error(what, "network", n.name, "err", err)
	}
	n.problem = err.Error()
	a.publish.set(ledger.ReadyKey(n.name, a.config.Host), ledger.Ready{Revision: revision, EngineNetwork: n.id, Problem: n.problem,
		Used: what == notRemoved && engine.IsInUse(err)}, false)
}

// remove takes down an engine network that is not wanted here any more, by its ID, since one of the same name may be
// wanted next. now asks again at once.
func (a *agent) remove(ctx context.Context, n *network, id string, now bool) {
	if n.busy || !now && time.Since(n.failed) < n.pause {
		return
	}
	a.names.Unlisten(n.name)
	a.start(ctx, n, func(ctx context.Context) result {
		return result{removed: true, err: a.engine.RemoveNetwork(ctx, id)}
	})
}

// replace starts removing the engine's network, to be made anew, whatever uses it: nobody knows that the addresses of the
// containers of then are still theirs. Those that have endpoints are put back; the others are the next command's to replace.
func (a *agent) replace(ctx context.Context, n *network, id string) {
	if n.busy || time.Since(n.failed) < n.pause {
		return
	}
	a.names.Unlisten(n.name)
	a.start(ctx, n, func(ctx context.Context) result {
		users, err := a.engine.ClearNetwork(ctx, id)
		if len(users) > 0 {
			a.log.Warn("network is made anew, containers of an earlier time of this host in the cluster are taken off it",
				"network", n.name, "containers", users)
		}
		if err == nil {
			err = a.engine.RemoveNetwork(ctx, id)
		}
		return result{removed: true, err: err}
	})
}

// retryRemovals asks again for networks that were in use, now that a container left.
func (a *agent) retryRemovals(ctx context.Context) {
	if a.view == nil {
		return
	}
	for name, info := range a.engineNets {
		r, ok := a.view.networks[name]
		_, here := r.block(a.config.Host)
		if n := a.nets[name]; n != nil && n.problem != "" && (!ok || !here || labelVNI(info) != r.VNI || a.outdated(info, r)) {
			a.remove(ctx, n, info.ID, true)
		}
	}
}

// gone forgets a network of which nothing is left.
func (a *agent) gone(name string) {
	a.names.Unlisten(name)
	delete(a.nets, name)
	delete(a.view.ready, name) // no event will say so: the host does not watch other hosts' networks
	a.publish.delete(ledger.ReadyKey(name, a.config.Host))
}

// labelVNI reads the VNI that an agent wrote on an engine network; 0 when there is none.
func labelVNI(info engine.NetworkInfo) uint32 {
	vni, err := strconv.ParseUint(info.Labels[placement.NetworkLabel], 10, 24)
	if err != nil {
		return 0
	}
	return uint32(vni)
}
