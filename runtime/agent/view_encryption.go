package agent

import (
	"net/netip"
	"slices"

	"berth/runtime/ledger"
	"berth/runtime/overlay"
	"berth/runtime/store"
	"berth/runtime/wireguard"
)

func (v *view) applyAlive(host string, e store.Event, c *changes) {
	if e.Deleted {
		delete(v.alive, host)
	} else {
		v.alive[host] = true
	}
	c.keys = c.keys || v.hosts[host].WireGuard != nil
}

func (v *view) applyEncryption(e store.Event, c *changes) {
	var now ledger.Encryption
	if !e.Deleted && !v.decode(e, &now) {
		return
	}
	v.encryption, c.keys = now, true
}

// onEncrypted reports whether this host is on a network that is encrypted.
func (v *view) onEncrypted() bool {
	for _, r := range v.here() {
		if r.Encrypted() {
			return true
		}
	}
	return false
}

// companions are the other hosts of this host's encrypted networks, sorted.
func (v *view) companions() []string {
	all := map[string]bool{}
	for _, r := range v.here() {
		if r.Encrypted() {
			for host := range r.Blocks {
				all[host] = host != v.me
			}
		}
	}
	var out []string
	for host, other := range all {
		if other {
			out = append(out, host)
		}
	}
	slices.Sort(out)
	return out
}

// encryptedVTEP is where another host is for encrypted networks; invalid while it has no device.
func (v *view) encryptedVTEP(host string) netip.Addr {
	if w := v.hosts[host].WireGuard; w != nil {
		return wireguard.Address(host, w.Generation)
	}
	return netip.Addr{}
}

// sameEnd reports whether two records of a host lead to the same place.
func sameEnd(a, b *ledger.WireGuard) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Generation == b.Generation)
}

// tunnelOverhead is what tunnel and encryption take of the underlay's MTU, bytes.
func tunnelOverhead(encrypted bool, underlay netip.Addr) int {
	if !encrypted {
		return overlay.Underlay{Addr: underlay}.Overhead()
	}
	return wireguard.Overhead(underlay) + overlay.Underlay{Addr: netip.IPv6LinkLocalAllNodes()}.Overhead()
}
