package scheduler

import (
	"fmt"
	"testing"

	"berth/placement"
)

// The figures that issue trackers of schedulers are full of: many hosts, many tasks. Each benchmark works on hosts, services
// and tasks as `up` has them and ends with an assignment for each task.

// crowd is a project of equal services on equal hosts, all of them with labels and reservations.
func crowd(hosts, services, replicas int, each func(i int, s *placement.Service)) (*placement.Project, *placement.Observation) {
	o := &placement.Observation{Cluster: true}
	for i := range hosts {
		kind := "worker"
		if i%2 == 1 {
			kind = "db"
		}
		o.Hosts = append(o.Hosts, placement.Host{
			Name: fmt.Sprintf("host-%05d", i), State: placement.Ready, OS: "linux", Arch: "amd64",
			Labels:   map[string]string{"type": kind, "rack": fmt.Sprintf("r%02d", i%25), "zone": fmt.Sprintf("z%d", i%3)},
			Capacity: placement.Reservation{CPU: 64_000, Memory: 256 << 30},
		})
	}
	p := &placement.Project{Name: "crowd"}
	for i := range services {
		s := &placement.Service{
			Name: fmt.Sprintf("service-%05d", i), Mode: placement.Replicated, Replicas: replicas, ConfigHash: "1",
			Reservation: placement.Reservation{CPU: 50 + int64(i%8)*50, Memory: 64<<20 + int64(i%16)<<26},
		}
		if each != nil {
			each(i, s)
		}
		p.Services = append(p.Services, s)
	}
	return p, o
}

func benchmarkDecide(b *testing.B, p *placement.Project, o *placement.Observation) {
	b.Helper()
	tasks := 0
	for _, s := range p.Services {
		tasks += s.Replicas
	}
	b.ReportAllocs()
	for b.Loop() {
		all, unplaced, err := Decide(p, o)
		if err != nil || len(unplaced) > 0 || len(all) != tasks {
			b.Fatalf("%d of %d tasks have a host; %v", len(all), tasks, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(tasks), "ns/task")
}

func BenchmarkDecide1kHosts100kTasks(b *testing.B) {
	p, o := crowd(1000, 1000, 100, nil)
	benchmarkDecide(b, p, o)
}

func BenchmarkDecide1kHosts100kTasksConstraint(b *testing.B) {
	p, o := crowd(1000, 1000, 100, func(_ int, s *placement.Service) {
		s.Constraints = []placement.Constraint{{Key: "node.labels.type", Op: "==", Value: "worker"}}
	})
	benchmarkDecide(b, p, o)
}

func BenchmarkDecide1kHosts100kTasksRackSpread(b *testing.B) {
	p, o := crowd(1000, 1000, 100, func(_ int, s *placement.Service) {
		s.Preferences = []placement.Preference{{Spread: "node.labels.rack"}}
	})
	benchmarkDecide(b, p, o)
}

func BenchmarkDecide10kHosts1MTasks(b *testing.B) {
	p, o := crowd(10_000, 10_000, 100, nil)
	benchmarkDecide(b, p, o)
}

// BenchmarkSpread5kHosts1200Tasks spreads 1,200 tasks of one service over racks.
func BenchmarkSpread5kHosts1200Tasks(b *testing.B) {
	p, o := crowd(5000, 1, 1200, func(_ int, s *placement.Service) {
		s.Preferences = []placement.Preference{{Spread: "node.labels.rack"}}
	})
	benchmarkDecide(b, p, o)
}
