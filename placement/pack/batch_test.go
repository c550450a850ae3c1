package pack_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"berth/placement/pack"
	"berth/placement/pack/quality"
)

// check fails when a result breaks a rule of the problem, or counts wrongly.
func check(t rapid.TB, p *pack.Problem, r pack.Result) {
	t.Helper()
	all := bins(p)
	unplaced := 0
	opened := map[int32]bool{}
	if len(r.Hosts) != len(p.Kinds) {
		t.Fatalf("%d kinds in the result, %d in the problem", len(r.Hosts), len(p.Kinds))
	}
	for kind, hosts := range r.Hosts { // needs are met by kinds before
		if len(hosts) != p.Kinds[kind].Count {
			t.Fatalf("%d items of kind %d, want %d", len(hosts), kind, p.Kinds[kind].Count)
		}
		for _, h := range hosts {
			if h < 0 {
				unplaced++
				continue
			}
			if why := all[h].refuses(p, int(h), kind); why != "" {
				t.Fatalf("an item of kind %d is on host %d: %s", kind, h, why)
			}
			all[h].put(p, kind)
			if !p.Hosts[h].Used {
				opened[h] = true
			}
		}
	}
	if unplaced != r.Unplaced || len(opened) != r.Opened {
		t.Fatalf("%d unplaced, %d opened; the result says %d and %d", unplaced, len(opened), r.Unplaced, r.Opened)
	}
	if bound := pack.LowerBound(p); unplaced == 0 && r.Opened < bound {
		t.Fatalf("%d hosts opened, the lower bound is %d", r.Opened, bound)
	}
}

func TestSafetyNoPackingBreaksARule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t, size{hosts: 12, kinds: 8, count: 8}, true)
		check(t, p, pack.Batch(p, rapid.IntRange(1, 20_000).Draw(t, "budget")))
	})
}

// bruteForce tries every host for every item, and leaving it out, and returns the fewest unplaced items and, of those,
// the fewest opened hosts.
func bruteForce(p *pack.Problem) (unplaced, opened int) {
	var items []int
	for kind, k := range p.Kinds {
		for range k.Count {
			items = append(items, kind)
		}
	}
	all := bins(p)
	on := make([]int, len(p.Hosts))
	unplaced, opened = len(items), 0
	var place func(i, out, open int)
	place = func(i, out, open int) {
		if i == len(items) {
			if out < unplaced || out == unplaced && open < opened {
				unplaced, opened = out, open
			}
			return
		}
		for h := range all {
			if all[h].refuses(p, h, items[i]) != "" {
				continue
			}
			more := open
			if on[h] == 0 && !p.Hosts[h].Used {
				more++
			}
			all[h].put(p, items[i])
			on[h]++
			place(i+1, out, more)
			on[h]--
			all[h].take(p, items[i])
		}
		place(i+1, out+1, open)
	}
	place(0, 0, 0)
	return unplaced, opened
}

func TestLivenessBatchFindsWhatBruteForceFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t, size{hosts: 4, kinds: 4, count: 2}, true)
		r := pack.Batch(p, 0)
		check(t, p, r)
		unplaced, opened := bruteForce(p)
		if r.Unplaced != unplaced || r.Opened != opened || !r.Proven {
			t.Fatalf("%d unplaced and %d hosts opened (proven: %v), brute force has %d and %d", r.Unplaced, r.Opened, r.Proven, unplaced, opened)
		}
	})
}

// TestLivenessLookingAtAllFindsWhatBruteForceFinds leaves out what comes before the branch and bound, which seldom
// leaves it anything to do.
func TestLivenessLookingAtAllFindsWhatBruteForceFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for range 10 { // few problems are tight
			p := drawProblem(t, size{hosts: 4, kinds: 4, count: 2}, true)
			unplaced, opened := pack.Exact(p)
			if u, o := bruteForce(p); unplaced != u || opened != o {
				t.Fatalf("%d unplaced and %d hosts opened, brute force has %d and %d", unplaced, opened, u, o)
			}
		}
	})
}

func TestBatchIsTheSameOnEveryRunAndForEveryOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t, size{hosts: 20, kinds: 12, count: 8}, false)
		r := pack.Batch(p, 1_000)
		if diff := cmp.Diff(r, pack.Batch(p, 1_000)); diff != "" {
			t.Fatalf("another run differs:\n%s", diff)
		}
		q := &pack.Problem{}
		order := rapid.Permutation(numbers(len(p.Hosts))).Draw(t, "order of hosts")
		for _, h := range order {
			q.Hosts = append(q.Hosts, p.Hosts[h])
		}
		for _, i := range rapid.Permutation(numbers(len(p.Kinds))).Draw(t, "order of kinds") {
			k := p.Kinds[i]
			if k.Present != nil {
				k.Present = nil
				for _, h := range order {
					k.Present = append(k.Present, p.Kinds[i].Present[h])
				}
			}
			q.Kinds = append(q.Kinds, k)
		}
		if s := pack.Batch(q, 1_000); s.Unplaced != r.Unplaced || s.Opened != r.Opened {
			t.Fatalf("in another order %d are unplaced and %d hosts opened, before %d and %d", s.Unplaced, s.Opened, r.Unplaced, r.Opened)
		}
	})
}

func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// TestBatchDoesNotSeeWhatMakesNoDifference gives each service a key that nobody asks for and all hosts to choose from:
// they are packed as if they had neither.
func TestBatchDoesNotSeeWhatMakesNoDifference(t *testing.T) {
	p := quality.Mixes(200)[0].Problem(0)
	want := pack.Batch(p, 0)
	for i := range p.Kinds {
		p.Kinds[i].Has = []pack.Key{pack.Key(i)}
		p.Kinds[i].Avoids = []pack.Key{pack.Key(1000 + i)}
		p.Kinds[i].Allowed = pack.NewSet(len(p.Hosts))
		for h := range p.Hosts {
			p.Kinds[i].Allowed.Add(h)
			p.Hosts[h].Has = []pack.Key{pack.Key(2000 + h)}
		}
	}
	if diff := cmp.Diff(want, pack.Batch(p, 0)); diff != "" {
		t.Errorf("the packing differs:\n%s", diff)
	}
}

func TestBatchPacksComposeMixesToTheLowerBound(t *testing.T) {
	for _, m := range quality.Mixes(1000)[:4] {
		t.Run(m.Name, func(t *testing.T) {
			p := m.Problem(0)
			r := pack.Batch(p, 0)
			check(t, p, r)
			if bound := pack.LowerBound(p); r.Unplaced > 0 || r.Opened > bound+1 {
				t.Errorf("%d hosts and %d tasks unplaced, the lower bound is %d hosts", r.Opened, r.Unplaced, bound)
			}
		})
	}
}

// TestBatchPlacesATightProject packs what first fit and best fit refuse: the sum of all demands is all there is.
func TestBatchPlacesATightProject(t *testing.T) {
	p := &pack.Problem{Kinds: []pack.Kind{
		{Demand: []int64{4, 1}, Count: 4}, {Demand: []int64{1, 4}, Count: 4}, {Demand: []int64{3, 3}, Count: 4},
	}}
	for range 4 {
		p.Hosts = append(p.Hosts, pack.Host{Free: []int64{8, 8}})
	}
	r := pack.Batch(p, 0)
	check(t, p, r)
	if r.Unplaced != 0 || !r.Proven {
		t.Errorf("%d unplaced, proven: %v", r.Unplaced, r.Proven)
	}
}

// TestBatchLeavesOutTheLargeWhereThereIsNotRoomForAll: of 200 small and 20 large items, hosts hold the small ones and
// little more.
func TestBatchLeavesOutTheLargeWhereThereIsNotRoomForAll(t *testing.T) {
	p := &pack.Problem{Kinds: []pack.Kind{{Demand: []int64{6, 6}, Count: 20}, {Demand: []int64{1, 1}, Count: 200}}}
	for range 25 {
		p.Hosts = append(p.Hosts, pack.Host{Free: []int64{8, 9}})
	}
	r := pack.Batch(p, 0)
	check(t, p, r)
	if r.Unplaced != 20 {
		t.Errorf("%d are unplaced, want the 20 large ones", r.Unplaced)
	}
}

func TestBatchFillsHostsInUseFirst(t *testing.T) {
	p := &pack.Problem{
		Hosts: []pack.Host{{Free: []int64{9}}, {Free: []int64{2}, Used: true}, {Free: []int64{9}}, {Free: []int64{3}, Used: true}},
		Kinds: []pack.Kind{{Demand: []int64{1}, Count: 6}},
	}
	want := [][]int32{{0, 1, 1, 3, 3, 3}}
	if r := pack.Batch(p, 0); !slices.EqualFunc(r.Hosts, want, slices.Equal) {
		t.Errorf("hosts are %v, want %v", r.Hosts, want)
	}
}

func TestLowerBound(t *testing.T) {
	empty := func(n int, free ...int64) (all []pack.Host) {
		for range n {
			all = append(all, pack.Host{Free: free})
		}
		return all
	}
	for _, c := range []struct {
		name  string
		hosts []pack.Host
		kinds []pack.Kind
		want  int
	}{
		{"nothing", empty(3, 8), nil, 0},
		{"total over size, rounded up", empty(9, 8, 8), []pack.Kind{{Demand: []int64{3, 1}, Count: 6}}, 3},
		{"the other resource", empty(9, 8, 8), []pack.Kind{{Demand: []int64{1, 3}, Count: 6}}, 3},
		{"items larger than half", empty(9, 8), []pack.Kind{{Demand: []int64{5}, Count: 6}}, 6},
		{"what fits beside them", empty(9, 8), []pack.Kind{{Demand: []int64{5}, Count: 2}, {Demand: []int64{4}, Count: 4}}, 4},
		{"hosts of several sizes", append(empty(2, 8), empty(9, 2)...), []pack.Kind{{Demand: []int64{1}, Count: 19}}, 4},
		{"hosts in use", append(empty(9, 8), pack.Host{Free: []int64{4}, Used: true}), []pack.Kind{{Demand: []int64{4}, Count: 4}}, 2},
		{"tasks per host", empty(9, 8), []pack.Kind{{Demand: []int64{1}, Count: 5, PerHost: 2}}, 3},
		{"a fixed port", empty(9, 8), []pack.Kind{{Demand: []int64{1}, Count: 5, Has: []pack.Key{0}, Avoids: []pack.Key{0}}}, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := pack.LowerBound(&pack.Problem{Hosts: c.hosts, Kinds: c.kinds}); got != c.want {
				t.Errorf("the bound is %d, want %d", got, c.want)
			}
		})
	}
}
