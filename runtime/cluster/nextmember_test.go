package cluster

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"berth/placement"
	"berth/runtime/store/etcd"
)

func inventory(hosts ...string) *placement.Inventory {
	inv := &placement.Inventory{}
	for _, h := range hosts {
		inv.Hosts = append(inv.Hosts, placement.InventoryHost{Name: h})
	}
	return inv
}

func TestMembersAreOneOrThreeAndStayWhereTheyAre(t *testing.T) {
	for _, c := range []struct {
		inventory, ready, have, want string
	}{
		{"a", "a", "", "a"},
		{"ab", "ab", "a", "a"},
		{"ab", "ab", "", "a"},
		{"ab", "b", "a", "a"},       // the only one does not answer; its data is nowhere else
		{"abc", "abc", "a", "abc"},  // three, as soon as there are three
		{"abc", "ab", "a", "a"},     // the third is in the inventory and does not answer
		{"abc", "ab", "abc", "abc"}, // a member that does not answer is still one
		{"abcd", "abcd", "bcd", "bcd"},
		{"abcd", "abd", "bcd", "bdc"}, // c does not answer
		{"bcd", "bcd", "abc", "bcd"},  // a has left, d takes its place
		{"bc", "bc", "abc", "b"},      // a has left and nobody can take its place
		{"bc", "c", "abc", "c"},       // of two that are left the one that answers stays
		{"bcd", "bc", "abc", "bc"},    // d will take its place when it answers
		{"b", "b", "a", "b"},          // the only member has left
		{"b", "", "a", ""},
	} {
		ready := map[string]bool{}
		for _, h := range split(c.ready) {
			ready[h] = true
		}
		if got := wantedMembers(inventory(split(c.inventory)...), ready, split(c.have)); !slices.Equal(got, split(c.want)) {
			t.Errorf("inventory %s, ready %s, members %s: wanted %v, want %s", c.inventory, c.ready, c.have, got, c.want)
		}
	}
}

func split(s string) []string {
	var out []string
	for _, r := range s {
		out = append(out, string(r))
	}
	return out
}

// Safety: no step leaves the store without a majority that answers, or without a member that has the data. Liveness: from
// whatever an interrupted command left, the members that are wanted come about, if those answer.
func TestEveryStepKeepsAMajorityAndTheStepsEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts := split("abcde")
		var members []standing
		id := uint64(0)
		for _, h := range hosts {
			if rapid.Bool().Draw(t, h+" is a member") && len(members) < 4 {
				id++
				members = append(members, standing{Member: etcd.Member{ID: id}, Host: h, Up: true})
			}
		}
		if len(members) == 0 {
			members = []standing{{Member: etcd.Member{ID: 1}, Host: "a", Up: true}}
			id = 1
		}
		// Fewer than half are lost: else no command can change anything.
		for n := (len(members) - 1) / 2; n > 0; n-- {
			i := rapid.IntRange(0, len(members)-1).Draw(t, "lost")
			members[i].Up = rapid.Bool().Draw(t, "answers")
			members[i].Lost = members[i].Up && rapid.Bool().Draw(t, "data gone")
		}
		if rapid.Bool().Draw(t, "a learner is left") {
			id++
			members = append(members, standing{Member: etcd.Member{ID: id, Learner: true},
				Host: rapid.SampledFrom(hosts).Draw(t, "its host"), Up: rapid.Bool().Draw(t, "it answers")})
		}
		up := map[string]bool{}
		var have []string
		for _, h := range hosts {
			up[h] = !slices.ContainsFunc(members, func(s standing) bool { return s.Host == h && !s.Up })
		}
		for _, s := range members {
			if !s.Learner {
				have = append(have, s.Host)
			}
		}
		kept := rapid.IntRange(1, len(hosts)).Draw(t, "hosts in the inventory")
		wanted := wantedMembers(inventory(hosts[len(hosts)-kept:]...), up, have)
		if len(wanted) == 0 {
			return
		}
		for step := 0; ; step++ {
			if step > 20 {
				t.Fatalf("no end: %+v, wanted %v", members, wanted)
			}
			next := nextChange(members, wanted)
			if next.Kind == noChange {
				break
			}
			members = carryOut(t, members, next, &id)
		}
		var got []string
		for _, s := range members {
			got = append(got, s.Host)
		}
		want := slices.Clone(wanted)
		slices.Sort(want)
		slices.Sort(got)
		if slices.ContainsFunc(wanted, func(h string) bool { return !up[h] }) {
			return // the others may have to stay until it answers
		}
		if !slices.Equal(got, want) {
			t.Fatalf("members on %v, want %v", got, want)
		}
	})
}

// carryOut does to the members what a step does, and checks that the store lives through it.
func carryOut(t *rapid.T, members []standing, next change, id *uint64) []standing {
	members = slices.Clone(members)
	at := slices.IndexFunc(members, func(s standing) bool { return s.ID == next.ID })
	switch next.Kind {
	case addLearner:
		if slices.ContainsFunc(members, func(s standing) bool { return s.Learner }) {
			t.Fatalf("a second learner: %v", next)
		}
		*id++
		members = append(members, standing{Member: etcd.Member{ID: *id, Learner: true}, Host: next.Host, Up: true})
	case promote:
		members[at].Learner, members[at].Up = false, true // else it is no member's host that answers, and the command ends
	case remove:
		members = slices.Delete(members, at, at+1)
	}
	voters, well := 0, 0
	for _, s := range members {
		if !s.Learner {
			voters++
			if s.Up && !s.Lost {
				well++
			}
		}
	}
	if well == 0 || well <= voters/2 {
		t.Fatalf("%v leaves %d of %d members that answer with their data: %+v", next, well, voters, members)
	}
	return members
}

func TestAStepReadsAsASentence(t *testing.T) {
	for _, ch := range []change{{addLearner, "h", 0}, {promote, "h", 1}, {remove, "h", 1}, {}} {
		if s := fmt.Sprint(ch); len(s) < 20 {
			t.Errorf("%q", s)
		}
	}
}
