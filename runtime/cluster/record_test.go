package cluster

import (
	"context"
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
	record := func(project string, change *scheduler.Change) error {
		t.Helper()
		c := &Cluster{inv: &placement.Inventory{}, store: st}
		view, err := c.View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r := &Records{c: c, project: project, allocated: view.Allocated, since: map[string]int64{}}
		return r.Commit(ctx, change)
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
	if snap, err := st.Get(ctx, ledger.Allocation); err != nil || len(snap.Pairs) != 1 {
		t.Errorf("the allocation key: %v, %v", snap.Pairs, err)
	}
}
