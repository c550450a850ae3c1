package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func ready(name string, cpu int64, labels ...string) Host {
	h := Host{Name: name, State: Ready, OS: "linux", Arch: "amd64", Capacity: Reservation{cpu, 8 << 30}, Labels: map[string]string{}}
	for i := 0; i+1 < len(labels); i += 2 {
		h.Labels[labels[i]] = labels[i+1]
	}
	return h
}

// fill places n tasks of a service and lists the hosts they got, "-" for none.
func fill(b *Board, s *Service, n int) string {
	hosts := b.Fill(b.NewRequest(s, Task{s.Name, 1}), n, nil)
	out := slices.Repeat([]string{"-"}, n)
	for i, h := range hosts {
		out[i] = b.hosts[h].Name
	}
	return strings.Join(out, " ")
}

func TestSpreadTakesTheHostWithFewestTasksOfTheService(t *testing.T) {
	b := NewBoard([]Host{ready("a", 4000), ready("b", 4000), ready("c", 4000)})
	b.Hold(0, Task{"web", 9}, Reservation{}, nil)
	if got, want := fill(b, &Service{Name: "web"}, 5), "b c a b c"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSpreadThenTakesTheMostFreeShareThenTheFewestTasks(t *testing.T) {
	b := NewBoard([]Host{ready("small", 1000), ready("large", 8000), ready("idle", 8000)})
	b.Hold(0, Task{"x", 1}, Reservation{CPU: 500}, nil)
	b.Hold(1, Task{"x", 2}, Reservation{CPU: 1000}, nil)
	b.Hold(2, Task{"x", 3}, Reservation{CPU: 1000}, nil)
	b.Hold(1, Task{"y", 1}, Reservation{}, nil)
	if got, want := fill(b, &Service{Name: "web"}, 3), "idle large small"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheScarcerResourceCounts(t *testing.T) {
	b := NewBoard([]Host{ready("a", 4000), ready("b", 4000)})
	b.Hold(0, Task{"x", 1}, Reservation{CPU: 100, Memory: 6 << 30}, nil)
	b.Hold(1, Task{"x", 2}, Reservation{CPU: 2000, Memory: 0}, nil)
	if got, want := fill(b, &Service{Name: "web"}, 1), "b"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestBinpackFillsTheFullestHostThatStillFits(t *testing.T) {
	b := NewBoard([]Host{ready("a", 4000), ready("b", 4000), ready("c", 4000)})
	b.Hold(1, Task{"x", 1}, Reservation{CPU: 1000}, nil)
	s := &Service{Name: "web", Strategy: Binpack, Reservation: Reservation{CPU: 1500}}
	if got, want := fill(b, s, 6), "b b a a c c"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPreferencesSpreadOverLabelValuesFirst(t *testing.T) {
	hosts := []Host{ready("a1", 4000, "zone", "a", "rack", "1"), ready("a2", 4000, "zone", "a", "rack", "2"),
		ready("a3", 4000, "zone", "a", "rack", "2"), ready("b1", 4000, "zone", "b"), ready("none", 4000)}
	zones := []Preference{{Spread: "node.labels.zone"}}
	if got, want := fill(NewBoard(hosts), &Service{Name: "web", Preferences: zones}, 6), "a1 b1 none a2 b1 none"; got != want {
		t.Errorf("by zone: got %s, want %s", got, want)
	}
	racks := []Preference{{Spread: "node.labels.zone"}, {Spread: "node.labels.rack"}}
	if got, want := fill(NewBoard(hosts[:4]), &Service{Name: "web", Preferences: racks}, 8), "a1 b1 a2 b1 a3 b1 a1 b1"; got != want {
		t.Errorf("by zone and rack: got %s, want %s", got, want)
	}
}

func TestAFullValueDoesNotStopASpread(t *testing.T) {
	hosts := []Host{ready("a", 1000, "zone", "a"), ready("b", 4000, "zone", "b")}
	s := &Service{Name: "web", Preferences: []Preference{{Spread: "node.labels.zone"}}, Reservation: Reservation{CPU: 1000}}
	if got, want := fill(NewBoard(hosts), s, 6), "a b b b b -"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEachRefusalIsASentence(t *testing.T) {
	free := ready("a", 4000, "type", "db")
	web := Port{Published: 80, Target: 80, Protocol: "tcp"}
	none := Need{Hosts: []bool{false}, Text: "volume app_data has its data on b"}
	for name, c := range map[string]struct {
		host    Host
		service Service
		held    []Service
		need    []Need
		want    string
	}{
		"unreachable":     {host: Host{State: Unreachable, Problem: "no route to host"}, want: "unreachable: no route to host"},
		"constraint":      {host: free, service: Service{Constraints: []Constraint{{Key: "node.labels.type", Op: Equal, Value: "worker"}}}, want: `label type is "db", constraint wants worker`},
		"platform":        {host: free, service: Service{Platform: "linux/arm64/v8"}, want: "platform is linux/amd64, linux/arm64/v8 wanted"},
		"same platform":   {host: free, service: Service{Platform: "linux/x86_64"}},
		"arch alone":      {host: free, service: Service{Platform: "arm64"}, want: "platform is linux/amd64, arm64 wanted"},
		"need":            {host: free, need: []Need{none}, want: "volume app_data has its data on b"},
		"cpu":             {host: free, service: Service{Reservation: Reservation{CPU: 1000}}, held: []Service{{Name: "x", Reservation: Reservation{CPU: 3500}}}, want: "0.5 of 4 CPUs free, 1 wanted"},
		"overdrawn":       {host: free, service: Service{Reservation: Reservation{CPU: 1}}, held: []Service{{Name: "x", Reservation: Reservation{CPU: 5000}}}, want: "0 of 4 CPUs free, 0.001 wanted"},
		"nothing wanted":  {host: free, held: []Service{{Name: "x", Reservation: Reservation{CPU: 5000}}}},
		"memory":          {host: free, service: Service{Reservation: Reservation{Memory: 3 << 30}}, held: []Service{{Name: "x", Reservation: Reservation{Memory: 11 << 29}}}, want: "2.5 GiB of 8 GiB memory free, 3 GiB wanted"},
		"port":            {host: free, service: Service{Ports: []Port{web}}, held: []Service{{Name: "x", Ports: []Port{web}}}, want: "port 80/tcp is taken by x.1"},
		"other project":   {host: Host{State: Ready, Ports: []Port{web}}, service: Service{Ports: []Port{web}}, want: "port 80/tcp is taken by another project"},
		"other address":   {host: Host{State: Ready, Ports: []Port{{HostIP: "10.0.0.1", Published: 80, Protocol: "tcp"}}}, service: Service{Ports: []Port{{HostIP: "127.0.0.1", Published: 80, Protocol: "tcp"}}}},
		"other protocol":  {host: Host{State: Ready, Ports: []Port{web}}, service: Service{Ports: []Port{{Published: 80, Protocol: "udp"}}}},
		"engine's choice": {host: Host{State: Ready, Ports: []Port{web}}, service: Service{Ports: []Port{{Target: 80, Protocol: "tcp"}}}},
		"max per host":    {host: free, service: Service{Name: "web", MaxPerHost: 1}, held: []Service{{Name: "web"}}, want: "1 of at most 1 tasks of web are here, 1 more wanted"},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBoard([]Host{c.host})
			for _, s := range c.held {
				b.Hold(0, Task{s.Name, 1}, s.Reservation, s.Ports)
			}
			r := b.NewRequest(&c.service, Task{"web", 2}, c.need...)
			if got := b.Explain(r, 0); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if _, ok := b.Best(r); ok != (c.want == "") {
				t.Errorf("a host is found: %v", ok)
			}
		})
	}
}

func TestTasksThatMustBeTogetherAreAskedForAtOnce(t *testing.T) {
	b := NewBoard([]Host{ready("a", 1000), ready("b", 2000)})
	web := &Service{Name: "web", Reservation: Reservation{CPU: 700}}
	sidecar := &Service{Name: "sidecar", Reservation: Reservation{CPU: 700}}
	r := b.NewRequest(web, Task{"web", 1})
	b.Add(r, sidecar, Task{"sidecar", 1})
	want := []Reason{{"a", "1 of 1 CPUs free, 1.4 wanted", "too little CPU"}}
	if diff := cmp.Diff(want, b.Reasons(r)); diff != "" {
		t.Error(diff)
	}
	if h := b.Fill(r, 1, nil); !slices.Equal(h, []int32{1}) || b.Used(1).CPU != 1400 {
		t.Errorf("got hosts %v, used %v", h, b.Used(1))
	}
}

func TestOneRequestCannotHoldAPortTwice(t *testing.T) {
	b := NewBoard([]Host{ready("a", 1000)})
	s := &Service{Name: "web", Ports: []Port{{Published: 80, Protocol: "tcp"}}}
	r := b.NewRequest(s, Task{"web", 1})
	b.Add(r, s, Task{"web", 2})
	if got, want := b.Explain(r, 0), "port 80/tcp is taken by web.1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFormatting(t *testing.T) {
	for in, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1 << 10: "1 KiB", 512 << 20: "512 MiB", 3 << 29: "1.5 GiB", 5 << 40: "5 TiB"} {
		if got := FormatMemory(in); got != want {
			t.Errorf("%d: got %s, want %s", in, got, want)
		}
	}
	if got := FormatCPU(1250); got != "1.25" {
		t.Error(got)
	}
}

// naive looks at every host for one task, as Fill promises to choose; -1 for none.
func naive(b *Board, r *Request) int {
	count := func(h int) int32 { return b.tasks(r.parts[0].index, h) }
	better := func(x, y int) bool { // by what tells hosts of one group apart
		lx, ly := b.slots[x].load(), b.slots[y].load()
		if r.strategy == Binpack {
			return lx > ly || lx == ly && x < y
		}
		return slices.Compare([]int{int(count(x)), int(lx), x}, []int{int(count(y)), int(ly), y}) < 0
	}
	scores, most := b.scores(r), int32(-1<<31) // the best score of a host with room
	var best func(hosts []int, preferences []Preference) int
	best = func(hosts []int, preferences []Preference) int {
		chosen := -1
		if len(preferences) == 0 || r.strategy == Binpack {
			for _, h := range hosts {
				if b.Fits(r, h) && (scores == nil || scores[h] == most) && (chosen < 0 || better(h, chosen)) {
					chosen = h
				}
			}
			return chosen
		}
		groups, tasks := map[string][]int{}, map[string]int32{}
		for _, h := range hosts {
			v, _ := attribute(&b.hosts[h], preferences[0].Spread)
			groups[v] = append(groups[v], h)
			tasks[v] += count(h)
		}
		of := ""
		for _, v := range slices.Sorted(maps.Keys(groups)) {
			h := best(groups[v], preferences[1:])
			x, y := (int(tasks[v])+1)*preferences[0].Share(of), (int(tasks[of])+1)*preferences[0].Share(v)
			if h >= 0 && (chosen < 0 || x < y || x == y && better(h, chosen)) {
				chosen, of = h, v
			}
		}
		return chosen
	}
	var admitted []int
	for h := range b.hosts {
		if b.Admits(r, h) {
			admitted = append(admitted, h)
			if scores != nil && b.Fits(r, h) {
				most = max(most, scores[h])
			}
		}
	}
	return best(admitted, r.preferences)
}

// drawBoard draws hosts that differ, with something on them.
func drawBoard(t *rapid.T) (hosts []Host, board func() *Board) {
	for i := range rapid.IntRange(1, 40).Draw(t, "hosts") {
		h := ready(fmt.Sprint(i), rapid.Int64Range(1, 6).Draw(t, "cpu")*500,
			"zone", rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "zone"), "rack", rapid.SampledFrom([]string{"1", "2"}).Draw(t, "rack"))
		if rapid.IntRange(0, 9).Draw(t, "down") == 0 {
			h.State = Unreachable
		}
		h.Availability = rapid.SampledFrom([]Availability{"", "", "", Active, Pause, Drain}).Draw(t, "availability")
		hosts = append(hosts, h)
	}
	type held struct{ host, service int }
	var all []held
	for range rapid.IntRange(0, 12).Draw(t, "held") {
		all = append(all, held{rapid.IntRange(0, len(hosts)-1).Draw(t, "at"), rapid.IntRange(0, 3).Draw(t, "of")})
	}
	return hosts, func() *Board {
		b := NewBoard(hosts)
		for i, x := range all {
			name := []string{"web", "app", "db", "other"}[x.service]
			b.Hold(x.host, Task{name, 100 + i}, Reservation{CPU: 250}, nil)
			if i%5 == 4 {
				b.Fails(x.host, name)
			}
		}
		return b
	}
}

func drawRequest(t *rapid.T, name string) *Service {
	s := &Service{Name: name, Reservation: Reservation{CPU: rapid.Int64Range(0, 3).Draw(t, "reserve") * 250},
		Strategy: rapid.SampledFrom([]Strategy{Spread, Spread, Binpack}).Draw(t, "strategy"), MaxPerHost: rapid.IntRange(0, 2).Draw(t, "max")}
	for _, key := range []string{"zone", "rack"}[:rapid.IntRange(0, 2).Draw(t, "levels")] {
		s.Preferences = append(s.Preferences, Preference{Spread: "node.labels." + key})
		if rapid.Bool().Draw(t, "by shares") {
			s.Preferences[len(s.Preferences)-1].Shares = []Share{{"a", 3}, {"1", 2}}
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "rules about services") {
		c, err := ParseConstraint("service " + rapid.SampledFrom([]string{"==", "!=", "!="}).Draw(t, "operator") + " " +
			rapid.SampledFrom([]string{"web", "app", "db", "other", "*"}).Draw(t, "service") +
			rapid.SampledFrom([]string{"", " ~", " ~3"}).Draw(t, "soft"))
		if err != nil {
			t.Fatal(err)
		}
		s.Constraints = append(s.Constraints, c)
	}
	switch rapid.IntRange(0, 3).Draw(t, "constrained") {
	case 0:
		s.Constraints = append(s.Constraints, Constraint{Key: "node.labels.zone", Op: "!=", Value: "a"})
	case 1:
		s.Constraints = append(s.Constraints, Constraint{Key: "node.name", Op: "==", Value: rapid.SampledFrom([]string{"0", "1", "2"}).Draw(t, "only")})
	case 2:
		s.Constraints = append(s.Constraints, Constraint{Key: "node.labels.rack", Op: "==", Value: "1", Soft: true, Weight: 2})
	}
	if rapid.IntRange(0, 4).Draw(t, "port") == 0 {
		s.Ports = []Port{{Published: 80, Protocol: "tcp"}}
	}
	return s
}

// TestSafetyFillChoosesWhatALookAtAllHostsWould compares whole rounds with the plain rule, task by task.
func TestSafetyFillChoosesWhatALookAtAllHostsWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts, board := drawBoard(t)
		b, plain := board(), board()
		for _, name := range []string{"web", "app", "db"} {
			s, n := drawRequest(t, name), rapid.IntRange(0, 60).Draw(t, "tasks")
			r, one := b.NewRequest(s, Task{name, 1}), plain.NewRequest(s, Task{name, 1})
			if got, ok := b.Best(r); ok != (naive(plain, one) >= 0) || ok && got != naive(plain, one) {
				t.Fatalf("%s: the best is %d, %v, want %d", name, got, ok, naive(plain, one))
			}
			got := b.Fill(r, n, nil)
			for i := range n {
				want := naive(plain, one)
				if want < 0 {
					if i != len(got) {
						t.Fatalf("%s: %d tasks are placed, want %d", name, len(got), i)
					}
					break
				}
				if i >= len(got) || int(got[i]) != want {
					t.Fatalf("%s: task %d goes to %v, want %d", name, i+1, got[i:min(i+1, len(got))], want)
				}
				plain.Put(want, one)
			}
			for h := range hosts {
				if b.slots[h].used != plain.slots[h].used || b.slots[h].tasks != plain.slots[h].tasks {
					t.Fatalf("host %d holds %+v, want %+v", h, b.slots[h], plain.slots[h])
				}
				if at := b.queue.at[h]; at >= 0 && at != b.slots[h].load() || (at >= 0) != (hosts[h].State == Ready && hosts[h].Availability != Pause && hosts[h].Availability != Drain) {
					t.Fatalf("host %d waits at %d with load %d", h, at, b.slots[h].load())
				}
				if b.counts[h] != 0 {
					t.Fatalf("host %d still counts %d", h, b.counts[h])
				}
			}
		}
	})
}

// TestSafetyTheQueueIsSorted drives the queue with what a sorted slice does as well.
func TestSafetyTheQueueIsSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const hosts = 12
		q, loads := newQueue(hosts), map[int32]int32{}
		load := rapid.OneOf(rapid.Int32Range(0, 3), rapid.Int32Range(0, maxLoad), rapid.SampledFrom([]int32{63, 64, 4095, 4096, maxLoad}))
		for range rapid.IntRange(1, 60).Draw(t, "moves") {
			h := rapid.Int32Range(0, hosts-1).Draw(t, "host")
			if _, in := loads[h]; in {
				q.remove(h)
				delete(loads, h)
			}
			if rapid.IntRange(0, 4).Draw(t, "stays out") > 0 {
				loads[h] = load.Draw(t, "load")
				q.insert(h, loads[h])
			}
			want := slices.SortedFunc(maps.Keys(loads), func(x, y int32) int {
				return slices.Compare([]int32{loads[x], x}, []int32{loads[y], y})
			})
			var got []int32
			for h := q.lowest(0); h != noHost; h = q.after(h) {
				got = append(got, h)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("got %v, want %v of %v", got, want, loads)
			}
		}
	})
}
