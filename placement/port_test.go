package placement

import "testing"

func TestPortsThatCannotBothBeBound(t *testing.T) {
	for _, c := range []struct {
		a, b string
		both bool // can be bound
	}{
		{"", "", false},
		{"", "127.0.0.1", false},
		{"", "::1", false},
		{"0.0.0.0", "", false},
		{"0.0.0.0", "10.0.0.1", false},
		{"0.0.0.0", "::", true}, // as docker lists what is published on all addresses
		{"0.0.0.0", "::1", true},
		{"::", "127.0.0.1", true},
		{"::", "::1", false},
		{"::1", "0:0:0:0:0:0:0:1", false},
		{"::ffff:10.0.0.1", "10.0.0.1", false},
		{"10.0.0.1", "10.0.0.2", true},
		{"fe80::1", "fe80::2", true},
	} {
		p, q := Port{HostIP: c.a, Published: 80, Protocol: "tcp"}, Port{HostIP: c.b, Published: 80, Protocol: "tcp"}
		if p.Conflicts(q) == c.both || q.Conflicts(p) == c.both {
			t.Errorf("%s and %s: conflict %t and %t", p, q, p.Conflicts(q), q.Conflicts(p))
		}
		q.Protocol = "udp"
		if p.Conflicts(q) {
			t.Errorf("%s conflicts with %s", p, q)
		}
		q.Protocol, q.Published = "tcp", 81
		if p.Conflicts(q) {
			t.Errorf("%s conflicts with %s", p, q)
		}
		p.Published, q.Published = 0, 0
		if p.Conflicts(q) {
			t.Errorf("a port that the engine chooses conflicts: %s with %s", p, q)
		}
	}
}

func TestPortsOfBothFamiliesOfOneService(t *testing.T) {
	s := &Service{Name: "web", Ports: []Port{
		{HostIP: "0.0.0.0", Published: 80, Target: 80, Protocol: "tcp"},
		{HostIP: "::", Published: 80, Target: 80, Protocol: "tcp"},
	}}
	b := NewBoard([]Host{{Name: "web1", State: Ready}})
	if why := b.Explain(b.NewRequest(s, Task{Service: "web", Number: 1}), 0); why != "" {
		t.Error(why)
	}
}

func TestPortsText(t *testing.T) {
	for want, p := range map[string]Port{
		"80/tcp":           {Published: 80, Protocol: "tcp"},
		"127.0.0.1:80/udp": {HostIP: "127.0.0.1", Published: 80, Protocol: "udp"},
		"[::1]:80/tcp":     {HostIP: "::1", Published: 80, Protocol: "tcp"},
	} {
		if p.String() != want {
			t.Errorf("%s, want %s", p, want)
		}
	}
}
