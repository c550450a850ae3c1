package placement

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Resources are the things beside CPU and memory that a host has, and that a task needs of it, counted by kind: "gpu",
// or a kind of generic_resources, in lower case.
type Resources map[string]int64

// Uncounted is how many a host has of what nobody has counted (an engine with NVIDIA's runtime and no number in the
// inventory), and how many a task needs that takes all there are.
const Uncounted = -1

// GPU is the kind of GPUs.
const GPU = "gpu"

// String is "gpu=1,ssd=2", kinds sorted.
func (r Resources) String() string {
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(r)) {
		all = append(all, kind+"="+strconv.FormatInt(r[kind], 10))
	}
	return strings.Join(all, ",")
}

// ParseResources reads what String writes; what it cannot read is left out.
func ParseResources(s string) Resources {
	r := Resources{}
	for _, word := range strings.Split(s, ",") {
		kind, number, ok := strings.Cut(word, "=")
		if n, err := strconv.ParseInt(number, 10, 64); ok && err == nil {
			r[kind] = n
		}
	}
	if len(r) == 0 {
		return nil
	}
	return r
}

// add takes more of each kind; all that there are count as many more than any host has.
func (r Resources) add(more Resources) Resources {
	if len(more) == 0 {
		return r
	}
	sum := maps.Clone(r)
	if sum == nil {
		sum = Resources{}
	}
	for kind, n := range more {
		if n == Uncounted {
			n = all
		}
		sum[kind] = min(sum[kind]+n, all)
	}
	return sum
}

// all stands for all of a kind where amounts are added.
const all = 1 << 32

// resourceFilter keeps to what a host has of counted things. One host without a cluster is not asked: docker compose
// leaves that to the engine.
type resourceFilter struct{}

func (resourceFilter) applies(r *Request) bool { return len(r.resources) > 0 }

func (f resourceFilter) passes(b *Board, r *Request, host int) bool {
	return f.lacks(b, r, host) == ""
}

// lacks is the first kind that the host has too few of, "" for none.
func (resourceFilter) lacks(b *Board, r *Request, host int) string {
	for _, kind := range slices.Sorted(maps.Keys(r.resources)) {
		want, has, used := r.resources[kind], b.hosts[host].Resources[kind], b.slots[host].resources[kind]
		switch {
		case has == 0:
			return kind
		case has == Uncounted:
		case want == all && used > 0, want != all && used+want > has:
			return kind
		}
	}
	return ""
}

func (f resourceFilter) explain(b *Board, r *Request, host int) string {
	kind := f.lacks(b, r, host)
	has, want := b.hosts[host].Resources[kind], strconv.FormatInt(r.resources[kind], 10)
	if r.resources[kind] == all {
		want = "all"
	}
	if has == 0 {
		return fmt.Sprintf("has no %s, %s wanted; say in the inventory what it has, as resources: {%s: 1}", kind, want, kind)
	}
	return fmt.Sprintf("%d of %d %s free, %s wanted", max(has-b.slots[host].resources[kind], 0), has, kind, want)
}

// deviceFilter wants the devices of a service where the inventory says which hosts have them. A device that no host is
// said to have may be anywhere: the engine tells.
type deviceFilter struct{}

func (deviceFilter) applies(r *Request) bool {
	return slices.ContainsFunc(r.parts, func(p part) bool { return len(p.service.Devices) > 0 })
}

func (f deviceFilter) passes(b *Board, r *Request, host int) bool { return f.lacks(b, r, host) == "" }

func (deviceFilter) lacks(b *Board, r *Request, host int) string {
	for i := range r.parts {
		for _, d := range r.parts[i].service.Devices {
			if b.devices[d] && !slices.Contains(b.hosts[host].Devices, d) {
				return d
			}
		}
	}
	return ""
}

func (f deviceFilter) explain(b *Board, r *Request, host int) string {
	return fmt.Sprintf("has no device %s in the inventory", f.lacks(b, r, host))
}
