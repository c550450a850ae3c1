package faults_test

import (
	"context"
	"testing"
	"time"

	"berth/fixtures/lab/lab"
)

// onClocks sets hosts' clocks, which must not end a lease.
func (w *world) onClocks() {
	defer func() {
		for _, h := range w.lab.Hosts() {
			if err := h.SetClock(context.Background(), 0); err != nil {
				w.t.Error(err)
			}
		}
	}()
	all := w.lab.Hosts()
	for _, jump := range []struct {
		name  string
		hosts []*lab.Host
		to    time.Duration // ahead of the machine's
	}{
		{"all clocks jump by 1h", all, time.Hour},
		{"all clocks jump by -2h", all, -time.Hour},
		{"one host's clock jumps by -1h", all[1:2], -2 * time.Hour},
	} {
		w.fault(jump.name, func(t *testing.T) time.Time {
			before, err := leases(t.Context(), w.cluster)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for _, h := range jump.hosts { // one after the other, so that they differ meanwhile
				if err := h.SetClock(t.Context(), jump.to); err != nil {
					t.Fatal(err)
				}
			}
			w.repaired(time.Now(), nil)
			w.flows(began, nil)
			after, err := leases(t.Context(), w.cluster)
			if err != nil {
				t.Fatal(err)
			}
			for host, granted := range before {
				if after[host] != granted {
					t.Errorf("%s has another lease than before its clock was set (%d, %d)", host, granted, after[host])
				}
			}
			return began
		})
	}
}
