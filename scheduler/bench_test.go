package scheduler

import (
	"fmt"
	"testing"

	"berth/placement"
)

// BenchmarkUp100Hosts5kTasks plans a fresh up of 50 services of 100 tasks, addresses and text of the plan included.
func BenchmarkUp100Hosts5kTasks(b *testing.B) {
	var options []option
	for i := range 100 {
		options = append(options, host(fmt.Sprintf("h%d", i), cpus(64)))
	}
	for i := range 50 {
		options = append(options, service(fmt.Sprintf("s%d", i), replicas(100), reserve(0.1, 1<<20), on("back")))
	}
	s := world(options...)
	b.ReportAllocs()
	for b.Loop() {
		if p := s.plan(b); len(p.String()) == 0 {
			b.Fatal("the plan is empty")
		}
	}
}

// BenchmarkNoopUp100Hosts5kTasks plans an up that finds everything as it should be.
func BenchmarkNoopUp100Hosts5kTasks(b *testing.B) {
	var options []option
	for i := range 100 {
		options = append(options, host(fmt.Sprintf("h%d", i), cpus(64)))
	}
	for i := range 50 {
		options = append(options, service(fmt.Sprintf("s%d", i), replicas(100), reserve(0.1, 1<<20)))
	}
	s := world(options...)
	p := s.plan(b)
	for i := range p.Steps {
		x := &p.Steps[i]
		switch x.Kind {
		case Record:
			s.write(p.Change)
		case Create:
			s.create(x, b.Fatalf)
			s.o.Containers[len(s.o.Containers)-1].State = "running"
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if p := s.plan(b); !p.Empty() {
			b.Fatal(p)
		}
	}
}

// BenchmarkRebalance1kHosts100kTasks evens 100,000 tasks out when 1,000 hosts are 100 more than they were: the decision
// and the order of the moves, without steps.
func BenchmarkRebalance1kHosts100kTasks(b *testing.B) {
	p, o := crowd(1000, 50, 2000, nil)
	all := o.Hosts
	o.Hosts = all[:900]
	assignments, _, err := Decide(p, o)
	if err != nil {
		b.Fatal(err)
	}
	for _, a := range assignments {
		s := p.Service(a.Task.Service)
		o.Containers = append(o.Containers, placement.Container{
			ID: a.Task.String(), Name: p.ContainerName(s, a.Task.Number), Host: a.Host, Task: a.Task, State: "running", ConfigHash: "1", Reservation: s.Reservation,
		})
	}
	o.Hosts = all
	b.ReportAllocs()
	moves := 0
	for b.Loop() {
		u := newUpper(p, o, UpOptions{NoDeps: true, NoRecreate: true})
		if err := u.scope(); err != nil {
			b.Fatal(err)
		}
		r := &rebalancer{upper: u}
		r.start()
		r.decide()
		r.explain()
		r.sequence()
		moves = len(r.moves)
	}
	b.ReportMetric(float64(moves), "moves")
}
