package quality

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"berth/placement/pack"
)

// Rule is a way to pack a mix: the hosts that it uses.
type Rule struct {
	Name string // "batch"
	Use  func(*Mix) int
}

// Rules are those that are measured, ours last.
func Rules() []Rule {
	return []Rule{
		{"spread", Spread},
		{"first-fit", FirstFit},
		{"ffd", FirstFitDecreasing},
		{"fullest", Fullest},
		{"online", Online},
		{"batch", Batch},
	}
}

// Online is how many hosts pack.Online uses, for the tasks in the order of the mix.
func Online(m *Mix) int {
	p := m.Problem(0)
	o := pack.NewOnline(p.Hosts, [2]int64{50, 64 * mib})
	used := map[int]bool{}
	for _, t := range m.tasks() {
		h, ok := o.Place(&pack.Kind{Demand: []int64{t.cpu, t.memory}})
		if !ok {
			return 0
		}
		used[h] = true
	}
	return len(used)
}

// Batch is how many hosts pack.Batch uses with its default budget.
func Batch(m *Mix) int { return pack.Batch(m.Problem(0), 0).Opened }

// LowerBound is the number of hosts that no packing of a mix can do without.
func LowerBound(m *Mix) int { return pack.LowerBound(m.Problem(0)) }

// Over is how much more than a bound that is, in percent.
func Over(hosts, bound int) float64 { return 100 * float64(hosts-bound) / float64(bound) }

// Report writes the table: for each mix, the lower bound and for each rule the hosts used and percent over the bound.
func Report(w io.Writer, mixes []Mix) error {
	if _, err := fmt.Fprintf(w, "%-16s %6s %6s", "mix", "tasks", "bound"); err != nil {
		return err
	}
	for _, r := range Rules() {
		fmt.Fprintf(w, " %15s", r.Name)
	}
	fmt.Fprintln(w)
	for i := range mixes {
		m := &mixes[i]
		bound := LowerBound(m)
		fmt.Fprintf(w, "%-16s %6d %6d", m.Name, m.Tasks(), bound)
		for _, r := range Rules() {
			hosts := r.Use(m)
			fmt.Fprintf(w, " %6d %+7.2f%%", hosts, Over(hosts, bound))
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return nil
}

// Shuffled is a mix with its tasks in random order, each a service of its own: what comes one by one does not come
// sorted by service.
func (m *Mix) Shuffled(seed uint64) Mix {
	r := source(seed)
	type keyed struct {
		key uint64
		Service
	}
	var all []keyed
	for _, s := range m.Services {
		for range s.Replicas {
			all = append(all, keyed{r.Uint64(), Service{s.CPU, s.Memory, 1}})
		}
	}
	slices.SortFunc(all, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })
	shuffled := Mix{Name: m.Name}
	for _, s := range all {
		shuffled.Services = append(shuffled.Services, s.Service)
	}
	return shuffled
}
