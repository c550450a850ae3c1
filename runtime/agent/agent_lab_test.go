package agent_test

import (
	"strings"
	"testing"

	"berth/runtime/ledger"
)

func TestContainersOfTwoHostsReachEachOtherByName(t *testing.T) {
	b := newBed(t, 2)
	one, two := b.lab.Hosts()[0].Name(), b.lab.Hosts()[1].Name()
	web, db := endpoint(one, "web", 1), endpoint(two, "db", 1)
	rev := b.put(map[string]any{
		ledger.NetworkKey(testNetwork): b.network(),
		ledger.EndpointKey(web):        web,
		ledger.EndpointKey(db):         db,
	})
	b.ready(rev)
	b.run(web)
	b.run(db)
	b.running(web)
	b.running(db)
	for _, name := range []string{"db", "db.shop", "shop-db-1", "tasks.db", "DB"} {
		b.eventually(name+" resolves", func() bool { return b.resolves(web, name, db) })
	}
	if out, err := b.inside(web, "ping", "-c", "3", "-w", "5", "db"); err != nil {
		t.Errorf("ping: %v\n%s", err, out)
	}
	b.eventually("web resolves on the other host", func() bool { return b.resolves(db, "web", web) })

	b.on(two, "docker", "stop", "-t", "0", db.Container)
	b.eventually("db has no address any more", func() bool {
		out, _ := b.inside(web, "nslookup", "-type=a", "db")
		return !strings.Contains(out, db.IP.String()) && !strings.Contains(out, "NXDOMAIN")
	})
	b.on(two, "docker", "start", db.Container)
	b.eventually("db has its address again", func() bool { return b.resolves(web, "db", db) })

	b.on(one, "docker", "rm", "-f", web.Container)
	b.on(two, "docker", "rm", "-f", db.Container)
	b.put(nil, ledger.NetworkKey(testNetwork), ledger.EndpointKey(web), ledger.EndpointKey(db))
	b.await("no trace is left in the store", func(keys map[string][]byte) bool {
		for key := range keys {
			if strings.HasPrefix(key, ledger.Readies) || strings.HasPrefix(key, ledger.States) {
				return false
			}
		}
		return true
	})
	for _, h := range []string{one, two} {
		if out := b.on(h, "ip", "-br", "link", "show", "group", "47890"); out != "" {
			t.Errorf("%s: links left: %s", h, out)
		}
		if out := b.on(h, "docker", "network", "ls", "-q", "--filter", "label=berth.network"); out != "" {
			t.Errorf("%s: engine networks left: %s", h, out)
		}
	}
}
