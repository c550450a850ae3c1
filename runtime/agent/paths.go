package agent

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"berth/runtime/ledger"
	"berth/runtime/overlay"
)

// settleProbe is how long occasions for a round of probes are gathered: networks become ready on many hosts at once.
const settleProbe = 200 * time.Millisecond

// probeTime bounds a round of probes.
const probeTime = time.Minute

// paths is what the loop knows of the paths to the other hosts. Hosts that share a network are probed when it stands on
// both, and every reconcileEvery.
type paths struct {
	busy, again bool
	timer       *time.Timer    // the next round
	found       map[string]int // MTU by host, bytes, where it is less than both ends'; nil until the store was read
	silent      map[string]bool
	own         bool // the kernel computes tunnels' checksums, because the network card gets them wrong

	tell    func(from, to netip.Addr, mtu int) error // tells the kernel what a path carries, bytes
	telling chan struct{}                            // of size 1: full while the kernel is told
}

func newPaths(net *overlay.Overlay) paths {
	return paths{timer: time.NewTimer(time.Hour), telling: make(chan struct{}, 1), tell: func(from, to netip.Addr, mtu int) error {
		if route, err := net.RouteMTU(to); err != nil || route <= mtu {
			return nil // the kernel knows
		}
		return overlay.TellPathMTU(from, to, mtu)
	}}
}

// probed is what a round of probes found.
type probed struct {
	hosts   []string
	targets []overlay.Target
	answers []overlay.Answer
	apart   []string // hosts at addresses of another family
}

// vteps are where the probed hosts are.
func (p *probed) vteps() []netip.Addr {
	var out []netip.Addr
	for _, t := range p.targets {
		out = append(out, t.VTEP)
	}
	return out
}

// probeSoon asks for a round of probes.
func (a *agent) probeSoon() { a.paths.timer.Reset(settleProbe) }

// probe starts a round of probes, one at a time.
func (a *agent) probe(ctx context.Context) {
	if a.view == nil || !a.underlay.Addr.IsValid() {
		return
	}
	if a.paths.busy {
		a.paths.again = true
		return
	}
	p := &probed{}
	p.hosts, p.targets, p.apart = a.targets()
	if len(p.targets) == 0 {
		a.judge(ctx, p)
		return
	}
	a.paths.busy, a.paths.again = true, false
	a.jobs.Go(func() {
		pctx, cancel := context.WithTimeout(ctx, probeTime)
		defer cancel()
		var err error
		p.answers, err = overlay.Probe(pctx, p.targets)
		select {
		case a.results <- result{probed: p, err: err}:
		case <-ctx.Done():
		}
	})
}

// targets are the other hosts that live and share a network with this one which stands on both; apart are those of them that
// no tunnel leads to.
func (a *agent) targets() (hosts []string, targets []overlay.Target, apart []string) {
	over := map[string]record{} // by host
	here := a.view.here()
	for _, name := range slices.Sorted(maps.Keys(here)) {
		r := here[name]
		if n := a.nets[name]; n == nil || n.made.vni != r.VNI || n.problem != "" || r.Encrypted() {
			continue // what is encrypted goes another way
		}
		for host := range r.Blocks {
			if _, chosen := over[host]; !chosen && host != a.config.Host && a.view.alive[host] && a.view.stands[name+"/"+host] {
				over[host] = r
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(over)) {
		h, r := a.view.hosts[host], over[host]
		switch {
		case !h.VTEP.IsValid():
			continue
		case h.VTEP.Is4() != a.underlay.Addr.Is4():
			apart = append(apart, host)
			continue
		}
		hosts = append(hosts, host)
		targets = append(targets, overlay.Target{VNI: r.VNI, VTEP: h.VTEP, MAC: overlay.BridgeMAC(host, r.VNI), IP: r.Blocks[host].Gateway,
			From: r.Blocks[a.config.Host].Range.Masked().Addr(), Own: overlay.BridgeMAC(a.config.Host, r.VNI),
			Gateway: r.Blocks[a.config.Host].Gateway, Full: a.routed(h), Last: a.paths.found[host]})
	}
	return hosts, targets, apart
}

// routed is what the path to a host carries by the word of both ends.
func (a *agent) routed(h ledger.Host) int {
	mtu := a.underlay.MTU
	if h.MTU > 0 {
		mtu = min(mtu, h.MTU)
	}
	if route, err := a.net.RouteMTU(h.VTEP); err == nil && route > 0 {
		mtu = min(mtu, route)
	}
	return mtu
}

// finishProbe takes a round's answers in.
func (a *agent) finishProbe(ctx context.Context, r result) {
	a.paths.busy = false
	if r.err != nil {
		if ctx.Err() == nil {
			a.log.Warn("paths not probed", "err", r.err)
		}
	} else {
		a.judge(ctx, r.probed)
		a.judgeChecksums(ctx, r.probed)
	}
	if a.paths.again {
		a.probe(ctx)
	}
}

// tellPaths tells the kernel which paths carry less than their routes say. A kernel that does not take that in, because a
// firewall drops it, costs a second for each, so the loop does not wait for it.
func (a *agent) tellPaths(ctx context.Context, found map[string]int) {
	if len(found) == 0 {
		return
	}
	select {
	case a.paths.telling <- struct{}{}:
	default:
		return // the next round does
	}
	from, to := a.underlay.Addr, map[netip.Addr]int{}
	for host, mtu := range found {
		to[a.view.hosts[host].VTEP] = mtu
	}
	a.jobs.Go(func() {
		defer func() { <-a.paths.telling }()
		for vtep, mtu := range to {
			if ctx.Err() != nil {
				return
			}
			if err := a.paths.tell(from, vtep, mtu); err != nil {
				a.log.Warn("path MTU not told", "err", err)
			}
		}
	})
}

// judge draws the conclusions of a round, and publishes them.
func (a *agent) judge(ctx context.Context, p *probed) {
	found, silent := a.known(), map[string]bool{}
	better := false
	for i, host := range p.hosts {
		h, t, answer := a.view.hosts[host], p.targets[i], p.answers[i]
		if h.VTEP != t.VTEP || !a.view.alive[host] {
			continue // it has changed, or is lost, meanwhile
		}
		if answer.Gone {
			if a.paths.silent[host] {
				silent[host] = true
			}
			continue // its network is being removed, or made again
		}
		if !answer.Heard {
			silent[host] = true
			if !a.paths.silent[host] {
				a.log.Error("tunnels to a host are not answered; let UDP pass between the hosts on this port, in firewalls as well", "peer", host,
					"address", t.VTEP, "port", overlay.Port)
			}
			continue
		}
		if a.paths.silent[host] {
			a.log.Info("tunnels to the host are answered again", "peer", host)
		}
		old := found[host]
		if answer.MTU < a.ends(h) {
			found[host] = answer.MTU
		} else {
			delete(found, host)
		}
		if now := found[host]; now != old {
			a.log.Info("path to a host", "peer", host, "mtu", answer.MTU)
			better = better || old != 0 && (now == 0 || now > old)
		}
	}
	if better {
		if err := a.net.ForgetPathMTUs(p.vteps()); err != nil {
			a.log.Warn("containers may use less of a path than it carries for ten minutes", "err", err)
		}
	}
	a.tellPaths(ctx, found)
	for _, host := range p.apart {
		silent[host] = true
		if !a.paths.silent[host] {
			a.log.Error("tunnels do not lead to a host: one of the two is at an IPv4 address, the other at an IPv6 one", "peer", host,
				"address", a.view.hosts[host].VTEP, "own", a.underlay.Addr)
		}
	}
	changed := !maps.Equal(found, a.known()) || !maps.Equal(silent, a.paths.silent)
	a.paths.found, a.paths.silent = found, silent
	if changed {
		a.refresh()
	}
}

// judgeChecksums stops leaving the checksums of tunnels to a network card that gets them wrong.
func (a *agent) judgeChecksums(ctx context.Context, p *probed) {
	i := slices.IndexFunc(p.answers, func(answer overlay.Answer) bool { return answer.Miscomputed })
	if i < 0 || a.paths.own {
		return
	}
	a.log.Warn("the network card gets checksums in tunnels wrong; the kernel computes them from now on, which costs throughput",
		"device", a.underlay.Device, "peer", p.hosts[i])
	a.paths.own = true
	a.reconcile(ctx)
	a.refresh()
}

// ends is the lesser of the MTUs of both ends' devices.
func (a *agent) ends(h ledger.Host) int {
	if h.MTU > 0 {
		return min(a.underlay.MTU, h.MTU)
	}
	return a.underlay.MTU
}

// known are the MTUs found so far, at first those that the store has from an earlier life, of hosts that are still there.
func (a *agent) known() map[string]int {
	from := a.paths.found
	if from == nil {
		from = a.view.hosts[a.config.Host].Paths
	}
	out := map[string]int{}
	for host, mtu := range from {
		if h, ok := a.view.hosts[host]; ok && mtu < a.ends(h) {
			out[host] = mtu
		}
	}
	return out
}

// pathMTU is the MTU of the underlay between all hosts of a network: the least of their devices', and of the paths
// between any two of them.
func (v *view) pathMTU(r record, underlay overlay.Underlay) int {
	least := underlay.MTU
	for host := range r.Blocks {
		h := v.hosts[host]
		if host != v.me && h.MTU > 0 && h.VTEP.IsValid() {
			least = min(least, h.MTU)
		}
		for peer, mtu := range h.Paths {
			if _, on := r.Blocks[peer]; on {
				least = min(least, mtu)
			}
		}
	}
	return least
}

// tellOverlaps logs, once, which routes of the host have come to lie over its networks. Commands tell it from the host's
// record.
func (a *agent) tellOverlaps(routes []netip.Prefix) {
	var all []string
	for _, r := range a.view.here() {
		all = append(all, ledger.Overlaps(a.config.Host, routes, &r.Network)...)
	}
	slices.Sort(all)
	for _, sentence := range all {
		if !slices.Contains(a.overlaps, sentence) {
			a.log.Warn(sentence)
		}
	}
	a.overlaps = all
}
