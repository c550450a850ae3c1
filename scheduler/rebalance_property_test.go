package scheduler

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"berth/placement"
)

// grow draws what changes between an up and a rebalance: hosts that join, are drained or paused.
func grow(t *rapid.T, s *scene) {
	for i := range s.o.Hosts {
		if rapid.IntRange(0, 4).Draw(t, "availability") == 0 {
			s.o.Hosts[i].Availability = rapid.SampledFrom([]placement.Availability{placement.Drain, placement.Pause}).Draw(t, "which")
		}
	}
	for i := range rapid.IntRange(1, 2).Draw(t, "joining") {
		s.join(host(fmt.Sprintf("new%d", i), cpus(float64(rapid.IntRange(1, 6).Draw(t, "new cpus"))),
			label("zone", rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "new zone"))))
	}
}

// drawCrowd draws a cluster that runs a project, and hosts that joined since; every other time a crowded one, where tasks
// wait for each other's room.
func drawCrowd(t *rapid.T) *scene {
	var s *scene
	if rapid.Bool().Draw(t, "crowded") {
		s = drawTight(t)
		for _, v := range s.p.Services {
			v.Replicas = rapid.IntRange(1, 6).Draw(t, "crowd")
			v.ContainerName = ""
		}
	} else if s = drawWorld(t); !s.o.Cluster {
		t.Skip("one host")
	}
	s.apply(t, tryUp(t, s))
	grow(t, s)
	return s
}

// runs counts the tasks that run, by service.
func (s *scene) runs() map[string]int {
	n := map[string]int{}
	for i := range s.o.Containers {
		if s.o.Containers[i].Running() {
			n[s.o.Containers[i].Task.Service]++
		}
	}
	return n
}

// checkRoom fails when hosts hold more than they have room for, beyond what they held before.
func checkRoom(t *rapid.T, s, before *scene) {
	s = s.clone()
	s.o.Containers = slices.DeleteFunc(s.o.Containers, func(c placement.Container) bool { return !c.Running() }) // a successor is made before the other goes
	checkSafe(t, s)
	ports := map[string]string{}
	for i := range s.o.Containers {
		c := &s.o.Containers[i]
		for _, p := range c.Ports {
			if other := ports[c.Host+p.String()]; other != "" {
				t.Fatalf("%s and %s have port %s of %s", other, c.Name, p, c.Host)
			}
			ports[c.Host+p.String()] = c.Name
		}
		if !slices.ContainsFunc(before.o.Containers, func(b placement.Container) bool { return b.ID == c.ID }) {
			h := s.o.Host(c.Host)
			if v := s.p.Service(c.Task.Service); v.Unmet(h) != nil || h.Availability != "" {
				t.Fatalf("%s is on %s, which does not admit it", c.Name, c.Host)
			}
		}
	}
}

func TestSafetyNoServiceHasFewerTasksDuringARebalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawCrowd(t)
		before, want := s.clone(), s.runs()
		plan := s.rebalance(t)
		t.Logf("%s%v", plan, plan.Warnings)
		first := map[string]bool{} // those that cannot be there twice, and say so
		for i := range plan.Steps {
			if x := &plan.Steps[i]; x.Kind == Create && before.has(x.Task) {
				first[x.Task.Service] = true
			}
		}
		r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "order")))
		done := make([]bool, len(plan.Steps))
		for range plan.Steps {
			var ready []int
			for i := range plan.Steps {
				if !done[i] && !slices.ContainsFunc(plan.Steps[i].After, func(a int) bool { return !done[a] }) {
					ready = append(ready, i)
				}
			}
			i := ready[r.Intn(len(ready))]
			s.step(t, plan, &plan.Steps[i])
			done[i] = true
			for service, n := range s.runs() {
				if n < want[service] && !first[service] {
					t.Fatalf("after step %d %s has %d tasks of %d\n%s", i, service, n, want[service], plan)
				}
			}
			checkRoom(t, s, before)
		}
		if got := s.runs(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v run, %v did", got, want)
		}
	})
}

func (s *scene) has(t placement.Task) bool {
	return slices.ContainsFunc(s.o.Containers, func(c placement.Container) bool { return c.Task == t })
}

func TestLivenessASecondRebalanceHasNothingToDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawCrowd(t)
		first := s.rebalance(t)
		s.apply(t, first)
		if second := s.rebalance(t); !second.Empty() {
			t.Fatalf("first\n%s%v\nsecond\n%s", first, first.Warnings, second)
		}
	})
}

func TestLivenessARebalanceThatWasKilledConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawCrowd(t)
		before := s.clone()
		someSteps(t, s, s.rebalance(t))
		next := "up"
		if rapid.Bool().Draw(t, "rebalance again") {
			next = "rebalance"
			for range 3 {
				s.apply(t, s.rebalance(t))
			}
			if p := s.rebalance(t); !p.Empty() {
				t.Fatalf("rebalance after rebalance does\n%s", p)
			}
		}
		up := tryUp(t, s)
		t.Logf("%s, up\n%s%v", next, up, up.Unplaced)
		s.apply(t, up)
		if third := tryUp(t, s); !third.Empty() && len(up.Unplaced) == 0 {
			t.Fatalf("still\n%s", third)
		}
		without := tryUp(t, before)
		before.apply(t, without)
		if got, want := s.runs(), before.runs(); len(up.Unplaced)+len(without.Unplaced) == 0 && fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v run, without the rebalance %v", got, want)
		}
	})
}

func TestTasksThatMayStayDoSoInAnUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		if !s.o.Cluster {
			t.Skip("one host")
		}
		s.apply(t, tryUp(t, s))
		before := s.clone()
		grow(t, s)
		gone := ""
		if len(before.o.Hosts) > 2 && rapid.Bool().Draw(t, "one leaves the inventory") {
			gone = s.o.Hosts[0].Name
			s.o.Hosts = s.o.Hosts[1:]
			s.o.Containers = slices.DeleteFunc(s.o.Containers, func(c placement.Container) bool { return c.Host == gone })
			s.o.Networks = slices.DeleteFunc(s.o.Networks, func(n placement.EngineNetwork) bool { return n.Host == gone })
			s.o.Volumes = slices.DeleteFunc(s.o.Volumes, func(v placement.EngineVolume) bool { return v.Host == gone })
		}
		plan := tryUp(t, s)
		s.apply(t, plan)
		for _, c := range before.o.Containers {
			h := s.o.Host(c.Host)
			if v := s.p.Service(c.Task.Service); !c.Running() || h == nil || h.Availability == placement.Drain || len(v.SharesWith) > 0 || len(v.Mounts) > 0 || before.shared(v.Name) {
				continue // it has to leave, or others that have to take it along
			}
			if !slices.ContainsFunc(s.o.Containers, func(x placement.Container) bool { return x.ID == c.ID && x.Running() }) {
				t.Fatalf("%s does not run on %s any more, which may keep it\n%s", c.Name, c.Host, plan)
			}
		}
		for i := range s.o.Containers {
			c := &s.o.Containers[i]
			said := slices.ContainsFunc(plan.Warnings, func(w string) bool { return strings.HasPrefix(w, c.Task.String()+" stays on host "+c.Host) })
			if s.o.Host(c.Host).Availability == placement.Drain && !said && len(plan.Unplaced) == 0 {
				t.Fatalf("%s is left on %s, which is drained\n%s", c.Name, c.Host, plan)
			}
		}
	})
}

// shared reports whether a service is one that another shares with.
func (s *scene) shared(name string) bool {
	return slices.ContainsFunc(s.p.Services, func(v *placement.Service) bool { return slices.Contains(v.SharesWith, name) })
}

// fewest finds, by trying every distribution of n tasks over hosts with so much room, the fewest that leave their host for
// the distribution to be even: over zones, and over the hosts of each.
func fewest(have, room []int, zones []string) int {
	n, best := 0, -1
	for _, k := range have {
		n += k
	}
	then := make([]int, len(have))
	var try func(h, left int)
	try = func(h, left int) {
		if h < len(have) {
			for then[h] = 0; then[h] <= min(left, room[h]); then[h]++ {
				try(h+1, left-then[h])
			}
			return
		}
		if left > 0 || !even(then, room, zones) {
			return
		}
		moves := 0
		for i := range have {
			moves += max(have[i]-then[i], 0)
		}
		if best < 0 || moves < best {
			best = moves
		}
	}
	try(0, n)
	return best
}

// even reports whether no task would make the distribution more even by moving to a host with room: from a zone to one
// that has two less, or between hosts of a zone.
func even(then, room []int, zones []string) bool {
	in := map[string]int{}
	for h, n := range then {
		in[zones[h]] += n
	}
	for g := range then {
		for h := range then {
			switch {
			case then[g] == 0 || then[h] >= room[h]:
			case zones[g] != zones[h] && in[zones[g]]-in[zones[h]] >= 2, zones[g] == zones[h] && then[g]-then[h] >= 2:
				return false
			}
		}
	}
	return true
}

func TestARebalanceMovesNoMoreThanBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var options []option
		var have, room []int
		var zones []string
		spread := rapid.Bool().Draw(t, "over zones")
		for i := range rapid.IntRange(2, 5).Draw(t, "hosts") {
			name, zone := string(rune('a'+i)), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "zone")
			have = append(have, rapid.IntRange(0, 4).Draw(t, "tasks"))
			room = append(room, rapid.IntRange(have[i], 8).Draw(t, "room"))
			if !spread {
				zones = append(zones, "")
			} else {
				zones = append(zones, zone)
			}
			options = append(options, host(name, label("zone", zone), cpus(float64(max(room[i], 1)))))
		}
		s := world(append(options, service("web", replicas(0), reserve(1, 0)))...)
		for h, n := range have {
			v := s.p.Services[0]
			v.Replicas += n
			s.change("web", constraint("node.name == "+s.o.Hosts[h].Name)).up(t, UpOptions{Partial: true, NoRecreate: true})
		}
		for h := range room {
			if room[h] == 0 { // no host has no room at all
				s.o.Hosts[h].Availability = placement.Pause
			}
		}
		v := s.p.Services[0]
		v.Constraints = nil
		if spread {
			s.change("web", spreadOver("node.labels.zone"))
		}
		plan := s.rebalance(t)
		s.apply(t, plan)
		then := make([]int, len(have))
		for i := range s.o.Containers {
			then[slices.IndexFunc(s.o.Hosts, func(h placement.Host) bool { return h.Name == s.o.Containers[i].Host })]++
		}
		if want := fewest(have, room, zones); movesOf(plan) != want || !even(then, room, zones) {
			t.Fatalf("%v in %v with room for %v became %v with %d moves; %d do\n%s", have, zones, room, then, movesOf(plan), want, plan)
		}
	})
}
