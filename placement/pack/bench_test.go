package pack_test

import (
	"slices"
	"testing"
	"time"

	"berth/placement/pack"
	"berth/placement/pack/quality"
)

// BenchmarkQuality reports the hosts that each rule uses for each data set, and percent over the lower bound; the time is
// that of the rule. Tasks arrive in random order, or service by service.
func BenchmarkQuality(b *testing.B) {
	for _, m := range quality.Mixes(5000) {
		for _, order := range []struct {
			name string
			mix  quality.Mix
		}{{"random", m.Shuffled(1)}, {"services", m}} {
			bound := quality.LowerBound(&m)
			for _, r := range quality.Rules() {
				b.Run(m.Name+"/"+order.name+"/"+r.Name, func(b *testing.B) {
					hosts := 0
					for b.Loop() {
						hosts = r.Use(&order.mix)
					}
					b.ReportMetric(float64(hosts), "hosts")
					b.ReportMetric(quality.Over(hosts, bound), "%over")
				})
			}
		}
	}
}

// BenchmarkBatch5kTasks packs 5,000 tasks on as many empty hosts.
func BenchmarkBatch5kTasks(b *testing.B) {
	for _, m := range quality.Mixes(5000) {
		b.Run(m.Name, func(b *testing.B) {
			p := m.Problem(0)
			b.ReportAllocs()
			for b.Loop() {
				if r := pack.Batch(p, 0); r.Unplaced > 0 {
					b.Fatal("tasks are unplaced")
				}
			}
		})
	}
}

// BenchmarkBatchSmall packs 20 tasks on 5 hosts of which 2 are in use.
func BenchmarkBatchSmall(b *testing.B) {
	m := quality.Mixes(20)[0]
	p := m.Problem(5)
	for h := range 2 {
		p.Hosts[h].Used = true
		p.Hosts[h].Free = []int64{quality.HostCPU / 2, quality.HostMemory / 2}
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := pack.Batch(p, 0); r.Unplaced > 0 {
			b.Fatal("tasks are unplaced")
		}
	}
}

// BenchmarkOnlinePlace places single tasks on hosts most of which are full, and takes each off again.
func BenchmarkOnlinePlace(b *testing.B) {
	for _, size := range []struct {
		name  string
		hosts int
	}{{"1kHosts", 1_000}, {"10kHosts", 10_000}} {
		b.Run(size.name, func(b *testing.B) { benchmarkPlace(b, size.hosts) })
	}
}

func benchmarkPlace(b *testing.B, hosts int) {
	m := quality.Mixes(9 * hosts)[0]
	m = m.Shuffled(1)
	o := pack.NewOnline(m.Problem(hosts).Hosts, [2]int64{50, 64 << 20})
	kinds := make([]pack.Kind, len(m.Services))
	for i, s := range m.Services {
		kinds[i].Demand = []int64{s.CPU, s.Memory}
		if _, ok := o.Place(&kinds[i]); !ok {
			b.Fatal("the hosts are full")
		}
	}
	took := make([]time.Duration, 0, 1<<20)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		k := &kinds[i%len(kinds)]
		i++
		start := time.Now()
		h, ok := o.Place(k)
		d := time.Since(start)
		if !ok {
			b.Fatal("a task is refused")
		}
		o.Release(h, k)
		if len(took) < cap(took) {
			took = append(took, d)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}
