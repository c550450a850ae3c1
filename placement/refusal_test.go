package placement

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestARefusalSaysWhatWouldHelp(t *testing.T) {
	rule := func(text string) Constraint {
		c, err := ParseConstraint(text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	worker := []Constraint{rule("node.labels.type == worker")}
	paused, drained, down, arm := ready("p", 4000), ready("d", 4000), ready("u", 4000), ready("arm", 4000)
	paused.Availability, drained.Availability, down.State, arm.Arch = Pause, Drain, Unreachable, "arm64"
	web := Port{Published: 80, Target: 80, Protocol: "tcp"}
	for name, c := range map[string]struct {
		hosts   []Host
		held    map[int]Service
		service Service
		counts  []Count
		nearest []string
	}{
		"room": {
			hosts: []Host{ready("a", 4000), ready("b", 4000), ready("small", 1000)}, held: map[int]Service{0: {Reservation: Reservation{CPU: 3000}}, 1: {Reservation: Reservation{CPU: 2300}}},
			service: Service{Reservation: Reservation{CPU: 2000}},
			counts:  []Count{{"too little CPU", 3}}, nearest: []string{"0.3 CPU short on b"},
		},
		"both": {
			hosts: []Host{ready("a", 1000)}, service: Service{Reservation: Reservation{CPU: 1500, Memory: 9 << 30}},
			counts: []Count{{"too little CPU and memory", 1}}, nearest: []string{"0.5 CPU and 1 GiB memory short on a"},
		},
		"label": {
			hosts: []Host{ready("a", 4000, "type", "db"), ready("b", 4000), ready("c", 1000, "type", "worker")}, service: Service{Constraints: worker, Reservation: Reservation{CPU: 2000}},
			counts: []Count{{"node.labels.type == worker does not hold", 2}, {"too little CPU", 1}}, nearest: []string{"1 CPU short on c", "2 hosts lack label type=worker (a, b)"},
		},
		"two constraints": {
			hosts: []Host{ready("a", 4000)}, service: Service{Constraints: append(worker, rule("node.labels.zone == x"))},
			counts: []Count{{"node.labels.type == worker does not hold", 1}},
		},
		"another constraint": {
			hosts: []Host{ready("a", 4000)}, service: Service{Constraints: []Constraint{rule("node.name in (b, c)")}},
			counts: []Count{{"node.name in (b, c) does not hold", 1}}, nearest: []string{"a does not meet node.name in (b, c)"},
		},
		"states": {
			hosts: []Host{paused, drained, down}, service: Service{},
			counts: []Count{{"drained", 1}, {"paused", 1}, {"unreachable", 1}}, nearest: []string{"p is paused", "d is drained", "u is unreachable"},
		},
		"port": {
			hosts: []Host{ready("a", 4000), ready("b", 4000)}, held: map[int]Service{0: {Name: "x", Ports: []Port{web}}, 1: {Name: "x", Ports: []Port{web}}}, service: Service{Ports: []Port{web}},
			counts: []Count{{"port 80/tcp is taken", 2}}, nearest: []string{"2 hosts have port 80/tcp taken by x (a, b)"},
		},
		"max": {
			hosts: []Host{ready("a", 4000)}, held: map[int]Service{0: {Name: "web"}}, service: Service{MaxPerHost: 1},
			counts: []Count{{"max_replicas_per_node of web reached", 1}}, nearest: []string{"a has all tasks of web that max_replicas_per_node allows (1)"},
		},
		"platform": {
			hosts: []Host{arm}, service: Service{Platform: "linux/amd64"},
			counts: []Count{{"not linux/amd64", 1}}, nearest: []string{"arm is not linux/amd64"},
		},
		"beside": {
			hosts: []Host{ready("a", 4000)}, held: map[int]Service{0: {Name: "db"}}, service: Service{Constraints: []Constraint{rule("service != db")}},
			counts: []Count{{"service db is here, constraint wants no service db", 1}}, nearest: []string{"a does not suit: service db is here, constraint wants no service db"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBoard(c.hosts)
			for h, s := range c.held {
				b.Hold(h, Task{s.Name, 1}, s.Reservation, s.Ports)
			}
			c.service.Name = "web"
			got := b.Refusal(b.NewRequest(&c.service, Task{"web", 2}))
			if diff := cmp.Diff(c.counts, got.Counts) + cmp.Diff(c.nearest, got.Nearest); diff != "" {
				t.Error(diff)
			}
			if len(got.Reasons) != len(c.hosts) {
				t.Errorf("%d of %d hosts refuse: %v", len(got.Reasons), len(c.hosts), got.Reasons)
			}
		})
	}
}

// TestScoresAreInTheOrderOfChoice compares what is told of hosts with what is done.
func TestScoresAreInTheOrderOfChoice(t *testing.T) {
	hosts := []Host{ready("a", 4000, "zone", "x"), ready("b", 4000, "zone", "x"), ready("c", 4000, "zone", "y"), ready("d", 500, "zone", "y")}
	b := NewBoard(hosts)
	b.Hold(2, Task{"web", 1}, Reservation{CPU: 1000}, nil)
	b.Hold(0, Task{"other", 1}, Reservation{CPU: 400}, nil)
	s := &Service{Name: "web", Reservation: Reservation{CPU: 1000}, Preferences: []Preference{{Spread: "node.labels.zone"}}}
	r := b.NewRequest(s, Task{"web", 2})
	got := b.Scores(r)
	var order []string
	for _, x := range got {
		order = append(order, x.Host)
	}
	if diff := cmp.Diff([]string{"b", "a", "c", "d"}, order); diff != "" {
		t.Error(diff)
	}
	want := Score{Host: "c", Groups: []Group{{"node.labels.zone", "y", 1, 1}}, Tasks: 1, Load: 250, CPU: 250}
	if diff := cmp.Diff(want, got[2]); diff != "" {
		t.Error(diff)
	}
	if got[3].Refused != "0.5 of 0.5 CPUs free, 1 wanted" {
		t.Errorf("d: %+v", got[3])
	}
	if h, ok := b.Best(r); !ok || hosts[h].Name != got[0].Host {
		t.Errorf("the best is %d, %v", h, ok)
	}
}

func TestAHostWhereTheServiceFailsComesLast(t *testing.T) {
	b := NewBoard([]Host{ready("a", 1000), ready("b", 2000), ready("c", 2000)})
	b.Fails(2, "web")
	b.Fails(0, "other")
	c, err := ParseConstraint("node.name == c ~")
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{Name: "web", Reservation: Reservation{CPU: 1000}, Constraints: []Constraint{c}}
	if got, want := fill(b, s, 6), "a b b c c -"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if last := b.Scores(b.NewRequest(s, Task{"web", 9}))[2]; last.Host != "c" || !last.Fails || last.Agrees != 1 {
		t.Errorf("%+v", last)
	}
}

func TestPackingPutsWhatWantsToBeBesideAnotherAfterIt(t *testing.T) {
	b := NewBoard([]Host{ready("a", 2000), ready("b", 2000)})
	beside, err := ParseConstraint("service == cache")
	if err != nil {
		t.Fatal(err)
	}
	web := &Service{Name: "web", Reservation: Reservation{CPU: 500}, Constraints: []Constraint{beside}}
	cache := &Service{Name: "cache", Reservation: Reservation{CPU: 1500}}
	b.Know(web)
	b.Know(cache)
	got := b.Pack([]Batch{{b.NewRequest(web, Task{"web", 1}), 2}, {b.NewRequest(cache, Task{"cache", 1}), 2}})
	if diff := cmp.Diff([][]int32{{0, 1}, {0, 1}}, got); diff != "" {
		t.Error(diff)
	}
}
