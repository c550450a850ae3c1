package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/store"
	"berth/runtime/store/embedded/embeddedtest"
)

// modest is a store that takes no more operations at once than an etcd as it comes, and may be lost on the way.
type modest struct {
	store.Store
	left int // transactions until it is lost; negative: never
	most int // bytes that it takes at once; 0: any number
}

var errLost = errors.New("the store is lost")

func (m *modest) Commit(ctx context.Context, t store.Txn) (int64, error) {
	if len(t.Compares)+len(t.Puts)+len(t.Deletes) > 128 {
		return 0, store.ErrTooLarge
	}
	bytes := 0
	for _, p := range t.Puts {
		bytes += len(p.Key) + len(p.Value)
	}
	if m.most > 0 && bytes > m.most {
		return 0, store.ErrTooLarge
	}
	if m.left == 0 {
		return 0, errLost
	}
	m.left--
	return m.Store.Commit(ctx, t)
}

func TestALargeBackupIsRestoredInPartsAndCompletedAfterAnInterruption(t *testing.T) {
	st := &modest{Store: embeddedtest.Start(t, 1).Open(t), left: -1}
	defer st.Close()
	c := &Cluster{inv: &placement.Inventory{}, store: st, access: &Access{Cluster: "c1"}}
	ctx := t.Context()
	have := store.Txn{Puts: []store.Put{epochPut(ledger.NewEpoch(false)), {Key: ledger.Allocation}}}
	for i := range 90 {
		have.Puts = append(have.Puts, store.Put{Key: ledger.PinKey("old", fmt.Sprint(i)), Value: []byte(`"a"`)})
	}
	if _, err := st.Store.Commit(ctx, have); err != nil {
		t.Fatal(err)
	}
	backup := ledger.Backup{Cluster: "c1"}
	for i := range 250 {
		backup.Pairs = append(backup.Pairs, store.Pair{Key: ledger.PinKey("new", fmt.Sprint(i)), Value: []byte(`"b"`)})
	}
	plan := func() *Restoration {
		t.Helper()
		r, err := c.PlanRestore(ctx, backup, "the.backup")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	count := func() (old, restored int) {
		t.Helper()
		snap, err := c.Dump(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range snap.Pairs {
			switch {
			case strings.HasPrefix(p.Key, ledger.ProjectPrefix("old")):
				old++
			case strings.HasPrefix(p.Key, ledger.ProjectPrefix("new")):
				restored++
			}
		}
		return old, restored
	}

	// A command that gives out an address between plan and restore wins, and nothing is restored.
	late := plan()
	if _, err := st.Commit(ctx, store.Txn{Puts: []store.Put{{Key: ledger.Allocation}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.restoreParts(ctx, late, ledger.NewEpoch(true)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("restored over another command: %v", err)
	}
	if old, restored := count(); old != 90 || restored != 0 {
		t.Errorf("%d old records and %d of the backup are there, want 90 and none", old, restored)
	}

	// Lost after the second part, it says what to do, and the same again does the rest.
	st.left = 3
	if err := c.restoreParts(ctx, plan(), ledger.NewEpoch(true)); !errors.Is(err, errLost) {
		t.Fatalf("the store is lost on the way: %v", err)
	}
	st.left = -1
	if _, err := c.usable(ctx); err == nil || !strings.Contains(err.Error(), `run "berth store restore the.backup" again`) {
		t.Errorf("with half of a backup: %v", err)
	}
	if _, restored := count(); restored != 200 {
		t.Errorf("%d records of the backup are there, want those of two parts", restored)
	}
	end := ledger.NewEpoch(true)
	if err := c.restoreParts(ctx, plan(), end); err != nil {
		t.Fatal(err)
	}
	if old, restored := count(); old != 0 || restored != 250 {
		t.Errorf("%d old records and %d of the backup are there, want none and 250", old, restored)
	}
	view, err := c.usable(ctx)
	if err != nil || view.Epoch != end {
		t.Errorf("epoch %+v, %v; want %+v", view.Epoch, err, end)
	}

	// Another restore that began meanwhile is not written into.
	st.left = -1
	r := plan()
	begun, err := st.Commit(ctx, store.Txn{Puts: []store.Put{epochPut(ledger.NewEpoch(true))}})
	if err != nil {
		t.Fatal(err)
	}
	guard := store.Compare{Key: ledger.EpochKey, Modified: begun - 1}
	if err := writeParts(ctx, st, r.txn, guard, epochPut(end)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("written into another's restore: %v", err)
	}
}

func TestABackupWithLargeRecordsIsRestoredInSmallerParts(t *testing.T) {
	st := &modest{Store: embeddedtest.Start(t, 1).Open(t), left: -1, most: 10_000}
	defer st.Close()
	c := &Cluster{inv: &placement.Inventory{}, store: st, access: &Access{Cluster: "c1"}}
	backup := ledger.Backup{Cluster: "c1"}
	for i := range 150 {
		backup.Pairs = append(backup.Pairs, store.Pair{Key: ledger.ObjectKey(ledger.Config, fmt.Sprint(i)), Value: []byte(strings.Repeat(" ", 1000) + "{}")})
	}
	r, err := c.PlanRestore(t.Context(), backup, "the.backup")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.restoreParts(t.Context(), r, ledger.NewEpoch(true)); err != nil {
		t.Fatal(err)
	}
	if view, err := c.usable(t.Context()); err != nil || len(view.Objects) != 150 {
		t.Errorf("of 150 records %d are there, %v", len(view.Objects), err)
	}
}
