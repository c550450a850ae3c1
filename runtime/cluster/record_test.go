package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/store"
	"berth/runtime/store/embedded/embeddedtest"
	"berth/scheduler"
)

// shared is a modest store in which another command does something after the first transaction.
type shared struct {
	modest
	other func()
}

func (s *shared) Commit(ctx context.Context, t store.Txn) (int64, error) {
	rev, err := s.modest.Commit(ctx, t)
	if other := s.other; err == nil && other != nil {
		s.other = nil
		other()
	}
	return rev, err
}

// ports are records of a project's ports in mode ingress.
func ports(project string, from, n int) *scheduler.Change {
	c := &scheduler.Change{}
	for i := range n {
		c.Ports = append(c.Ports, placement.PortRecord{Project: project, Service: "web", Protocol: "tcp", Published: uint16(from + i)})
	}
	return c
}

func TestNobodyAllocatesFromHalfOfWhatIsRecordedInParts(t *testing.T) {
	st := &shared{modest: modest{Store: embeddedtest.Start(t, 1).Open(t), left: -1}}
	defer st.Close()
	ctx := t.Context()
	var recorded int64
	record := func(project string, change *scheduler.Change) error {
		t.Helper()
		c := &Cluster{inv: &placement.Inventory{}, store: st}
		view, err := c.View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r := &Records{c: c, project: project, allocated: view.Allocated, since: map[string]int64{}}
		err = r.Commit(ctx, change)
		recorded = r.recorded
		return err
	}
	// Another command plans from what is there after the first part, and takes a port that is in the second.
	st.other = func() {
		if err := record("other", ports("other", 8150, 1)); err != nil {
			t.Error(err)
		}
	}
	if err := record("shop", ports("shop", 8000, 250)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("error %v; want a conflict", err)
	}
	who := func() (whose map[uint16]string) {
		view, err := (&Cluster{store: st}).View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		whose = map[uint16]string{}
		for _, p := range view.Ports {
			whose[p.Published] = p.Project
		}
		return whose
	}
	if got := who()[8150]; got != "other" {
		t.Errorf("port 8150 is of %q", got)
	}
	if err := record("shop", ports("shop", 9000, 250)); err != nil {
		t.Fatal(err)
	}
	if got := who(); got[9000] != "shop" || got[9249] != "shop" {
		t.Errorf("of 250 ports there are %d", len(got))
	}
	if snap, err := st.Get(ctx, ledger.Allocation); err != nil || len(snap.Pairs) != 1 || snap.Pairs[0].Modified != recorded {
		t.Errorf("the allocation key: %v, %v; the last part was recorded at %d", snap.Pairs, err, recorded)
	}
}

func TestWhatAHostThatWasTakenOutSaysLateIsSweptUnlessItIsInAgain(t *testing.T) {
	st := embeddedtest.Start(t, 1).Open(t)
	defer st.Close()
	ctx := t.Context()
	for admitted, want := range map[string]int{"": 0, "another admission": 1} {
		value, err := json.Marshal(ledger.Refusal{Admitted: admitted})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: ledger.RefusedKey("a"), Value: value}, {Key: ledger.AliveKey("a")}}}); err != nil {
			t.Fatal(err)
		}
		c := &Cluster{store: st, refused: []string{"a"}}
		c.sweep(ctx)
		if snap, err := st.Get(ctx, ledger.Alive); err != nil || len(snap.Pairs) != want {
			t.Errorf("admitted %q: %v, %v", admitted, snap.Pairs, err)
		}
	}
}
