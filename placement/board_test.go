package placement

import (
	"fmt"
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
	p := b.Picker(b.NewRequest(s, Task{s.Name, 1}))
	var out []string
	for i := range n {
		name := "-"
		if h, ok := p.Next(Task{s.Name, i + 1}); ok {
			name = b.hosts[h].Name
		}
		out = append(out, name)
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
			if _, ok := b.Picker(r).Peek(); ok != (c.want == "") {
				t.Errorf("the picker takes it: %v", ok)
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
	want := []Reason{{"a", "1 of 1 CPUs free, 1.4 wanted"}}
	if diff := cmp.Diff(want, b.Reasons(r)); diff != "" {
		t.Error(diff)
	}
	if h, ok := b.Picker(r).Next(Task{"web", 1}); !ok || h != 1 || b.Used(1).CPU != 1400 {
		t.Errorf("got host %d, %v, used %v", h, ok, b.Used(1))
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

// TestSafetyAPickerChoosesWhatALookAtAllHostsWould compares the heap with the plain rule.
func TestSafetyAPickerChoosesWhatALookAtAllHostsWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var hosts []Host
		for i := range rapid.IntRange(1, 12).Draw(t, "hosts") {
			hosts = append(hosts, ready(fmt.Sprint(i), rapid.Int64Range(1, 6).Draw(t, "cpu")*500,
				"zone", rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "zone")))
		}
		b := NewBoard(hosts)
		for i := range rapid.IntRange(0, 8).Draw(t, "held") {
			b.Hold(rapid.IntRange(0, len(hosts)-1).Draw(t, "at"), Task{"other", i + 1}, Reservation{CPU: 250}, nil)
		}
		s := &Service{Name: "web", Reservation: Reservation{CPU: rapid.Int64Range(0, 3).Draw(t, "reserve") * 250},
			Strategy: rapid.SampledFrom([]Strategy{Spread, Binpack}).Draw(t, "strategy"), MaxPerHost: rapid.IntRange(0, 2).Draw(t, "max")}
		r := b.NewRequest(s, Task{"web", 1})
		p := b.Picker(r)
		for i := range 30 {
			best := -1
			for h := range hosts {
				if b.Fits(r, h) && (best < 0 || p.less(int32(h), int32(best))) {
					best = h
				}
			}
			got, ok := p.Next(Task{"web", i + 1})
			if ok != (best >= 0) || ok && got != best {
				t.Fatalf("task %d: got %d, %v, want %d", i+1, got, ok, best)
			}
			for h := range hosts {
				if s.Reservation.CPU > 0 && b.services[b.Service("web")][h] > 0 && b.Used(h).CPU > hosts[h].Capacity.CPU {
					t.Fatalf("host %d holds %v of %v", h, b.Used(h), hosts[h].Capacity)
				}
			}
		}
	})
}

// BenchmarkDecide1kHosts100kTasks places 100 services of 1,000 tasks with reservations on 1,000 hosts.
func BenchmarkDecide1kHosts100kTasks(bench *testing.B) {
	hosts := make([]Host, 1000)
	for i := range hosts {
		hosts[i] = ready(fmt.Sprintf("host%d", i), 32_000, "zone", string(rune('a'+i%3)))
		hosts[i].Capacity.Memory = 256 << 30
	}
	services := make([]*Service, 100)
	for i := range services {
		services[i] = &Service{Name: fmt.Sprintf("s%d", i), Reservation: Reservation{CPU: 100 + int64(i), Memory: 1 << 28}}
		if i%2 == 1 {
			services[i].Preferences = []Preference{{Spread: "node.labels.zone"}}
		}
		if i%5 == 4 {
			services[i].Strategy = Binpack
		}
	}
	bench.ReportAllocs()
	for bench.Loop() {
		b := NewBoard(hosts)
		for _, s := range services {
			p := b.Picker(b.NewRequest(s, Task{s.Name, 1}))
			for n := range 1000 {
				if _, ok := p.Next(Task{s.Name, n + 1}); !ok {
					bench.Fatal("a task has no host")
				}
			}
		}
	}
}
