package cluster

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"berth/placement"
	"berth/runtime/ledger"
	"berth/runtime/store"
	"berth/runtime/store/embedded/embeddedtest"
)

// It shows what it guards against with -race.
func TestAStoreThatIsBeingOpenedIsTakenOverWhole(t *testing.T) {
	member := embeddedtest.Start(t, 1)
	st := member.Open(t)
	defer st.Close()
	read := func(path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	own := member.Configs[0]
	record, err := json.Marshal(ledger.Membership{Members: []ledger.Member{{Host: "a", ID: "1", Client: own.ClientURL, Peer: own.PeerURL}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(t.Context(), store.Txn{Puts: []store.Put{{Key: ledger.MembersKey, Value: record}}}); err != nil {
		t.Fatal(err)
	}
	inv := &placement.Inventory{Path: "hosts.yml", Hosts: []placement.InventoryHost{{Name: "a", Address: "tcp://127.0.0.1:1"}, {Name: "b", Address: "tcp://127.0.0.1:2"}}}
	c, err := Connect(inv, Options{CacheDir: t.TempDir(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	old := Access{Endpoints: []string{own.ClientURL}, CA: read(own.CAFile), Cert: read(own.CertFile), Key: read(own.KeyFile)}
	c.cache(&old)
	c.Warm(t.Context(), true)
	if err := c.Open(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if c.opened != nil || len(c.access.Members) != 1 || c.access.Members[0] != "a" {
		t.Errorf("taken over before it was open: members %v", c.access.Members)
	}
	again, err := Connect(inv, Options{CacheDir: t.TempDir(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !again.tryAll(t.Context(), []*Access{&old}, time.Minute) {
		t.Fatal("the store is not opened")
	}
	if a := again.cached(); a == nil || len(a.Members) != 1 {
		t.Errorf("the next command does not know the members: %+v", a)
	}
}
