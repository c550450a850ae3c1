package wireguard

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

func newKey(t *testing.T) Key {
	t.Helper()
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAHostsAddressesAreItsOwnAndDifferByGeneration(t *testing.T) {
	seen := map[netip.Addr]string{}
	for _, host := range []string{"a", "b", "web-back1", "web-back2"} {
		for generation := range 2 {
			a := Address(host, generation)
			if other, twice := seen[a]; twice || !a.IsLinkLocalUnicast() {
				t.Errorf("%s of %s, of %q already", a, host, other)
			}
			seen[a] = host
			if a != Address(host, generation+2) {
				t.Errorf("%s: generation %d is elsewhere than %d", host, generation+2, generation)
			}
		}
	}
}

// A device that is as wanted is told nothing; of a change it is told that alone.
func TestADeviceIsToldOnlyWhatDiffers(t *testing.T) {
	d := &Device{endpoints: map[Key]netip.AddrPort{}}
	own, one, two := newKey(t), newKey(t).PublicKey(), newKey(t).PublicKey()
	peer := func(k Key, keep bool) Peer {
		return Peer{Key: k, Address: Address(k.String(), 0), Endpoint: netip.MustParseAddrPort("10.0.0.2:23581"), Keep: keep}
	}
	stands := func(p Peer) wgtypes.Peer {
		out := wgtypes.Peer{PublicKey: p.Key, Endpoint: net.UDPAddrFromAddrPort(p.Endpoint), LastHandshakeTime: time.Now(),
			AllowedIPs: []net.IPNet{{IP: p.Address.AsSlice(), Mask: net.CIDRMask(128, 128)}}}
		if p.Keep {
			out.PersistentKeepaliveInterval = Keepalive
		}
		return out
	}
	have := &wgtypes.Device{PrivateKey: own, ListenPort: 23581, Peers: []wgtypes.Peer{stands(peer(one, true)), stands(peer(two, false))}}
	want := Want{Port: 23581, Peers: []Peer{peer(one, true), peer(two, false)}}

	if c, err := d.difference(have, want); err != nil || c != nil {
		t.Errorf("nothing differs, told %+v, %v", c, err)
	}
	roamed := *have
	roamed.Peers = []wgtypes.Peer{have.Peers[0], have.Peers[1]}
	roamed.Peers[0].Endpoint = &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}
	if c, _ := d.difference(&roamed, want); c != nil {
		t.Errorf("a peer behind NAT was called back: %+v", c)
	}
	roamed.Peers[0].LastHandshakeTime = time.Now().Add(-2 * StaleAfter)
	if c, _ := d.difference(&roamed, want); c == nil || len(c.Peers) != 1 || c.Peers[0].Endpoint.String() != "10.0.0.2:23581" {
		t.Errorf("a peer that is not heard any more: told %+v", c)
	}

	want.Peers = []Peer{peer(two, true)}
	c, _ := d.difference(have, want)
	if c == nil || c.PrivateKey != nil || c.ListenPort != nil || len(c.Peers) != 2 ||
		c.Peers[0].PublicKey != two || c.Peers[0].AllowedIPs != nil || c.Peers[0].Endpoint != nil || *c.Peers[0].PersistentKeepaliveInterval != Keepalive ||
		c.Peers[1].PublicKey != one || !c.Peers[1].Remove {
		t.Errorf("one peer in use and one gone: told %+v", c)
	}

	if c, _ := d.difference(&wgtypes.Device{}, Want{Port: 1}); c == nil || c.PrivateKey == nil || *c.ListenPort != 1 {
		t.Errorf("a fresh device: told %+v", c)
	}
	want.Key = newKey(t)
	if c, _ := d.difference(have, want); c == nil || *c.PrivateKey != want.Key {
		t.Errorf("another key: told %+v", c)
	}
}
