package agent_test

import (
	"syscall"
	"testing"

	"berth/runtime/ledger"
	"berth/runtime/overlay"
)

func TestAnAgentThatStartsWithoutAStoreGoesByWhatWasKnown(t *testing.T) {
	b := newBed(t, 2)
	web, db := b.pair()
	one, two := b.lab.Hosts()[0], b.lab.Hosts()[1]
	b.stop(two, syscall.SIGTERM)
	b.stop(one, syscall.SIGTERM) // and with it the store
	// As when the host was started anew.
	b.on(two.Name(), "ip", "link", "del", overlay.TunnelName(testVNI))
	b.start(two)
	t.Logf("names are answered %s after the start", b.eventually("web resolves", func() bool { return b.resolves(db, "web", web) }))
	b.eventually("web is reached", func() bool { return b.pings(db, web.IP) })
	b.on(two.Name(), "docker", "restart", "-t", "0", db.Container)
	b.eventually("a container that ended and runs again is answered", func() bool { return b.resolves(db, "db", db) })

	// The store answers again, and what it says counts.
	b.start(one)
	b.eventually("the store is back", func() bool { _, err := b.st.Get(t.Context(), ledger.EpochKey); return err == nil })
	b.put(nil, ledger.EndpointKey(web))
	b.eventually("what the store does not say any more is not answered", func() bool { return b.resolves(db, "web") })
	b.eventually("the rest is", func() bool { return b.resolves(db, "db", db) })
}
