package wireguard

import (
	"net"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// difference is what has to be told to the device; nil when it is as wanted. A peer that is as wanted is not mentioned,
// because being told its addresses again would drop packets for a moment.
func (d *Device) difference(have *wgtypes.Device, w Want) (*wgtypes.Config, error) {
	var c wgtypes.Config
	key := w.Key
	if key == (Key{}) && have.PrivateKey == (Key{}) {
		var err error
		if key, err = NewKey(); err != nil {
			return nil, err
		}
	}
	if key != (Key{}) && key != have.PrivateKey {
		c.PrivateKey = &key
	}
	if have.ListenPort != w.Port {
		c.ListenPort = &w.Port
	}
	there := map[Key]wgtypes.Peer{}
	for _, p := range have.Peers {
		there[p.PublicKey] = p
	}
	for _, p := range w.Peers {
		now, known := there[p.Key]
		if change, ok := d.peer(now, known, p); ok {
			c.Peers = append(c.Peers, change)
		}
		delete(there, p.Key)
	}
	for k := range there {
		c.Peers = append(c.Peers, wgtypes.PeerConfig{PublicKey: k, Remove: true, UpdateOnly: true})
	}
	if c.PrivateKey == nil && c.ListenPort == nil && len(c.Peers) == 0 {
		return nil, nil
	}
	return &c, nil
}

func (d *Device) peer(have wgtypes.Peer, known bool, want Peer) (wgtypes.PeerConfig, bool) {
	c := wgtypes.PeerConfig{PublicKey: want.Key, UpdateOnly: known}
	change := !known
	only := net.IPNet{IP: want.Address.AsSlice(), Mask: net.CIDRMask(128, 128)}
	if !slices.EqualFunc(have.AllowedIPs, []net.IPNet{only}, func(a, b net.IPNet) bool { return a.String() == b.String() }) {
		c.ReplaceAllowedIPs, c.AllowedIPs, change = true, []net.IPNet{only}, true
	}
	var every time.Duration
	if want.Keep {
		every = Keepalive
	}
	if have.PersistentKeepaliveInterval != every {
		c.PersistentKeepaliveInterval, change = &every, true
	}
	if d.moved(have, known, want) {
		c.Endpoint, change = net.UDPAddrFromAddrPort(want.Endpoint), true
	}
	return c, change
}

// moved reports whether the device has to be told where a peer is. A peer that was heard from elsewhere (through NAT) is
// left there as long as that works.
func (d *Device) moved(have wgtypes.Peer, known bool, want Peer) bool {
	if !known || have.Endpoint == nil {
		return true
	}
	at := unmapped(have.Endpoint.AddrPort())
	if at == want.Endpoint {
		return false
	}
	told, ever := d.endpoints[want.Key]
	return ever && told != want.Endpoint || time.Since(have.LastHandshakeTime) > StaleAfter
}
