package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"berth/runtime/identity"
	"berth/runtime/ledger"
	"berth/runtime/names"
	"berth/runtime/overlay"
	"berth/runtime/store"
)

// recallAfter is how long an agent that starts waits for the store before it goes by what the one before it knew.
const recallAfter = 2 * time.Second

// known is what an agent knew, as it is kept in a file: the records of its host's part of the store, as the store has them.
type known struct {
	Revision int64        `json:"revision"`
	Pairs    []store.Pair `json:"pairs"`
}

// keep writes what is known of the store for an agent that starts while the store is away: when something has changed, at
// most once every reconcileEvery, and when the agent ends, which waits for it. Disks may be slow, so the loop does not.
func (a *agent) keep(wait bool) {
	if a.files.Known == "" || a.view == nil || !a.unkept {
		return
	}
	if wait {
		a.keeping <- struct{}{}
	} else {
		select {
		case a.keeping <- struct{}{}:
		default:
			return // the last time's is still being written
		}
	}
	a.unkept = false
	var b []byte
	pairs, err := a.view.pairs()
	if err == nil {
		b, err = json.Marshal(known{a.view.revision, pairs})
	}
	a.jobs.Go(func() {
		if err == nil {
			err = identity.Replace(a.files.Known, b)
		}
		if err != nil {
			a.log.Warn("what is known of the store not kept; an agent that starts without a store would know nothing", "err", err)
		}
		<-a.keeping
	})
}

// recallKnown reads what an agent before this one knew. The store may have said more since, so it serves only until the store
// answers, and only for what does no harm if it is old: names are answered by it, and a host that has lost its tunnels, because
// it was started anew, gets them back. Nothing is removed, and the store is told nothing.
func (a *agent) recallKnown(ctx context.Context) {
	if a.view != nil || a.retired || a.files.Known == "" {
		return
	}
	b, err := os.ReadFile(a.files.Known)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var k known
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		a.log.Warn("what an earlier agent knew of the store not read", "err", err)
		return
	}
	v := load(a.config.Host, a.log, store.Snapshot{Pairs: k.Pairs, Revision: k.Revision})
	if _, refused := v.refused[a.config.Host]; refused {
		return
	}
	a.recalled = v
	a.log.Warn("the store does not answer, going by what was known of it", "revision", k.Revision, "networks", len(v.here()))
	a.standIn(ctx)
}

// standIn does with what was recalled what can be done: as soon as it is, and whenever the engine has news.
func (a *agent) standIn(ctx context.Context) {
	v := a.recalled
	if v == nil || a.view != nil {
		return
	}
	if a.retired {
		a.recalled = nil
		return
	}
	here := v.here()
	a.restore(ctx, here)
	for name, r := range here {
		if info, ok := a.engineNets[name]; !ok || labelVNI(info) != r.VNI {
			continue
		}
		if !a.zones[name] {
			a.names.SetZone(names.Zone{Network: name, Subnet: r.Subnet, Subnet6: r.Subnet6, Endpoints: v.on(name)})
			a.zones[name] = true
		}
		block, _ := r.block(a.config.Host)
		if err := a.names.Listen(ctx, name, netip.AddrPortFrom(block.Gateway, dnsPort)); err != nil {
			a.log.Warn("names are not answered yet", "network", name, "err", err)
		}
		for _, e := range v.on(name) {
			serves := v.serves(e.Host, e.Container)
			if e.Host == a.config.Host && a.containers != nil {
				serves = a.containers[e.Container].Serving()
			}
			a.names.SetServing(e.Host, e.Container, serves)
		}
	}
}

// restore makes links and entries of the recalled networks if the kernel has no tunnel at all: then the host was started anew,
// and there is nothing that could be newer than what is known.
func (a *agent) restore(ctx context.Context, here map[string]record) {
	if a.restored || len(here) == 0 || a.engineNets == nil || !a.underlay.Addr.IsValid() {
		return
	}
	dumps, err := a.net.Dump(ctx)
	if err != nil {
		a.log.Warn("kernel not looked at", "err", err)
		return
	}
	a.restored = true
	for _, d := range dumps {
		if d.Tunnel.Index != 0 {
			return
		}
	}
	state := overlay.State{Host: a.config.Host, Underlay: a.underlay}
	for name, r := range here {
		n := a.recalled.desired(r, a.underlay)
		if n.Encrypted {
			continue // without the store nobody knows the others' keys
		}
		a.gateways(&n, name, r)
		state.Networks = append(state.Networks, n)
	}
	for _, info := range a.engineNets {
		if r, ok := here[info.Name]; !ok || labelVNI(info) != r.VNI || r.Encrypted() {
			state.Networks = append(state.Networks, overlay.Network{VNI: labelVNI(info), Leaving: true})
		}
	}
	report, err := a.net.Reconcile(ctx, state)
	for _, e := range report.Failed {
		err = errors.Join(err, e)
	}
	if err != nil {
		a.log.Error("tunnels not made again from what was known", "err", err)
	}
	a.log.Info("tunnels made again from what was known", "networks", len(state.Networks), "written", report.Written)
}

// pairs are the records of a view, as the store has them. What lives only while a command works on something is left out.
func (v *view) pairs() ([]store.Pair, error) {
	var out []store.Pair
	var failed error
	put := func(key string, value any, revision int64) {
		b, err := json.Marshal(value)
		failed = errors.Join(failed, err)
		out = append(out, store.Pair{Key: key, Value: b, Modified: revision})
	}
	here := v.here()
	met := map[string]bool{v.me: true}
	for name, r := range here {
		put(ledger.NetworkKey(name), r.Network, r.revision)
		for host := range r.Blocks {
			met[host] = true
		}
		for _, e := range v.of(name) {
			put(ledger.EndpointKey(e), e, 0)
		}
		for _, e := range v.guests[name] {
			put(ledger.GuestKey(e), e, 0)
		}
	}
	for host := range met {
		if h, ok := v.hosts[host]; ok {
			put(ledger.HostKey(host), h, 0)
		}
		for container, s := range v.states[host] {
			put(ledger.StateKey(host, container), s, 0)
		}
	}
	for host, admission := range v.refused {
		put(ledger.RefusedKey(host), ledger.Refusal{Admitted: admission}, 0)
	}
	return out, failed
}
