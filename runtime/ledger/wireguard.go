package ledger

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Encryption is what the command line says to all agents about encrypted networks. Absent, all is default.
type Encryption struct {
	Port int `json:"port,omitempty"` // UDP port of the WireGuard devices; 0: wireguard.DefaultPort
	// Every is the age at which a host changes its key; 0: RotateEvery.
	Every time.Duration `json:"every,omitempty"`
	// Rotation counts the changes of keys that were asked for: a host whose record has a smaller one changes its key.
	Rotation int64 `json:"rotation,omitempty"`
}

// Unreached are sentences about pairs of hosts between which encrypted networks do not get, sorted.
func (v *View) Unreached() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(v.Hosts)) {
		w := v.Hosts[name].WireGuard
		if w == nil || !v.Alive[name] {
			continue
		}
		for _, peer := range w.Silent {
			port := 0
			if p := v.Hosts[peer].WireGuard; p != nil {
				port = p.Port
			}
			out = append(out, fmt.Sprintf("host %s: encrypted networks do not reach %s: no WireGuard handshake completes; let UDP port %d through between them", name, peer, port))
		}
	}
	return out
}

// EncryptionKey is the key of the Encryption record.
const EncryptionKey = Root + "encryption"

// RotateEvery is the age at which keys change by default.
const RotateEvery = 24 * time.Hour

// WireGuard is a host's end of encrypted networks, in its Host record while it is on one. Keys are public ones, base64.
//
// A key changes in three steps, so that nothing is lost: the host publishes Next; the others take it in and say so
// (Accepts); the host uses it from then on and publishes it as Key with the next Generation.
type WireGuard struct {
	Key        string    `json:"key"`
	Generation int       `json:"generation"` // of the key; its parity chooses the host's address, wireguard.Address
	Since      time.Time `json:"since"`      // when the key came into use
	Port       int       `json:"port"`       // UDP
	Rotation   int64     `json:"rotation,omitempty"`
	Next       string    `json:"next,omitempty"`
	Accepts    []string  `json:"accepts,omitempty"` // other hosts' Next keys that this one has taken in, sorted
	Silent     []string  `json:"silent,omitempty"`  // hosts with which no handshake completes, sorted
	Kernel     bool      `json:"kernel,omitempty"`  // the kernel's own WireGuard
}
