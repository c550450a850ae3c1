package faults_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"berth/fixtures/lab/lab"
	"berth/placement"
	"berth/runtime/cluster"
)

// compose is one service a host, on one network, with a restart policy as services that shall outlive a reboot have.
const compose = `
x-service: &service
  image: berth-lab/web:1
  restart: always
  stop_grace_period: 1s
services:
  a: {<<: *service, environment: {APP: a}, deploy: {placement: {constraints: [node.hostname == host1]}}}
  b: {<<: *service, environment: {APP: b}, deploy: {placement: {constraints: [node.hostname == host2]}}}
  c: {<<: *service, environment: {APP: c}, deploy: {placement: {constraints: [node.hostname == host3]}}}
`

// network is what the compose file's network is called.
const network = "fault_default"

// world is a cluster that serves, and the prober that watches it.
type world struct {
	*user
	*prober
	t       *testing.T // of the fault that is being made
	cluster *cluster.Cluster
	targets []*target
	record  placement.Network
	rows    []row
}

// row is a line of the table in the end.
type row struct {
	fault  string
	repair map[string]repair
}

func newWorld(t *testing.T) *world {
	t.Helper()
	l := lab.Start(t, lab.Hosts(3), lab.Images("busybox", "web"))
	tellAll(t, l)
	w := &world{t: t, user: newUser(t, l, "fault", compose)}
	w.must("up", "-d")
	w.cluster = openStore(t, l)
	view, err := w.cluster.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range view.Networks {
		w.record = n
	}
	addresses := map[string]netip.Addr{}
	for _, e := range view.Endpoints {
		addresses[e.Service] = e.IP
		h, err := l.Host(e.Host)
		if err != nil {
			t.Fatal(err)
		}
		w.targets = append(w.targets, &target{service: e.Service, container: e.Container, host: h})
	}
	if len(w.targets) != 3 || w.record.Name != network {
		t.Fatalf("the store has %d endpoints and the network %q", len(w.targets), w.record.Name)
	}
	w.prober = startProber(t, w.targets, addresses)
	w.repaired(time.Now(), nil)
	return w
}

// fault makes a fault in a subtest, and waits until all is well again. do returns the moment from which on the time
// counts; the zero value stands for its beginning.
func (w *world) fault(name string, do func(t *testing.T) (from time.Time)) {
	outer := w.t
	outer.Run(name, func(t *testing.T) {
		w.t, w.user.t, w.prober.t = t, t, t
		defer func() { w.t, w.user.t, w.prober.t = outer, outer, outer }()
		began := time.Now()
		from := do(t)
		if from.IsZero() {
			from = began
		}
		r := w.repaired(from, nil)
		w.rows = append(w.rows, row{name, r})
		for kind, one := range r {
			if one.after > 0 {
				t.Logf("by %s: well after %s, longest gap %s, last to be well: %s, which had failed with: %v", kind, one,
					one.gap.Round(time.Millisecond), one.worst, one.why)
			}
		}
	})
}

// table is what was measured.
func (w *world) table() string {
	var b strings.Builder
	tab := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "FAULT\tWELL BY ADDRESS AFTER\tBY NAME AFTER")
	for _, r := range w.rows {
		fmt.Fprintf(tab, "%s\t%s\t%s\n", r.fault, r.repair["address"], r.repair["name"])
	}
	_ = tab.Flush() // a strings.Builder does not fail
	return b.String()
}

// between accepts calls between these hosts, in both directions, or with not set all others.
func between(one, two *lab.Host, not bool) func(from, to *target) bool {
	return func(from, to *target) bool {
		same := from.host == one && to.host == two || from.host == two && to.host == one
		return same != not
	}
}
