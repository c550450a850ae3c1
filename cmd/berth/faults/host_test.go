package faults_test

import (
	"testing"
	"time"
)

// onHosts pulls hosts' plugs.
func (w *world) onHosts() {
	two := w.lab.Hosts()[1]
	w.fault("host rebooted", func(t *testing.T) time.Time {
		if err := two.PowerOff(t.Context()); err != nil {
			t.Fatal(err)
		}
		off := time.Now()
		t.Logf("tasks of the lost host are not answered any more %s after it lost its power", w.unanswered(w.targets[1], off).Round(time.Millisecond))
		w.restart(two)
		return time.Now()
	})
	if !*slow {
		return
	}
	w.fault("all hosts rebooted at once", func(t *testing.T) time.Time {
		for _, h := range w.lab.Hosts() {
			if err := h.PowerOff(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, h := range w.lab.Hosts() {
			w.restart(h)
		}
		return time.Now()
	})
	w.fault("a host's disk lost, until the next command", func(t *testing.T) time.Time {
		if err := two.Wipe(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		w.restart(two)
		if err := w.lab.Load(t.Context(), "busybox", "web"); err != nil {
			t.Fatal(err)
		}
		w.repaired(began, between(w.lab.Hosts()[0], w.lab.Hosts()[2], false))
		w.whole()
		return time.Now()
	})
}
