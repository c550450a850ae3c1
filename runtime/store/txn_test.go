package store_test

import (
	"testing"

	"berth/runtime/store"
)

// What OnceOnly promises is what makes it safe to send a transaction again whose answer was lost.
func TestOnceOnlyIsATransactionThatUndoesItsOwnCondition(t *testing.T) {
	put, other := []store.Put{{Key: "k"}}, []store.Put{{Key: "other"}}
	for name, c := range map[string]struct {
		txn  store.Txn
		want bool
	}{
		"a put without a compare":               {store.Txn{Puts: put}, false},
		"a compare of another key":              {store.Txn{Compares: []store.Compare{{Key: "k", Modified: 3}}, Puts: other}, false},
		"making a key that must be absent":      {store.Txn{Compares: []store.Compare{{Key: "k"}}, Puts: put}, true},
		"changing a key that must be unchanged": {store.Txn{Compares: []store.Compare{{Key: "k", Modified: 3}}, Puts: put}, true},
		"deleting a key that must be unchanged": {store.Txn{Compares: []store.Compare{{Key: "k", Modified: 3}}, Deletes: []string{"k"}}, true},
		"deleting a key that must be absent":    {store.Txn{Compares: []store.Compare{{Key: "k"}}, Deletes: []string{"k"}}, false},
		"nothing":                               {store.Txn{}, false},
	} {
		if got := c.txn.OnceOnly(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
