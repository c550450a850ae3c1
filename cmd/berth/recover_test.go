package main_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/fixtures/lab/lab"
)

func TestAStoreThatLostMostOfItsMembersGoesOnWithTheOneThatIsLeft(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.Images("busybox"))
	w := newWorld(t, l, rebuiltCompose)
	w.must("up", "-d")
	w.holds("host1", "host2", "host3")
	w.write("token", "of great secrecy")
	w.must("secret", "create", "token", "token")
	w.refused([]string{"there is nothing to recover"}, "store", "recover", "--yes")
	given, running := w.addresses(), ids(w.ps())
	away := l.Hosts()[1:]

	// The disks of two are lost.
	for _, h := range away {
		for _, args := range [][]string{{"docker", "rm", "-f", "berth-agent"}, {"docker", "volume", "rm", "berth-agent"}} {
			if _, err := h.Run(t.Context(), args...); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.refused([]string{"the store has no quorum", "host1 has its data, host2 and host3 has lost it", `run "berth store recover"`}, "up", "-d")
	if r := w.must("store", "recover", "--yes"); !strings.Contains(r.out, "goes on with what host host1 has") {
		t.Error(r)
	}
	w.must("up", "-d")
	w.holds("host1", "host2", "host3")
	w.inPlace(3)
	if d := cmp.Diff(given, w.addresses()); d != "" {
		t.Errorf("addresses: -before +after\n%s", d)
	}
	if d := cmp.Diff(running, ids(w.ps())); d != "" {
		t.Errorf("-ran +runs\n%s", d)
	}
	if !strings.Contains(w.must("secret", "ls", "-q").out, "token") {
		t.Error("the secret is lost")
	}

	if *membersRounds < 2 {
		return // TestOneOfThreeMembersGoesOnAloneAndTheOthersAreOut has the same of the members alone
	}
	// Two that were only cut off come back with all that they had: together they are most of the old members.
	for _, h := range away {
		if err := h.Cut(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.must("store", "recover", "--yes")
	for _, h := range away {
		if err := h.Heal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range away {
		eventually(t, h.Name()+" finds out", func() bool {
			return strings.Contains(w.log(h.Name()), "this host's store member was removed from the store")
		})
	}
	w.must("up", "-d")
	w.holds("host1", "host2", "host3")
	w.must("scale", "web=4")
	for at, ip := range given {
		if now := w.addresses()[at]; now != ip {
			t.Errorf("%s had %s and has %s", at, ip, now)
		}
	}
}

func TestAStoreOnAHostThatIsGoneForEverBeginsAnew(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Hosts(3), lab.Images("busybox"))
	w := newWorld(t, l, spread)
	w.inventory("host1", "host2")
	w.must("up", "-d")
	lost := l.Hosts()[0]
	address := lost.Address()
	if err := lost.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	given := w.running("host2")
	w.inventory("host2", "host3")
	w.refused([]string{address, "put it back into the inventory", `run "berth store recover"`}, "up", "-d")
	w.must("store", "recover", "--yes")
	w.must("up", "-d")
	if got := w.hostsOf("web"); len(got) != 3 {
		t.Errorf("web runs on %v, want three tasks", got)
	}
	for name, id := range given {
		if w.ps()[name].ID != id {
			t.Errorf("%s was recreated", name)
		}
	}
	w.addresses() // none twice

	// What was given up is another cluster when it is back.
	if err := lost.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.inventory("host1", "host2", "host3")
	w.refused([]string{"two clusters", "remove the container and volume berth-agent"}, "up", "-d")
}

// running are the IDs of the containers that run on a host, by name.
func (w *world) running(host string) map[string]string {
	out := map[string]string{}
	for name, r := range w.ps() {
		if r.Host == host && r.State == "running" {
			out[name] = r.ID
		}
	}
	return out
}
