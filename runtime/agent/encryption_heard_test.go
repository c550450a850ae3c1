package agent

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/runtime/ledger"
	"berth/runtime/wireguard"
)

// step is how the device stands with host a at a time, seconds, and what is to be said then.
type step struct {
	at        int
	handshake int // when the last one was, seconds; 0: never
	in, out   int64
	silent    bool
}

func TestAHostThatIsNotHeardIsToldAndOneThatIsOnlyQuietIsNot(t *testing.T) {
	for name, steps := range map[string][]step{
		"no first handshake":               {{at: 1}, {at: 10}, {at: 11, out: 444, silent: true}, {at: 40, handshake: 38, in: 92, out: 600}},
		"in use, then closed":              {{at: 30, handshake: 20, in: 9e6, out: 9e6}, {at: 60, handshake: 20, in: 9e6, out: 9e6 + 5000, silent: true}},
		"asleep, then closed":              {{at: 30, handshake: 20, in: 180, out: 180}, {at: 150, handshake: 20, in: 180, out: 340}, {at: 180, handshake: 20, in: 180, out: 700, silent: true}},
		"asleep, and only this side sends": {{at: 30, handshake: 20, in: 92, out: 180}, {at: 140, handshake: 20, in: 92, out: 308}, {at: 170, handshake: 145, in: 184, out: 488}},
		"sent to, and answers empty":       {{at: 30, handshake: 20, in: 92, out: 180}, {at: 60, handshake: 20, in: 220, out: 9e6}, {at: 90, handshake: 20, in: 316, out: 19e6}},
		"heard, but no handshake":          {{at: 1, in: 148}, {at: 12, in: 444, out: 276, silent: true}, {at: 42, in: 1332, out: 828, silent: true}},
		"closed and opened again":          {{at: 30, handshake: 20, in: 1, out: 1}, {at: 60, handshake: 20, in: 1, out: 1000, silent: true}, {at: 90, handshake: 80, in: 93, out: 2000}},
		"the device was told again":        {{at: 30, handshake: 20, in: 5000, out: 5000}, {at: 60, handshake: 50, in: 92, out: 180}},
	} {
		t.Run(name, func(t *testing.T) {
			s, begin := newSealed(t), time.Now()
			for _, at := range steps {
				s.hear(begin, at)
				if got := slices.Contains(s.encryption.record.Silent, "a"); got != at.silent {
					t.Errorf("at %d s told: %t, want %t", at.at, got, at.silent)
				}
			}
		})
	}
}

// hear lets the agent look at its device.
func (s *sealed) hear(begin time.Time, at step) {
	e := &s.encryption
	w, hosts := s.tunnels()
	e.peers, e.hosts = w.Peers, hosts
	status := wireguard.Status{Peers: map[wireguard.Key]wireguard.PeerStatus{}}
	for key, host := range hosts {
		if host != "a" {
			status.Peers[key] = wireguard.PeerStatus{Handshake: begin.Add(time.Duration(at.at) * time.Second)}
			continue
		}
		p := wireguard.PeerStatus{Received: at.in, Sent: at.out}
		if at.handshake != 0 {
			p.Handshake = begin.Add(time.Duration(at.handshake) * time.Second)
		}
		status.Peers[key] = p
	}
	s.listen(status, begin.Add(time.Duration(at.at)*time.Second))
}

func TestAClockThatIsSetMakesNoHostSilent(t *testing.T) {
	s, begin := newSealed(t), time.Now()
	s.hear(begin, step{at: 30, handshake: 20, in: 1, out: 1})
	// An hour on by the wall clock, and by it alone: the next handshake is of then, the one before was an hour ago.
	later := begin.Add(60 * time.Second)
	if s.encryption.heard[s.encryption.peers[0].Key].silent(later, wireguard.PeerStatus{Handshake: begin.Add(-time.Hour)}) {
		t.Error("a handshake of a minute ago counts as one of an hour ago")
	}
}

// The first look after the agent was started: what the device says of a handshake is the wall clock's.
func TestAClockThatIsSetAfterTheFirstLookMakesNoHostSilent(t *testing.T) {
	began := time.Now()
	status := wireguard.PeerStatus{Handshake: began.Add(-10 * time.Second).Round(0), Received: 92, Sent: 180}
	h := heard{}.hear(began, status)
	if !began.Add(6*time.Minute).After(h.shaken) || h.silent(began.Add(time.Minute), status) || !h.silent(began.Add(6*time.Minute), status) {
		t.Errorf("a handshake 10 s before %s counts as one of %s", began, h.shaken)
	}
	if !strings.Contains(h.shaken.String(), "m=") {
		t.Errorf("%s is of the wall clock, which may be set", h.shaken)
	}
	if h := (heard{}).hear(began, wireguard.PeerStatus{}); !h.shaken.IsZero() {
		t.Errorf("no handshake counts as one of %s", h.shaken)
	}
}

func TestAHostThatGoesAwaySilentIsNotSaidToBeReachedAgain(t *testing.T) {
	s, begin := newSealed(t), time.Now()
	var log bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	s.hear(begin, step{at: 1})
	s.hear(begin, step{at: 12, silent: true})
	if n := strings.Count(log.String(), "do not reach"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
	s.drop(ledger.AliveKey("a"))
	s.hear(begin, step{at: 42})
	if len(s.encryption.record.Silent) > 0 || strings.Contains(log.String(), "again") {
		t.Errorf("of a host that is away: %v\n%s", s.encryption.record.Silent, log.String())
	}
	s.put(ledger.AliveKey("a"), "")
	s.encryption.heard = nil // and the device is made anew
	s.hear(begin, step{at: 72})
	s.hear(begin, step{at: 90})
	if n := strings.Count(log.String(), "do not reach"); n != 2 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
	s.encryption.heard = nil
	s.hear(begin, step{at: 91})
	if !slices.Contains(s.encryption.record.Silent, "a") || strings.Contains(log.String(), "again") {
		t.Errorf("with another device and no handshake it counts as reached\n%s", log.String())
	}
	s.hear(begin, step{at: 95, handshake: 93, in: 92, out: 148})
	if n := strings.Count(log.String(), "again"); n != 1 {
		t.Errorf("that it is reached again is said %d times:\n%s", n, log.String())
	}
}
