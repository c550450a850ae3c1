package ledger

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"berth/runtime/store"
)

func TestABackupIsReadAsItWasWrittenOrNotAtAll(t *testing.T) {
	b := NewBackup("c1", store.Snapshot{Revision: 7, Pairs: []store.Pair{
		{Key: AliveKey("a"), Value: []byte(`""`)},
		{Key: Allocation},
		{Key: EpochKey, Value: []byte(`{}`)},
		{Key: HostKey("a"), Value: []byte(`{}`)},
		{Key: NetworkKey("shop_<&>"), Value: []byte("{\"name\":\"shop_<&>\"}\n")},
		{Key: LockKey("shop"), Value: []byte(`{}`)},
		{Key: PinKey("shop", "lock"), Value: nil},
		{Key: ReadyKey("n", "a")}, {Key: StateKey("a", "c")},
		{Key: Root + "unknown/lock", Value: []byte{0xff, 0, '\n'}},
	}}, time.Date(2026, 11, 22, 7, 0, 0, 5, time.UTC))
	var file bytes.Buffer
	if _, err := b.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	whole := file.String()
	got, err := ReadBackup(&file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(b, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("-written +read\n%s", d)
	}
	if len(got.Pairs) != 3 {
		t.Errorf("kept %+v", got.Pairs)
	}
	for name, broken := range map[string]string{
		"is no backup":  "version: 1\n",
		"cut short":     whole[:len(whole)-90],
		"was changed":   strings.Replace(whole, "shop_", "shoq_", 1),
		"version 2":     strings.Replace(whole, `"version":1`, `"version":2`, 1),
		"it is no back": "",
	} {
		if _, err := ReadBackup(strings.NewReader(broken)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
