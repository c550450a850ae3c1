package scheduler

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"berth/placement"
)

// feasible tries every host for every task of a new project: it is written from what the rules mean, and has nothing in
// common with how placement works.
func feasible(s *scene) bool {
	type kind struct {
		service *placement.Service
		used    []int // tasks by host
	}
	var kinds []*kind
	var tasks []*kind
	for _, v := range s.p.Services {
		k := &kind{v, make([]int, len(s.o.Hosts))}
		kinds = append(kinds, k)
		for range v.Replicas {
			tasks = append(tasks, k)
		}
	}
	fits := func(h int) bool {
		var cpu int64
		ports := map[uint16]int{}
		for _, p := range s.o.Hosts[h].Ports {
			ports[p.Published]++
		}
		for _, k := range kinds {
			n := k.used[h]
			if n == 0 {
				continue
			}
			cpu += int64(n) * k.service.Reservation.CPU
			if k.service.MaxPerHost > 0 && n > k.service.MaxPerHost {
				return false
			}
			for _, p := range k.service.Ports {
				ports[p.Published] += n
				if ports[p.Published] > 1 {
					return false
				}
			}
			for _, c := range k.service.Constraints {
				switch c.Kind() {
				case placement.AboutHost:
					if !c.Match(&s.o.Hosts[h]) {
						return false
					}
				case placement.AboutService: // only != is drawn
					for _, o := range kinds {
						if others := o.used[h]; c.MatchValue(o.service.Name) && (o != k && others > 0 || o == k && others > 1) {
							return false
						}
					}
				}
			}
		}
		return cpu <= s.o.Hosts[h].Capacity.CPU
	}
	var place func(i int) bool
	place = func(i int) bool {
		if i == len(tasks) {
			return true
		}
		for h := range s.o.Hosts {
			tasks[i].used[h]++
			if fits(h) && place(i+1) {
				return true
			}
			tasks[i].used[h]--
		}
		return false
	}
	return place(0)
}

// drawTight draws a new project that just fits, or just does not.
func drawTight(t *rapid.T) *scene {
	var options []option
	for i := range rapid.IntRange(2, 3).Draw(t, "hosts") {
		h := []hostOption{cpus(float64(rapid.IntRange(3, 8).Draw(t, "cpus"))), label("zone", rapid.SampledFrom([]string{"x", "y"}).Draw(t, "zone"))}
		if rapid.IntRange(0, 5).Draw(t, "other port") == 0 {
			h = append(h, otherPort(80))
		}
		options = append(options, host(string(rune('a'+i)), h...))
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "services") {
		maybe := func(name string, one int) bool { return rapid.IntRange(0, one).Draw(t, name) == 0 }
		s := []serviceOption{replicas(rapid.IntRange(1, 3).Draw(t, "replicas")), reserve(float64(rapid.IntRange(0, 5).Draw(t, "reserved")), 0)}
		if maybe("binpack", 1) {
			s = append(s, binpack())
		}
		if maybe("port", 5) {
			s = append(s, port(80))
		}
		if maybe("max", 5) {
			s = append(s, maxPerHost(1))
		}
		if maybe("constrained", 4) {
			s = append(s, constraint("node.labels.zone == "+rapid.SampledFrom([]string{"x", "y"}).Draw(t, "wanted zone")))
		}
		if maybe("apart", 4) {
			s = append(s, constraint(fmt.Sprintf("service != s%d", rapid.IntRange(0, 3).Draw(t, "from"))))
		}
		options = append(options, service(fmt.Sprintf("s%d", i), s...))
	}
	return world(options...)
}

func TestLivenessWhatBruteForceCanPlaceIsPlaced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawTight(t)
		plan := tryUp(t, s)
		if can := feasible(s); can != (len(plan.Unplaced) == 0) {
			t.Fatalf("a placement exists: %v, but unplaced are %v\n%s", can, plan.Unplaced, plan)
		}
		s.apply(t, plan)
		if again := tryUp(t, s); !again.Empty() && len(plan.Unplaced) == 0 {
			t.Fatalf("a second up does\n%s", again)
		}
	})
}
