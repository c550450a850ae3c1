package scheduler

import (
	"fmt"
	"testing"
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
