package placement

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Refusal is why no host takes a request.
type Refusal struct {
	Reasons []Reason // the first of each host that refuses, in inventory order
	Counts  []Count  // the same by kind, most frequent first
	// Nearest are the smallest changes of which each alone would give the request a host: "0.3 CPU short on web2", "2 hosts
	// lack label type=worker (db1, db2)". Empty when every host refuses for more than one reason.
	Nearest []string
}

// Reason is why one host refuses a task: a sentence without the host's name.
type Reason struct {
	Host string
	Text string // `label type is "db", constraint wants worker`, "0.5 of 4 CPUs free, 1 wanted"
	Kind string // what hosts have in common that refuse alike: "too little CPU"
}

// Count is how many hosts refuse for one kind of reason.
type Count struct {
	Kind  string
	Hosts int
}

// Refusal works out why no host takes the request.
func (b *Board) Refusal(r *Request) Refusal {
	x := Refusal{Reasons: b.Reasons(r)}
	counts := map[string]int{}
	for _, reason := range x.Reasons {
		counts[reason.Kind]++
	}
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		x.Counts = append(x.Counts, Count{kind, counts[kind]})
	}
	slices.SortStableFunc(x.Counts, func(a, b Count) int { return -cmp.Compare(a.Hosts, b.Hosts) })
	x.Nearest = b.nearest(r)
	return x
}

// Reasons is the first reason of each host that refuses the request, in inventory order.
func (b *Board) Reasons(r *Request) []Reason {
	var all []Reason
	for h := range b.hosts {
		if f := b.refuses(r, h); f != nil {
			all = append(all, Reason{Host: b.hosts[h].Name, Text: f.explain(b, r, h), Kind: f.kind(b, r, h)})
		}
	}
	return all
}

// refuses is the first filter that refuses the request on a host, nil for none.
func (b *Board) refuses(r *Request, host int) filter {
	for _, all := range [][]filter{b.lasting, b.passing} {
		for _, f := range all {
			if f.applies(r) && !f.passes(b, r, host) {
				return f
			}
		}
	}
	return nil
}

// nearest collects what keeps the request off hosts that have but one thing against it.
func (b *Board) nearest(r *Request) []string {
	short, least := "", int64(-1) // the smallest lack of room, by its share of the host
	by := map[string][]string{}   // hosts by what they lack
	var lacks []string
	for h := range b.hosts {
		only, n := filter(nil), 0
		for _, f := range slices.Concat(b.lasting, b.passing) {
			if f.applies(r) && !f.passes(b, r, h) {
				only, n = f, n+1
			}
		}
		if n != 1 {
			continue
		}
		name := b.hosts[h].Name
		if _, ok := only.(capacityFilter); ok {
			if text, share := b.shortage(r, h); least < 0 || share < least {
				short, least = text+" short on "+name, share
			}
			continue
		}
		lack := only.lack(b, r, h)
		if lack == "" {
			continue
		}
		if by[lack] == nil {
			lacks = append(lacks, lack)
		}
		by[lack] = append(by[lack], name)
	}
	var all []string
	if short != "" {
		all = append(all, short)
	}
	for _, lack := range lacks {
		hosts := by[lack]
		if len(hosts) == 1 {
			all = append(all, hosts[0]+" "+one(lack))
		} else {
			all = append(all, fmt.Sprintf("%d hosts %s (%s)", len(hosts), lack, some(hosts)))
		}
	}
	return all
}

// one puts what several hosts do into the singular: their first word is a verb.
func one(lack string) string {
	verb, rest, _ := strings.Cut(lack, " ")
	switch verb {
	case "are":
		verb = "is"
	case "do":
		verb = "does"
	case "have":
		verb = "has"
	default:
		verb += "s"
	}
	return verb + " " + rest
}

// some lists names, the first few when there are many.
func some(names []string) string {
	const many = 5
	if len(names) > many {
		return strings.Join(names[:many], ", ") + " …"
	}
	return strings.Join(names, ", ")
}

// shortage is what a host has too little of for the request, and how much that is in millionths of the host.
func (b *Board) shortage(r *Request, host int) (text string, share int64) {
	free, total := b.slots[host].free, b.hosts[host].Capacity
	var parts []string
	add := func(want, free, total int64, format func(int64) string, unit string) {
		if want > 0 && want > free {
			parts = append(parts, format(want-free)+unit)
			share = max(share, (want-free)*1_000_000/max(total, 1))
		}
	}
	add(r.reservation.CPU, free.CPU, total.CPU, FormatCPU, " CPU")
	add(r.reservation.Memory>>10, free.Memory>>10, total.Memory>>10, func(kib int64) string { return FormatMemory(kib << 10) }, " memory")
	if len(parts) == 0 { // less than a KiB
		parts = append(parts, "1 KiB memory")
	}
	return strings.Join(parts, " and "), share
}

// The kinds of reasons, and what hosts lack that have nothing else against a request: a verb in the plural and the rest,
// "" for what nobody can change on the host.

func (readyFilter) kind(*Board, *Request, int) string        { return "unreachable" }
func (readyFilter) lack(*Board, *Request, int) string        { return "are unreachable" }
func (drainFilter) kind(*Board, *Request, int) string        { return "drained" }
func (drainFilter) lack(*Board, *Request, int) string        { return "are drained" }
func (pauseFilter) kind(*Board, *Request, int) string        { return "paused" }
func (pauseFilter) lack(*Board, *Request, int) string        { return "are paused" }
func (f needFilter) kind(b *Board, r *Request, h int) string { return f.explain(b, r, h) }
func (needFilter) lack(*Board, *Request, int) string         { return "" }

func (f constraintFilter) kind(b *Board, r *Request, h int) string {
	return f.broken(b, r, h).String() + " does not hold"
}

// lack is told where but one constraint does not hold.
func (f constraintFilter) lack(b *Board, r *Request, h int) string {
	var broken []*Constraint
	for i := range r.parts {
		for j := range r.parts[i].service.Constraints {
			if c := &r.parts[i].service.Constraints[j]; !c.Soft && c.Kind() == AboutHost && !c.Match(&b.hosts[h]) {
				broken = append(broken, c)
			}
		}
	}
	if len(broken) != 1 {
		return ""
	}
	c := broken[0]
	if label, prefix, ok := labelKey(c.Key); ok && c.Op == Equal {
		if prefix == engineLabels {
			return "lack engine label " + label + "=" + c.Value
		}
		return "lack label " + label + "=" + c.Value
	}
	return "do not meet " + c.String()
}

func (f platformFilter) kind(b *Board, r *Request, h int) string { return "not " + f.wanted(b, r, h) }
func (f platformFilter) lack(b *Board, r *Request, h int) string {
	return "are not " + f.wanted(b, r, h)
}
func (f deviceFilter) kind(b *Board, r *Request, h int) string {
	return "no device " + f.lacks(b, r, h)
}
func (f deviceFilter) lack(b *Board, r *Request, h int) string {
	return "have no device " + f.lacks(b, r, h)
}

func (f besideFilter) kind(b *Board, r *Request, h int) string { return f.broken(b, r, h) }
func (f besideFilter) lack(b *Board, r *Request, h int) string {
	return "do not suit: " + f.broken(b, r, h)
}

func (f portFilter) kind(b *Board, r *Request, h int) string {
	port, _, _ := f.conflict(b, r, h)
	return "port " + port.String() + " is taken"
}

func (f portFilter) lack(b *Board, r *Request, h int) string {
	port, by, _ := f.conflict(b, r, h)
	holder := by.Service
	if holder == "" {
		holder = "another project"
	}
	return "have port " + port.String() + " taken by " + holder
}

func (f maxFilter) kind(b *Board, r *Request, h int) string {
	return "max_replicas_per_node of " + f.full(b, r, h).service.Name + " reached"
}

func (f maxFilter) lack(b *Board, r *Request, h int) string {
	p := f.full(b, r, h)
	return "have all tasks of " + p.service.Name + " that max_replicas_per_node allows (" + strconv.Itoa(p.service.MaxPerHost) + ")"
}

func (capacityFilter) kind(b *Board, r *Request, h int) string {
	free := b.slots[h].free
	cpu, memory := r.reservation.CPU > 0 && r.reservation.CPU > free.CPU, r.reservation.Memory > 0 && r.reservation.Memory > free.Memory
	switch {
	case cpu && memory:
		return "too little CPU and memory"
	case cpu:
		return "too little CPU"
	}
	return "too little memory"
}

func (capacityFilter) lack(*Board, *Request, int) string { return "" } // the smallest shortage is told

func (f resourceFilter) kind(b *Board, r *Request, h int) string {
	return "too little " + f.lacks(b, r, h)
}
func (f resourceFilter) lack(b *Board, r *Request, h int) string {
	return "have too little " + f.lacks(b, r, h)
}
