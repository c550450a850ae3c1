package placement

import "testing"

func TestGPUsAndGenericResourcesAreCounted(t *testing.T) {
	with := func(name string, r, held Resources) Host {
		h := ready(name, 4000)
		h.Resources, h.Held = r, held
		return h
	}
	needs := func(r Resources) *Service { return &Service{Name: "train", Resources: r} }
	for _, c := range []struct {
		name  string
		hosts []Host
		s     *Service
		want  string
	}{
		{"one host has them", []Host{with("a", nil, nil), with("b", Resources{"gpu": 2}, nil)}, needs(Resources{"gpu": 1}), "b b -"},
		{"another project holds one", []Host{with("a", Resources{"gpu": 1}, Resources{"gpu": 1}), with("b", Resources{"gpu": 2}, nil)}, needs(Resources{"gpu": 2}), "b - -"},
		{"all of them", []Host{with("a", Resources{"gpu": 4}, Resources{"gpu": 1}), with("b", Resources{"gpu": 2}, nil)}, needs(Resources{"gpu": Uncounted}), "b - -"},
		{"nobody counted", []Host{with("a", Resources{"gpu": Uncounted}, nil)}, needs(Resources{"gpu": 3}), "a a a"},
		{"two kinds", []Host{with("a", Resources{"gpu": 1}, nil), with("b", Resources{"gpu": 1, "ssd": 3}, nil)}, needs(Resources{"gpu": 1, "ssd": 2}), "b - -"},
		{"none needed", []Host{with("a", nil, nil)}, needs(nil), "a a a"},
	} {
		if got := fill(NewBoard(c.hosts), c.s, 3); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	b := NewBoard([]Host{with("a", nil, nil), with("b", Resources{"gpu": 2}, Resources{"gpu": 1})})
	for host, want := range []string{
		"has no gpu, 2 wanted; say in the inventory what it has, as resources: {gpu: 1}", "1 of 2 gpu free, 2 wanted",
	} {
		if got := b.Explain(b.NewRequest(needs(Resources{"gpu": 2}), Task{"train", 1}), host); got != want {
			t.Errorf("host %d: %q, want %q", host, got, want)
		}
	}
	b.Alone()
	if got := b.Explain(b.NewRequest(needs(Resources{"gpu": 9}), Task{"train", 1}), 0); got != "" {
		t.Errorf("one host refuses: %s", got)
	}
}

func TestADeviceIsWhereTheInventorySaysItIs(t *testing.T) {
	a, b := ready("a", 4000), ready("b", 4000)
	b.Devices = []string{"/dev/ttyUSB0"}
	board := NewBoard([]Host{a, b})
	if got := fill(board, &Service{Name: "meter", Devices: []string{"/dev/ttyUSB0", "/dev/null"}}, 2); got != "b b" {
		t.Errorf("got %s", got)
	}
	if got := fill(board, &Service{Name: "any", Devices: []string{"/dev/fuse"}}, 2); got != "a b" {
		t.Errorf("a device that nobody is said to have: %s", got)
	}
	r := board.NewRequest(&Service{Name: "meter", Devices: []string{"/dev/ttyUSB0"}}, Task{"meter", 1})
	if got, want := board.Explain(r, 0), "has no device /dev/ttyUSB0 in the inventory"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestResourcesAreReadAsTheyAreWritten(t *testing.T) {
	for _, text := range []string{"", "gpu=1", "gpu=-1,ssd=3"} {
		if got := ParseResources(text).String(); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}
