package pack

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestOnlineSearchFindsWhatLookingAtAllHostsFinds compares the search over bitmaps with the plain loop over all hosts that
// is there for items with conditions.
func TestOnlineSearchFindsWhatLookingAtAllHostsFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var hosts []Host
		draw := func(name string, from, to int) int64 { return int64(rapid.IntRange(from, to).Draw(t, name)) }
		shapes := [][]int64{{8000, 16384}, {16000, 65536}, {4000, 32768}, {7900, 15800}, {64000, 262144}}
		for range draw("hosts", 1, 40) {
			h := Host{Size: shapes[draw("shape", 0, len(shapes)-1)], Used: draw("used", 0, 2) > 0}
			h.Free = []int64{h.Size[0], h.Size[1]}
			if h.Used {
				h.Free = []int64{h.Size[0] - 50*draw("cpu", 0, 150), h.Size[1] - 64*draw("memory", 0, 240)}
			}
			hosts = append(hosts, h)
		}
		o := NewOnline(hosts, [2]int64{50, 64})
		for range draw("items", 1, 60) {
			// Multiples of the granules of all grids, so that a cell has room as soon as one of its hosts has.
			k := Kind{Demand: []int64{400 * draw("wanted cpu", 0, 5), 1024 * draw("wanted memory", 0, 6)}}
			found, all := o.search(&k), o.scan(&k)
			if found != all {
				t.Fatalf("the search finds host %d, of all hosts %d is the best, for %v", found, all, k.Demand)
			}
			o.Place(&k)
		}
	})
}

// TestSafetyOnlineNeverBreaksARule places and releases items and keeps its own account of the hosts.
func TestSafetyOnlineNeverBreaksARule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, from, to int) int64 { return int64(rapid.IntRange(from, to).Draw(t, name)) }
		var hosts []Host
		n := int(draw("hosts", 1, 8))
		for range n {
			h := Host{Free: []int64{draw("cpu", -1, 20), draw("memory", -1, 20), draw("gpus", 0, 2)}, Used: draw("used", 0, 1) == 0}
			if draw("has", 0, 3) == 0 {
				h.Has = []Key{Key(draw("key", 0, 2))}
			}
			hosts = append(hosts, h)
		}
		var kinds []*Kind
		for range draw("kinds", 1, 5) {
			k := &Kind{Demand: []int64{draw("wanted cpu", 0, 5), draw("wanted memory", 0, 5)}}
			switch draw("sort", 0, 5) {
			case 0:
				k.Demand = append(k.Demand, draw("wanted gpus", 0, 1))
			case 1:
				k.Has, k.Avoids = []Key{Key(draw("key", 0, 2))}, []Key{Key(draw("key", 0, 2))}
			case 2:
				k.Needs = []Key{Key(draw("key", 0, 2))}
			case 3:
				k.PerHost, k.Present = int(draw("per host", 1, 2)), make([]int32, n)
			case 4:
				k.Allowed = NewSet(n)
				for h := range n {
					if draw("allowed", 0, 1) == 0 {
						k.Allowed.Add(h)
					}
				}
			}
			kinds = append(kinds, k)
		}
		granule := [2]int64{draw("cpu granule", 1, 3), draw("memory granule", 1, 3)}
		o, again := NewOnline(hosts, granule), NewOnline(hosts, granule)
		free := make([][]int64, n)
		on := make([][]*Kind, n)
		for h := range hosts {
			free[h] = append(free[h], hosts[h].Free...)
		}
		has := func(h int, key Key, list func(*Kind) []Key, there []Key) bool {
			for _, k := range on[h] {
				there = append(there[:len(there):len(there)], list(k)...)
			}
			for _, other := range there {
				if other == key {
					return true
				}
			}
			return false
		}
		refuses := func(h int, k *Kind) string {
			for j, d := range k.Demand {
				if d > 0 && d > free[h][j] {
					return "no room"
				}
			}
			same := 0
			for _, other := range on[h] {
				if other == k {
					same++
				}
			}
			if k.PerHost > 0 && same >= k.PerHost {
				return "too many"
			}
			for _, key := range k.Avoids {
				if has(h, key, func(k *Kind) []Key { return k.Has }, hosts[h].Has) {
					return "it avoids something there"
				}
			}
			for _, key := range k.Has {
				if has(h, key, func(k *Kind) []Key { return k.Avoids }, nil) {
					return "something there avoids it"
				}
			}
			for _, key := range k.Needs {
				if !has(h, key, func(k *Kind) []Key { return k.Has }, hosts[h].Has) {
					return "what it needs is not there"
				}
			}
			if !k.Allowed.Has(h) {
				return "not allowed"
			}
			return ""
		}
		for range draw("steps", 1, 40) {
			k := kinds[draw("kind", 0, len(kinds)-1)]
			if h := int(draw("host", 0, 3*n)); h < n && len(on[h]) > 0 {
				gone := on[h][0]
				on[h] = on[h][1:]
				o.Release(h, gone)
				again.Release(h, gone)
				for j, d := range gone.Demand {
					free[h][j] += d
				}
				if gone.Present != nil {
					gone.Present[h]--
				}
				continue
			}
			h, ok := o.Place(k)
			if h2, ok2 := again.Place(k); h != h2 || ok != ok2 {
				t.Fatalf("another run places on %d (%v), this one on %d (%v)", h2, ok2, h, ok)
			}
			if !ok {
				for h := range hosts {
					if refuses(h, k) == "" {
						t.Fatalf("%+v is refused, host %d has room", k, h)
					}
				}
				continue
			}
			if why := refuses(h, k); why != "" {
				t.Fatalf("%+v is on host %d: %s", k, h, why)
			}
			on[h] = append(on[h], k)
			for j, d := range k.Demand {
				free[h][j] -= d
			}
			if k.Present != nil {
				k.Present[h]++
			}
		}
	})
}

func TestOnlineFillsAHostBeforeItOpensAnother(t *testing.T) {
	var hosts []Host
	for range 4 {
		hosts = append(hosts, Host{Free: []int64{8000, 16384}})
	}
	hosts[2].Used = true
	o := NewOnline(hosts, [2]int64{50, 64})
	var got string
	for range 6 {
		h, ok := o.Place(&Kind{Demand: []int64{500, 4096}})
		got += fmt.Sprintf("%d %v, ", h, ok)
	}
	if want := "2 true, 2 true, 2 true, 2 true, 0 true, 0 true, "; got != want {
		t.Errorf("hosts are %s, want %s", got, want)
	}
}
