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
