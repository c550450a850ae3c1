package faults_test

import (
	"testing"
	"time"

	"berth/fixtures/lab/lab"
	"berth/runtime/cluster"
)

// onTheNetwork cuts hosts from each other.
func (w *world) onTheNetwork() {
	one, two, three := w.lab.Hosts()[0], w.lab.Hosts()[1], w.lab.Hosts()[2]
	heal := func(t *testing.T, h *lab.Host) time.Time {
		if err := h.Heal(t.Context()); err != nil {
			t.Fatal(err)
		}
		return time.Now()
	}
	for _, f := range []struct {
		name     string
		from, to *lab.Host
		both     bool
	}{
		{"two hosts cut from each other, healed", one, two, true},
		{"one host not heard by another, healed", two, three, false},
	} {
		w.fault(f.name, func(t *testing.T) time.Time {
			w.sever(f.from, f.to)
			if f.both {
				w.sever(f.to, f.from)
			}
			w.fails(time.Now(), between(f.from, f.to, false))
			// Everybody else goes on, by name as well: the store's members have a majority that hears each other.
			w.repaired(time.Now(), between(f.from, f.to, true))
			return heal(t, f.from)
		})
	}
	if !*slow {
		return
	}
	w.fault("two hosts cut from the third, whose link is up, healed", func(t *testing.T) time.Time {
		for _, other := range []*lab.Host{one, two} {
			w.sever(three, other)
			w.sever(other, three)
		}
		cut := time.Now()
		gone := w.unanswered(w.targets[2], cut)
		t.Logf("tasks of the minority are not answered any more by the majority %s after the cut", gone.Round(time.Millisecond))
		w.repaired(cut, between(one, two, false))
		// The minority answers for what it runs itself.
		if err := inside(three.Proc(inspect(t, three, w.targets[2].container).State.Pid), func() error {
			_, err := call(w.targets[2].service)
			return err
		}); err != nil {
			t.Errorf("in the minority: %v", err)
		}
		return heal(t, three)
	})
	w.fault("a host cut off, healed", func(t *testing.T) time.Time {
		if err := three.Cut(t.Context()); err != nil {
			t.Fatal(err)
		}
		cut := time.Now()
		gone := w.unanswered(w.targets[2], cut)
		t.Logf("tasks of the lost host are not answered any more %s after the cut", gone.Round(time.Millisecond))
		w.repaired(time.Now(), between(one, two, false))
		return heal(t, three)
	})
}

func (w *world) sever(h, other *lab.Host) {
	w.t.Helper()
	if err := h.Sever(w.t.Context(), other); err != nil {
		w.t.Fatal(err)
	}
}

// onTheStore takes away the majority of its members.
func (w *world) onTheStore() {
	one, two, three := w.lab.Hosts()[0], w.lab.Hosts()[1], w.lab.Hosts()[2]
	w.fault("store's quorum lost, and back", func(t *testing.T) time.Time {
		began := time.Now()
		run(t, two, "docker", "stop", "-t", "0", cluster.AgentName)
		run(t, three, "docker", "stop", "-t", "0", cluster.AgentName)
		stopped := time.Now()
		w.flows(began, nil)
		// The agent that is left answers as before, from what it knows.
		w.repaired(stopped, func(from, _ *target) bool { return from.host == one })
		if out, err := w.berth("ps"); err != nil {
			t.Errorf("ps needs the store: %v", err)
		} else if len(out) == 0 {
			t.Error("ps shows nothing without the store")
		}
		run(t, two, "docker", "start", cluster.AgentName)
		run(t, three, "docker", "start", cluster.AgentName)
		return time.Now()
	})
}
