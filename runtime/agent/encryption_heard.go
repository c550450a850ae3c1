package agent

import (
	"slices"
	"time"

	"berth/runtime/wireguard"
)

// Where the way between two devices is closed, WireGuard itself says nothing: packets go out and none comes back. Two
// things tell it. A handshake has to complete every two to three minutes. And who is sent something has to answer within
// ten seconds, by an empty packet if need be, so that silence is noticed sooner where there is traffic.

const (
	// silentAfter is how long the first handshake may take before its absence is told.
	silentAfter = 10 * time.Second
	// unansweredAfter is how long a peer may leave everything unanswered: it sends an empty packet after 10 s, and from
	// the 15th second on a handshake is tried. Less than reconcileEvery, so that two looks in a row can tell.
	unansweredAfter = 25 * time.Second
	// unanswered is how much has to have been sent meanwhile, bytes. Keepalives (32 bytes every 25 s) need no answer, and
	// with the greeting at the end of a key's time (148) they make less.
	unanswered = 512
)

// heard is when something last came from a peer.
type heard struct {
	since     time.Time // the device knows the peer
	handshake time.Time // the last one, by the wall clock, which may be set
	shaken    time.Time // when that was seen first; zero: none
	last      time.Time // when received was seen to grow, or since
	received  int64     // bytes, all in all
	sent      int64     // bytes, up to last
}

// hear takes in how a peer stands.
func (h heard) hear(now time.Time, s wireguard.PeerStatus) heard {
	known := !h.since.IsZero()
	if !known {
		h.since = now
	}
	if s.Handshake != h.handshake {
		h.handshake, h.shaken = s.Handshake, now
		if !known {
			h.shaken = now.Add(s.Handshake.Sub(now)) // by the monotonic clock from here on
		}
	}
	if !known || s.Received != h.received {
		h.last, h.received, h.sent = now, s.Received, s.Sent
	}
	return h
}

// silent reports whether the way to the peer is closed.
func (h heard) silent(now time.Time, s wireguard.PeerStatus) bool {
	return now.Sub(h.since) >= silentAfter && now.Sub(h.shaken) > wireguard.StaleAfter ||
		now.Sub(h.last) >= unansweredAfter && s.Sent-h.sent >= unanswered
}

// listen finds out which peers are silent, and tells the log and, in the host's record, everyone. It reports whether the
// device has learned of peers that it is too early to say this of.
func (a *agent) listen(s wireguard.Status, now time.Time) (early bool) {
	e := &a.encryption
	before, all := e.heard, map[wireguard.Key]heard{}
	silent := map[string]bool{}
	for _, p := range e.peers {
		if !p.Keep {
			continue
		}
		host, status := e.hosts[p.Key], s.Peers[p.Key]
		_, known := before[p.Key]
		early = early || !known
		h := before[p.Key].hear(now, status)
		all[p.Key] = h
		told := slices.Contains(e.record.Silent, host)
		switch {
		case !a.view.alive[host]: // which is said elsewhere
		case h.silent(now, status):
			silent[host] = true
			if !told {
				a.log.Error("encrypted networks do not reach a host: no WireGuard handshake completes; UDP has to pass between the hosts on this port, in firewalls and NAT as well",
					"peer", host, "endpoint", p.Endpoint)
			}
		case told && status.Handshake.IsZero():
			silent[host] = true // a new key, or a new device, is no news
		case told:
			a.log.Info("encrypted networks reach the host again", "peer", host)
		}
	}
	e.heard, e.record.Silent = all, sorted(silent)
	return early
}
