package agent

import (
	"encoding/json"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
	"berth/runtime/store"
)

// view is the store's content as far as this host needs it, kept by applying the store's events in order.
type view struct {
	me        string
	log       *slog.Logger
	hosts     map[string]ledger.Host
	networks  map[string]record
	endpoints map[string]map[string]placement.Endpoint // network → container; use of
	unread    map[string]map[string][]byte             // the same of other hosts' networks, as they came
	guests    map[string]map[guest]placement.Endpoint  // network → who is on it by hand
	states    map[string]map[string]ledger.State       // host → container
	ready     map[string]bool                          // networks that this host has reported
	ports     map[string]placement.PortRecord          // by the last part of the key
	withdrawn map[string]map[string]bool               // host → container: about to be stopped
	revision  int64                                    // of the last change that is in here
	stands    map[string]bool                          // "<network>/<host>" of networks that stand on other hosts
	locked    map[string]bool                          // projects that a command works on
	alive     map[string]bool                          // hosts whose leases hold

	encryption ledger.Encryption
	members    *ledger.Membership // of the embedded store; nil when it is not recorded
	refused    map[string]string  // host → the only admission of it that is good
}

// record is a network's record with the revision of its last change.
type record struct {
	placement.Network
	revision int64
}

// block is this host's part of the network.
func (r record) block(host string) (placement.Block, bool) {
	b, ok := r.Blocks[host]
	return b, ok
}

// changes says what events touched.
type changes struct {
	whole    bool // a new snapshot
	links    bool // networks, blocks or VTEPs: what Reconcile looks at
	entries  []overlay.Change
	zones    map[string]bool // networks whose endpoints changed
	local    bool            // endpoints of this host
	keys     bool            // what the WireGuard device hangs on
	serving  []served
	ports    bool // records of ports, or withdrawn containers: what a command waits for
	unlocked bool // a command has ended
	paths    bool // whom to probe
	members  bool // of the embedded store
	refused  bool // hosts that are
	left     bool // a part of the store is no longer needed
}

type served struct {
	host, container string
	serving         bool
}

func newView(me string, log *slog.Logger) *view {
	return &view{me: me, log: log, hosts: map[string]ledger.Host{}, networks: map[string]record{},
		endpoints: map[string]map[string]placement.Endpoint{}, unread: map[string]map[string][]byte{}, states: map[string]map[string]ledger.State{},
		guests: map[string]map[guest]placement.Endpoint{}, ready: map[string]bool{}, ports: map[string]placement.PortRecord{},
		locked: map[string]bool{}, alive: map[string]bool{}, withdrawn: map[string]map[string]bool{}, stands: map[string]bool{},
		refused: map[string]string{}}
}

// load makes a view of a snapshot.
func load(me string, log *slog.Logger, s store.Snapshot) *view {
	v := newView(me, log)
	v.revision = s.Revision
	var ignored changes
	for _, p := range s.Pairs {
		v.apply(store.Event{Pair: p}, &ignored)
	}
	return v
}

// apply takes one event in. Keys that this version does not know, and those of no interest here, cost a comparison.
func (v *view) apply(e store.Event, c *changes) {
	if k := ledger.Split(e.Key, ledger.States); len(k) == 2 {
		v.applyState(k[0], k[1], e, c)
	} else if k := ledger.Split(e.Key, ledger.Endpoints); len(k) == 2 {
		v.applyEndpoint(k[0], k[1], e, c)
	} else if k := ledger.Split(e.Key, ledger.Guests); len(k) == 3 {
		v.applyGuest(guest{k[0], k[2]}, k[1], e, c)
	} else if k := ledger.Split(e.Key, ledger.Networks); len(k) == 1 {
		v.applyNetwork(k[0], e, c)
	} else if k := ledger.Split(e.Key, ledger.Hosts); len(k) == 1 {
		v.applyHost(k[0], e, c)
	} else if k := ledger.Split(e.Key, ledger.Ports); len(k) == 1 {
		v.applyPort(k[0], e, c)
	} else if k := ledger.Split(e.Key, ledger.Withdrawn); len(k) == 2 {
		v.applyWithdrawn(k[0], k[1], e, c)
	} else if k := ledger.Split(e.Key, ledger.Readies); len(k) == 2 && k[1] == v.me {
		if e.Deleted {
			delete(v.ready, k[0])
		} else {
			v.ready[k[0]] = true
		}
	} else if len(k) == 2 {
		v.applyReady(k[0]+"/"+k[1], e, c)
	} else if k := ledger.Split(e.Key, ledger.Alive); len(k) == 1 {
		v.applyAlive(k[0], e, c)
	} else if e.Key == ledger.EncryptionKey {
		v.applyEncryption(e, c)
	} else if k := ledger.Split(e.Key, ledger.Projects); len(k) == 2 && e.Key == ledger.LockKey(k[0]) {
		if e.Deleted {
			delete(v.locked, k[0])
			c.unlocked = true
		} else {
			v.locked[k[0]] = true
		}
	} else if k := ledger.Split(e.Key, ledger.Refused); len(k) == 1 {
		v.applyRefusal(k[0], e, c)
	} else if e.Key == ledger.MembersKey {
		var m ledger.Membership
		c.members = true
		if v.members = nil; !e.Deleted && v.decode(e, &m) {
			v.members = &m
		}
	}
}

func (v *view) applyRefusal(host string, e store.Event, c *changes) {
	c.refused = true
	noteRefusal(v.refused, host, e)
}

func (v *view) applyState(host, container string, e store.Event, c *changes) {
	var s ledger.State
	if !e.Deleted && !v.decode(e, &s) {
		return
	}
	if v.states[host] == nil {
		v.states[host] = map[string]ledger.State{}
	}
	if e.Deleted {
		delete(v.states[host], container)
	} else {
		v.states[host][container] = s
	}
	c.serving = append(c.serving, served{host, container, v.serves(host, container)})
}

func (v *view) applyReady(where string, e store.Event, c *changes) {
	var r ledger.Ready
	if !e.Deleted && !v.decode(e, &r) {
		return
	}
	if e.Deleted || r.Problem != "" {
		delete(v.stands, where)
		return
	}
	v.stands[where] = true
	c.paths = true
}

func (v *view) applyNetwork(name string, e store.Event, c *changes) {
	var r record
	if !e.Deleted && !v.decode(e, &r.Network) {
		return
	}
	r.revision = e.Modified
	_, was := v.networks[name].block(v.me)
	_, is := r.block(v.me)
	if e.Deleted {
		delete(v.networks, name)
	} else {
		v.networks[name] = r
	}
	if was || is {
		c.links = true
	}
	if is {
		c.local = v.joined(name) || c.local
	}
}

func (v *view) applyHost(name string, e store.Event, c *changes) {
	var h ledger.Host
	if !e.Deleted && !v.decode(e, &h) {
		return
	}
	old := v.hosts[name]
	if e.Deleted {
		delete(v.hosts, name)
	} else {
		v.hosts[name] = h
	}
	meets := v.meets(name)
	if name != v.me && (old.VTEP != h.VTEP || old.MTU != h.MTU || !sameEnd(old.WireGuard, h.WireGuard)) {
		c.paths = true
		c.links = c.links || meets
	}
	c.links = c.links || meets && !maps.Equal(old.Paths, h.Paths)
	c.keys = c.keys || name != v.me && !reflect.DeepEqual(old.WireGuard, h.WireGuard)
}

// meets reports whether this host and another are on a network together. In a large cluster most are not, and what they
// say of themselves changes nothing here.
func (v *view) meets(other string) bool {
	for _, r := range v.networks {
		_, here := r.block(v.me)
		if _, there := r.block(other); here && there {
			return true
		}
	}
	return false
}

func (v *view) decode(e store.Event, into any) bool {
	if err := json.Unmarshal(e.Value, into); err != nil {
		v.log.Warn("store record not understood, left out", "key", e.Key, "err", err)
		return false
	}
	return true
}

// here lists the networks that this host is on.
func (v *view) here() map[string]record {
	out := map[string]record{}
	for name, r := range v.networks {
		if _, ok := r.block(v.me); ok {
			out[name] = r
		}
	}
	return out
}

// on lists all that have an address on a network: those that the store put there, and guests.
func (v *view) on(network string) []placement.Endpoint {
	known := v.of(network)
	out := slices.AppendSeq(make([]placement.Endpoint, 0, len(known)+len(v.guests[network])), maps.Values(known))
	return slices.AppendSeq(out, maps.Values(v.guests[network]))
}

// local lists the containers of this host that have an endpoint.
func (v *view) local() map[string]bool {
	out := map[string]bool{}
	for _, network := range v.endpoints {
		for name, e := range network {
			if e.Host == v.me {
				out[name] = true
			}
		}
	}
	return out
}

// mtuOption is the engine's own option for the MTU of a network.
const mtuOption = "com.docker.network.driver.mtu"

// desired is what the overlay of this host shall have of a network.
func (v *view) desired(r record, underlay overlay.Underlay) overlay.Network {
	n := overlay.Network{VNI: r.VNI, MTU: r.MTU, Filter: r.Options["com.docker.network.bridge.enable_icc"] == "false"}
	n.Encrypted = r.Encrypted()
	for host := range r.Blocks {
		vtep := v.vtep(r.Name, host)
		if !vtep.IsValid() {
			continue
		}
		n.Peers = append(n.Peers, vtep)
		// What goes to another host's bridge goes to that host only. Its addresses are asked for, as it is seldom talked to.
		n.Remote = append(n.Remote, overlay.Endpoint{MAC: overlay.BridgeMAC(host, r.VNI), VTEP: vtep})
	}
	if own, err := strconv.Atoi(r.Options[mtuOption]); err == nil && own > 0 {
		n.MTU = own
	}
	if fits := v.pathMTU(r, underlay) - tunnelOverhead(n.Encrypted, underlay.Addr); n.MTU == 0 || n.Encrypted && n.MTU > fits {
		n.MTU = fits // a figure of the file's or the inventory's may leave encryption out
	}
	for _, e := range v.on(r.Name) {
		o, err := v.entry(e)
		switch {
		case err != nil:
		case e.Host == v.me:
			n.Local = append(n.Local, o.MAC)
		case o.VTEP.IsValid():
			n.Remote = append(n.Remote, o)
		}
	}
	return n
}
