package agent

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/overlay"
	"berth/runtime/store"
	"berth/runtime/wireguard"
)

// sealed is an agent on host "b" that sees hosts a, b and c on an encrypted network, and d on another one.
type sealed struct {
	*agent
	t    *testing.T
	keys map[string]string // public, by host
}

func newSealed(t *testing.T) *sealed {
	s := &sealed{t: t, keys: map[string]string{}}
	s.agent = &agent{config: Config{Host: "b"}, log: slog.New(slog.DiscardHandler), view: newView("b", slog.New(slog.DiscardHandler)),
		underlay: overlay.Underlay{Addr: netip.MustParseAddr("10.0.0.2"), Device: "eth0", MTU: 1500}}
	blocks := func(hosts ...string) map[string]placement.Block {
		out := map[string]placement.Block{}
		for _, h := range hosts {
			out[h] = placement.Block{}
		}
		return out
	}
	s.put(ledger.NetworkKey("safe"), placement.Network{Name: "safe", VNI: 1 << 20, Options: map[string]string{"encrypted": ""}, MTU: 1450, Blocks: blocks("a", "b", "c")})
	s.put(ledger.NetworkKey("open"), placement.Network{Name: "open", VNI: 1<<20 + 1, MTU: 1450, Blocks: blocks("a", "b", "d")})
	for i, h := range []string{"a", "c", "d"} {
		s.keys[h] = s.newKey()
		s.put(ledger.AliveKey(h), "")
		s.put(ledger.HostKey(h), s.host(h, byte(10+i), ledger.WireGuard{Key: s.keys[h], Generation: 1, Port: 23581}))
	}
	s.encryption.standing = true
	s.encryption.record = ledger.WireGuard{Key: s.newKey(), Generation: 1, Since: time.Now()}
	return s
}

func (s *sealed) newKey() string {
	k, err := wireguard.NewKey()
	if err != nil {
		s.t.Fatal(err)
	}
	return k.PublicKey().String()
}

func (s *sealed) host(name string, last byte, w ledger.WireGuard) ledger.Host {
	return ledger.Host{Name: name, VTEP: netip.AddrFrom4([4]byte{10, 0, 0, last}), MTU: 1500, WireGuard: &w}
}

func (s *sealed) put(key string, v any) changes {
	s.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	var c changes
	s.view.apply(store.Event{Pair: store.Pair{Key: key, Value: raw}}, &c)
	return c
}

func (s *sealed) drop(key string) {
	s.view.apply(store.Event{Pair: store.Pair{Key: key}, Deleted: true}, &changes{})
}

// peers are the hosts that the device lets in, each once for each key.
func (s *sealed) peers() []string {
	want, hosts := s.tunnels()
	var out []string
	for _, p := range want.Peers {
		out = append(out, hosts[p.Key])
	}
	slices.Sort(out)
	return out
}

func TestPeersAreTheHostsOfEncryptedNetworksInTheStoreAndNoOthers(t *testing.T) {
	s := newSealed(t)
	if got := s.peers(); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("peers are %v", got)
	}
	s.put(ledger.HostKey("a"), s.host("a", 10, ledger.WireGuard{Key: s.keys["a"], Generation: 1, Port: 23581, Next: s.newKey()}))
	if got := s.peers(); !slices.Equal(got, []string{"a", "a", "c"}) {
		t.Errorf("with a key staged peers are %v", got)
	}
	s.drop(ledger.HostKey("c"))
	if got := s.peers(); slices.Contains(got, "c") {
		t.Error("a host that was removed is still a peer")
	}
	if v := s.view.vtep("safe", "c"); v.IsValid() {
		t.Errorf("encrypted traffic to a removed host goes to %s", v)
	}
	s.put(ledger.HostKey("a"), ledger.Host{Name: "a", VTEP: netip.MustParseAddr("10.0.0.10")})
	if v := s.view.vtep("safe", "a"); v.IsValid() {
		t.Errorf("encrypted traffic to a host without a device goes to %s", v)
	}
	if v := s.view.vtep("open", "a"); v != netip.MustParseAddr("10.0.0.10") {
		t.Errorf("other traffic goes to %s", v)
	}
}

func TestAnEncryptedNetworksMTULeavesRoomForEncryption(t *testing.T) {
	s := newSealed(t)
	for name, want := range map[string]int{"safe": 1500 - 60 - 70, "open": 1450} {
		if got := s.view.desired(s.view.networks[name], s.underlay).MTU; got != want {
			t.Errorf("%s has MTU %d, want %d", name, got, want)
		}
	}
}

func TestWithoutItsDeviceAnEncryptedNetworkIsNotTouched(t *testing.T) {
	s := newSealed(t)
	n := overlay.Network{Encrypted: true}
	s.encryption.standing = false
	if s.seal(&n); !n.Leaving || n.Underlay.Addr.IsValid() {
		t.Errorf("%+v", n)
	}
	n = overlay.Network{Encrypted: true}
	s.encryption.standing = true
	if s.seal(&n); n.Leaving || n.Underlay.Device != wireguard.Name || n.Underlay.Addr != wireguard.Address("b", 1) {
		t.Errorf("%+v", n)
	}
}

func TestAKeyChangesWithAgeOnDemandAndNotWhilePeersAreAway(t *testing.T) {
	s := newSealed(t)
	now := time.Now()
	aged := func(age time.Duration) bool {
		s.encryption.record.Since = now.Add(-age)
		return s.rotationDue(now)
	}
	if aged(23*time.Hour) || !aged(27*time.Hour) {
		t.Error("a key does not change after a day")
	}
	s.put(ledger.EncryptionKey, ledger.Encryption{Every: time.Hour})
	if aged(50*time.Minute) || !aged(70*time.Minute) {
		t.Error("a key does not change after the time that was set")
	}
	s.drop(ledger.AliveKey("d")) // shares no encrypted network
	if !aged(70 * time.Minute) {
		t.Error("a host that has nothing to do with it keeps a key from changing")
	}
	s.drop(ledger.AliveKey("c"))
	if aged(70*time.Minute) || !aged(130*time.Minute) {
		t.Error("a peer that is away is waited for as long again, and no longer")
	}
	s.put(ledger.EncryptionKey, ledger.Encryption{Every: time.Hour, Rotation: 1})
	if !aged(0) {
		t.Error("a key does not change on demand")
	}
}

func TestAKeyChangesWhenPeersAreReadyAndOneHostAfterTheOther(t *testing.T) {
	s := newSealed(t)
	s.encryption.record.Next = "next"
	late := func(want ...string) {
		t.Helper()
		if got := s.unready(); !slices.Equal(got, want) {
			t.Errorf("waits for %v, want %v", got, want)
		}
	}
	late("a", "c")
	ready := ledger.WireGuard{Key: s.keys["a"], Generation: 1, Port: 23581, Accepts: []string{"next"}}
	s.put(ledger.HostKey("a"), s.host("a", 10, ready))
	late("c")
	s.drop(ledger.AliveKey("c"))
	late()
	ready.Next = s.newKey() // a is before b
	s.put(ledger.HostKey("a"), s.host("a", 10, ready))
	late("a")
	s.put(ledger.AliveKey("c"), "")
	s.put(ledger.HostKey("c"), s.host("c", 11, ready)) // and c after it
	late("a")
}

func TestARestartedAgentGoesOnWithTheDevicesKey(t *testing.T) {
	s := newSealed(t)
	key, err := wireguard.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	told := ledger.WireGuard{Key: key.PublicKey().String(), Generation: 7, Since: time.Now().Add(-time.Hour).UTC().Truncate(time.Second), Rotation: 3}
	s.put(ledger.HostKey("b"), s.host("b", 2, told))
	s.encryption = encryption{}
	if w := s.publishedWireGuard(); w == nil || w.Key != told.Key {
		t.Error("until it has looked, its peers lose it")
	}
	if s.adopt(key); s.encryption.record.Generation != 7 || !s.encryption.record.Since.Equal(told.Since) || s.encryption.record.Rotation != 3 {
		t.Errorf("the same key: %+v", s.encryption.record)
	}
	other, err := wireguard.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if s.adopt(other); s.encryption.record.Generation != 8 || s.encryption.record.Key != other.PublicKey().String() {
		t.Errorf("a new key: %+v", s.encryption.record)
	}
}

func TestOnlyWhatLeadsElsewhereComparesTheLinks(t *testing.T) {
	s := newSealed(t)
	w := ledger.WireGuard{Key: s.keys["a"], Generation: 1, Port: 23581, Accepts: []string{"x"}}
	if c := s.put(ledger.HostKey("a"), s.host("a", 10, w)); c.links || !c.keys {
		t.Errorf("a word about keys: %+v", c)
	}
	w.Generation++
	if c := s.put(ledger.HostKey("a"), s.host("a", 10, w)); !c.links || !c.keys {
		t.Errorf("another generation: %+v", c)
	}
}
