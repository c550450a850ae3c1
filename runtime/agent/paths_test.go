package agent

import (
	"bytes"
	"log/slog"
	"net/netip"
	"slices"
	"testing"

	"berth/runtime/overlay"
)

// round is what a round of probes has found of hosts.
func (s *sealed) round(found map[string]overlay.Answer) *probed {
	p := &probed{}
	for host, answer := range found {
		p.hosts, p.answers = append(p.hosts, host), append(p.answers, answer)
		p.targets = append(p.targets, overlay.Target{VTEP: s.view.hosts[host].VTEP})
	}
	return p
}

func TestAPathThatCouldNotBeAskedStaysAsItIsKnown(t *testing.T) {
	var log bytes.Buffer
	s := newSealed(t)
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	s.paths = paths{silent: map[string]bool{"a": true}, found: map[string]int{"d": 1400}, telling: make(chan struct{}, 1),
		tell: func(_, _ netip.Addr, _ int) error { return nil }}
	s.judge(t.Context(), s.round(map[string]overlay.Answer{"a": {Gone: true}, "d": {Gone: true}}))
	s.jobs.Wait()
	if got := sorted(s.paths.silent); !slices.Equal(got, []string{"a"}) || s.paths.found["d"] != 1400 || log.Len() > 0 {
		t.Errorf("silent %v, found %v, said:\n%s", got, s.paths.found, log.String())
	}
}

// A kernel whose firewall drops what it is told takes a second for each path.
func TestTheLoopDoesNotWaitForAKernelThatIsToldOfPaths(t *testing.T) {
	s := newSealed(t)
	taken, told := make(chan struct{}), make(chan int, 1)
	s.paths = paths{found: map[string]int{"d": 1400}, telling: make(chan struct{}, 1), tell: func(from, to netip.Addr, mtu int) error {
		if from != s.underlay.Addr || to != s.view.hosts["d"].VTEP {
			t.Errorf("told of the path from %s to %s", from, to)
		}
		told <- mtu
		<-taken
		return nil
	}}
	again := s.round(map[string]overlay.Answer{"d": {Heard: true, MTU: 1400}})
	s.judge(t.Context(), again)
	if mtu := <-told; mtu != 1400 {
		t.Errorf("told %d bytes", mtu)
	}
	s.judge(t.Context(), again) // nor twice at the same time
	close(taken)
	s.jobs.Wait()
	if len(told) > 0 {
		t.Error("told again before it was taken in")
	}
}
