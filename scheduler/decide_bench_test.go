package scheduler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"berth/placement"
)

// Each benchmark works on hosts, services and tasks as `up` has them and ends with a host for each task.

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

// benchmarkDecide measures the decision itself: from tasks without a host to tasks with one, on a new board.
func benchmarkDecide(b *testing.B, p *placement.Project, o *placement.Observation) {
	b.Helper()
	u := newUpper(p, o, UpOptions{})
	if err := u.scope(); err != nil {
		b.Fatal(err)
	}
	tasks := 0
	for _, st := range u.order {
		u.desire(st)
		tasks += len(st.tasks)
	}
	b.ReportAllocs()
	for b.Loop() {
		u.place() // begins by taking the tasks' hosts away
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(tasks), "ns/task")
	checkDecision(b, u)
}

// checkDecision fails unless all tasks have a host, none is overfilled, and no service has two tasks more on a host than on
// another that it could be on.
func checkDecision(b *testing.B, u *upper) {
	b.Helper()
	used := map[string]placement.Reservation{}
	for _, st := range u.order {
		on := map[string]int{}
		for _, t := range st.tasks {
			if t.host() == "" {
				b.Fatalf("%s has no host", t.Task)
			}
			used[t.host()] = used[t.host()].Add(st.service.Reservation)
			if on[t.host()]++; on[t.host()] > 1+len(st.tasks)/(len(u.o.Hosts)/2) {
				b.Fatalf("%d tasks of %s are on %s", on[t.host()], st.service.Name, t.host())
			}
		}
	}
	for _, h := range u.o.Hosts {
		if r := used[h.Name]; r.CPU > h.Capacity.CPU || r.Memory > h.Capacity.Memory {
			b.Fatalf("%s holds %v of %v", h.Name, r, h.Capacity)
		}
	}
}

func BenchmarkDecide1kHosts100kTasks(b *testing.B) {
	p, o := crowd(1000, 1000, 100, nil)
	benchmarkDecide(b, p, o)
}

func BenchmarkDecide1kHosts100kTasksConstraint(b *testing.B) {
	worker, err := placement.ParseConstraint("node.labels.type == worker")
	if err != nil {
		b.Fatal(err)
	}
	p, o := crowd(1000, 1000, 100, func(_ int, s *placement.Service) { s.Constraints = []placement.Constraint{worker} })
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

// BenchmarkDecideFromFileToAssignments is the same with everything around it: tasks are made, assignments handed out.
func BenchmarkDecideFromFileToAssignments(b *testing.B) {
	p, o := crowd(1000, 1000, 100, nil)
	b.ReportAllocs()
	for b.Loop() {
		all, unplaced, err := Decide(p, o)
		if err != nil || len(unplaced) > 0 || len(all) != 100_000 {
			b.Fatalf("%d tasks have a host; %v", len(all), err)
		}
	}
}

// loaded is a board with all tasks of a crowd on it.
func loaded(b *testing.B, p *placement.Project, o *placement.Observation) (*placement.Board, [][]int32) {
	b.Helper()
	board, hosts := placement.NewBoard(o.Hosts), make([][]int32, len(p.Services))
	for i, s := range p.Services {
		hosts[i] = board.Fill(board.NewRequest(s, placement.Task{Service: s.Name, Number: 1}), s.Replicas, nil)
		if len(hosts[i]) != s.Replicas {
			b.Fatalf("%s has %d hosts", s.Name, len(hosts[i]))
		}
	}
	return board, hosts
}

// BenchmarkPlaceOne10kHosts puts single further tasks on a cluster of 10,000 hosts and 1,000,000 tasks.
func BenchmarkPlaceOne10kHosts(b *testing.B) {
	p, o := crowd(10_000, 10_000, 100, nil)
	board, _ := loaded(b, p, o)
	requests := make([]*placement.Request, len(p.Services))
	for i, s := range p.Services {
		requests[i] = board.NewRequest(s, placement.Task{Service: s.Name, Number: s.Replicas + 1})
	}
	random := rand.New(rand.NewPCG(1, 2))
	took := make([]time.Duration, 0, 1<<20)
	var one [1]int32
	b.ReportAllocs()
	for b.Loop() {
		r := requests[random.IntN(len(requests))]
		begin := time.Now()
		hosts := board.Fill(r, 1, one[:0])
		took = append(took, time.Since(begin))
		if len(hosts) != 1 {
			b.Fatal("no host")
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
}

// BenchmarkReplanLostHost finds new hosts for the 100 tasks of a host that is lost, among 1,000 with 100,000 tasks.
func BenchmarkReplanLostHost(b *testing.B) {
	p, o := crowd(1000, 1000, 100, nil)
	var board *placement.Board
	var hosts [][]int32
	lost, n := 0, 0
	var one [1]int32
	b.ReportAllocs()
	for b.Loop() {
		if n%200 == 0 { // what a fifth of all hosts had, the others still take
			b.StopTimer()
			board, hosts = loaded(b, p, o)
			lost = 0
			b.StartTimer()
		}
		n++
		board.Lose(lost)
		for i, s := range p.Services {
			for k, h := range hosts[i] {
				if int(h) != lost {
					continue
				}
				r := board.NewRequest(s, placement.Task{Service: s.Name, Number: k + 1})
				got := board.Fill(r, 1, one[:0])
				if len(got) != 1 || int(got[0]) == lost {
					b.Fatalf("%s.%d goes to %v", s.Name, k+1, got)
				}
				hosts[i][k] = got[0]
			}
		}
		lost++
	}
}
