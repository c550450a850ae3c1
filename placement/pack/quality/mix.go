// Package quality measures how well tasks are packed: generated data sets that look like compose projects, rival rules
// to compare with, and a table of hosts used and percent over the lower bound.
package quality

import (
	"math/rand/v2"

	"berth/placement/pack"
)

// The hosts of all data sets: 8 cores and 16 GiB.
const (
	HostCPU    = 8000     // millicores
	HostMemory = 16 << 30 // bytes
)

const mib = 1 << 20

// Mix is a generated data set: services with their replicas, in the order in which they arrive.
type Mix struct {
	Name     string
	Services []Service
}

// Service is a number of tasks with equal reservations.
type Service struct {
	CPU      int64 // millicores, a task
	Memory   int64 // bytes, a task
	Replicas int
}

// Tasks is the number of tasks of a mix.
func (m *Mix) Tasks() int {
	n := 0
	for _, s := range m.Services {
		n += s.Replicas
	}
	return n
}

// Problem is the mix as pack.Batch takes it: one kind a service, on as many equal empty hosts as there are tasks or
// limit says, if that is not 0.
func (m *Mix) Problem(limit int) *pack.Problem {
	p := &pack.Problem{}
	for _, s := range m.Services {
		p.Kinds = append(p.Kinds, pack.Kind{Demand: []int64{s.CPU, s.Memory}, Count: s.Replicas})
	}
	n := m.Tasks()
	if limit > 0 {
		n = limit
	}
	for range n {
		p.Hosts = append(p.Hosts, pack.Host{Free: []int64{HostCPU, HostMemory}})
	}
	return p
}

// role is a sort of service: how common it is, and what people reserve for it.
type role struct {
	share    int     // of 100
	cpu      []int64 // millicores, one of them
	memory   []int64 // MiB, one of them
	replicas int     // 1 up to this many
}

// The roles of services in compose files. Reservations are the round figures that people write.
var (
	proxy    = role{cpu: []int64{100, 200, 250, 500}, memory: []int64{64, 128, 256}, replicas: 3}
	web      = role{cpu: []int64{250, 300, 500, 750, 1000}, memory: []int64{256, 384, 512, 768, 1024}, replicas: 12}
	small    = role{cpu: []int64{100, 150, 200, 250}, memory: []int64{64, 96, 128, 192, 256}, replicas: 6}
	worker   = role{cpu: []int64{1000, 1500, 2000}, memory: []int64{256, 512, 768, 1024}, replicas: 12}
	cache    = role{cpu: []int64{100, 200, 250, 500}, memory: []int64{1024, 2048, 3072, 4096}, replicas: 3}
	database = role{cpu: []int64{500, 1000, 1500, 2000}, memory: []int64{2048, 4096, 6144, 8192}, replicas: 3}
	broker   = role{cpu: []int64{500, 1000}, memory: []int64{1024, 2048, 3072}, replicas: 5}
	search   = role{cpu: []int64{1000, 2000}, memory: []int64{4096, 6144, 8192}, replicas: 5}
)

func (r role) of(share int) role {
	r.share = share
	return r
}

// Mixes are the data sets of that many tasks each. The same figures give the same sets on every platform.
func Mixes(tasks int) []Mix {
	return []Mix{
		compose("balanced", 1, tasks, proxy.of(10), web.of(30), small.of(12), worker.of(16), cache.of(12), database.of(8), broker.of(6), search.of(6)),
		compose("cpu-heavy", 2, tasks, proxy.of(10), web.of(35), small.of(10), worker.of(35), cache.of(5), database.of(3), broker.of(2)),
		compose("memory-heavy", 3, tasks, proxy.of(10), web.of(20), small.of(10), worker.of(5), cache.of(20), database.of(15), broker.of(10), search.of(10)),
		compose("few-large", 4, tasks, small.of(60), proxy.of(28), search.of(8), worker.of(4)),
		uniform("uniform", 5, tasks),
		opposed("anti-correlated", 6, tasks),
	}
}

// compose draws services out of roles until there are enough tasks.
func compose(name string, seed uint64, tasks int, roles ...role) Mix {
	r := source(seed)
	m := Mix{Name: name}
	for left := tasks; left > 0; {
		pick := r.below(100)
		i := 0
		for ; pick >= roles[i].share; i++ {
			pick -= roles[i].share
		}
		s := Service{
			CPU:      roles[i].cpu[r.below(len(roles[i].cpu))],
			Memory:   roles[i].memory[r.below(len(roles[i].memory))] * mib,
			Replicas: min(1+r.below(roles[i].replicas), left),
		}
		m.Services = append(m.Services, s)
		left -= s.Replicas
	}
	return m
}

// uniform draws CPU and memory independently, in steps of 50 millicores and 64 MiB, from 0.1 to 2 CPUs and 64 MiB to
// 4 GiB.
func uniform(name string, seed uint64, tasks int) Mix {
	r := source(seed)
	m := Mix{Name: name}
	for left := tasks; left > 0; {
		s := Service{CPU: int64(2+r.below(39)) * 50, Memory: int64(1+r.below(64)) * 64 * mib, Replicas: min(1+r.below(12), left)}
		m.Services = append(m.Services, s)
		left -= s.Replicas
	}
	return m
}

// opposed draws services that want much of one resource and little of the other, half of each sort.
func opposed(name string, seed uint64, tasks int) Mix {
	r := source(seed)
	m := Mix{Name: name}
	for left := tasks; left > 0; {
		s := Service{Replicas: min(1+r.below(12), left)}
		much, little := int64(20+r.below(21)), int64(1+r.below(6))
		if r.below(2) == 0 {
			s.CPU, s.Memory = much*50, little*64*mib
		} else {
			s.CPU, s.Memory = little*50, much*128*mib
		}
		m.Services = append(m.Services, s)
		left -= s.Replicas
	}
	return m
}

// numbers is a seeded sequence that is the same on every platform.
type numbers struct{ *rand.PCG }

func source(seed uint64) numbers { return numbers{rand.NewPCG(seed, 0)} }

// below is a number from 0 to n-1.
func (r numbers) below(n int) int { return int(r.Uint64() % uint64(n)) }
