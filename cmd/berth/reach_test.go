package main_test

import (
	"path/filepath"
	"testing"

	"berth/fixtures/lab/lab"
)

// sameNames is for tests of how the command line reaches the engines: the containers' names do not depend on that.
func sameNames(*testing.T, *world) {}

// Each has its own way to write IPv6 addresses; IPv4 ones are those of the other tests.
func TestTheTutorialRunsOverTLSAndSSH(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.CPUs(1), lab.TLS(), lab.SSH(), lab.IPv6(), lab.Images("web"))
	w := newWorld(t, l, sample(t, "tutorial/docker-compose.yml"))
	w.env = append(w.env, "BERTH_INVENTORY="+l.WriteInventory(t, func(i *lab.Inventory) {
		// The others are reached by ssh.
		i.Hosts["host1"] = &lab.InventoryHost{Address: l.Hosts()[0].EngineURL(), TLS: filepath.Join(l.Dir(), "certs"), CPUs: 1,
			Labels: i.Hosts["host1"].Labels}
	}))
	tutorial(t, w, sameNames)
}
