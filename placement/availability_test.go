package placement

import "testing"

func TestAvailabilityIsRead(t *testing.T) {
	for in, want := range map[string]Availability{"": Active, "active": Active, "pause": Pause, "drain": Drain} {
		if got, err := ParseAvailability(in); err != nil || got != want {
			t.Errorf("%q: %v %v", in, got, err)
		}
	}
	if _, err := ParseAvailability("off"); err == nil || err.Error() != "\"off\" is no availability; want active, pause or drain" {
		t.Errorf("got %v", err)
	}
}

func TestHostsTakeTasksAsTheirAvailabilitySays(t *testing.T) {
	for a, want := range map[Availability]struct {
		admits, fits bool
		text         string
	}{
		"":     {true, true, ""},
		Active: {true, true, ""},
		Pause:  {true, false, "paused: it takes no new tasks, until the inventory says availability: active"},
		Drain:  {false, true, "drained: its tasks leave and it takes no new ones, until the inventory says availability: active"},
	} {
		for _, alone := range []bool{false, true} {
			h := ready("a", 1000)
			h.Availability = a
			b := NewBoard([]Host{h})
			if alone {
				b.Alone()
			}
			r := b.NewRequest(&Service{Name: "web"}, Task{"web", 1})
			if b.Admits(r, 0) != want.admits || b.Fits(r, 0) != want.fits || b.Explain(r, 0) != want.text {
				t.Errorf("%q, alone %v: admits %v, fits %v, %q", a, alone, b.Admits(r, 0), b.Fits(r, 0), b.Explain(r, 0))
			}
		}
	}
}

func TestRulesRefuseNothingOnOneHostAlone(t *testing.T) {
	rules, err := ParseConstraints("service not in (web, db) && service == cache && node.name == x && image == y && volume == z")
	if err != nil {
		t.Fatal(err)
	}
	web := &Service{Name: "web", Constraints: rules}
	o := &Observation{Hosts: []Host{ready("a", 1000)}}
	b := NewBoard(o.Hosts)
	b.Alone()
	b.Know(web)
	b.Hold(0, Task{"db", 1}, Reservation{}, nil)
	r := b.NewRequest(web, Task{"web", 1}, NewNeeds(&Project{Services: []*Service{web}}, o).Of(web)...)
	if hosts := b.Fill(r, 3, nil); len(hosts) != 3 {
		t.Errorf("%d of 3 tasks have a place: %s", len(hosts), b.Explain(r, 0))
	}
}

// Few hosts among many are looked through in another way than all of them.
func TestFewHostsThatAreAdmittedTakeTasksAsTheirAvailabilitySays(t *testing.T) {
	rules, err := ParseConstraints("node.labels.type == db")
	if err != nil {
		t.Fatal(err)
	}
	hosts := make([]Host, 64)
	for i := range hosts {
		hosts[i] = ready(string(rune('0'+i)), 1000)
	}
	for i, a := range []Availability{Pause, Drain, Active} {
		hosts[10+i].Labels, hosts[10+i].Availability = map[string]string{"type": "db"}, a
	}
	b := NewBoard(hosts)
	r := b.NewRequest(&Service{Name: "db", Constraints: rules}, Task{"db", 1})
	if h, ok := b.Best(r); !ok || h != 12 {
		t.Errorf("the best host is %d", h)
	}
	for _, h := range b.Fill(r, 3, nil) {
		if h != 12 {
			t.Errorf("a task is on host %d, which is %s", h, hosts[h].Availability)
		}
	}
}

func TestALostHostTakesNothing(t *testing.T) {
	rules, err := ParseConstraints("node.labels.type == web")
	if err != nil {
		t.Fatal(err)
	}
	b := NewBoard([]Host{ready("a", 1000, "type", "web"), ready("b", 1000, "type", "web")})
	for _, s := range []*Service{{Name: "any"}, {Name: "web", Constraints: rules}} {
		r := b.NewRequest(s, Task{s.Name, 1})
		if h, ok := b.Best(r); !ok || h != 0 && !b.lost.has(0) || b.Admitted(r) == 0 {
			t.Fatalf("%s: the best host is %d", s.Name, h)
		}
		b.Lose(0)
		h, ok := b.Best(r)
		if !ok || h != 1 || b.Admitted(r) != 1 || b.Admits(r, 0) || b.Explain(r, 0) != "unreachable" {
			t.Errorf("%s: the best host is %d, %d are admitted, the lost one %v, %q", s.Name, h, b.Admitted(r), b.Admits(r, 0), b.Explain(r, 0))
		}
	}
	if hosts := b.Fill(b.NewRequest(&Service{Name: "new"}, Task{"new", 1}), 3, nil); len(hosts) != 3 || hosts[0] != 1 || hosts[1] != 1 || hosts[2] != 1 {
		t.Errorf("got %v", hosts)
	}
}
