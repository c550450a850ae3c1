package embedded_test

import (
	"strings"
	"testing"
	"time"

	"berth/runtime/store"
	"berth/runtime/store/embedded/embeddedtest"
)

func TestAStoreThatIsFullOfHistoryMakesRoomByItself(t *testing.T) {
	ctx := bound(t)
	c := embeddedtest.New(t, 1)
	c.Configs[0].Quota, c.Configs[0].SpaceEvery = 4<<20, 100*time.Millisecond
	if err := c.StartMember(ctx, 0); err != nil {
		t.Fatal(err)
	}
	st := c.Open(t)
	defer st.Close()
	large := store.Txn{Puts: []store.Put{{Key: "k", Value: []byte(strings.Repeat("x", 500<<10))}}}
	full := 0
	for written := 0; written < 40; written++ { // five times the quota
		for {
			_, err := st.Commit(ctx, large)
			if err == nil {
				break
			}
			if !strings.Contains(err.Error(), "database is full") {
				t.Fatal(err)
			}
			full++
		}
	}
	if full == 0 {
		t.Error("it was never full; the test shows nothing")
	}
}
