package placement

import (
	"fmt"
	"strconv"
	"strings"
)

// filter is one rule of where tasks may run. As in swarmkit (manager/scheduler/filter.go) it is three things: does it
// apply to the request, does the host pass, and if not, why, in a sentence without the host's name. Reasons are counted by
// kind, and what is all that a host lacks is named (refusal.go).
type filter interface {
	applies(r *Request) bool
	passes(b *Board, r *Request, host int) bool
	explain(b *Board, r *Request, host int) string
	kind(b *Board, r *Request, host int) string
	lack(b *Board, r *Request, host int) string
}

// lasting filters do not depend on what is on a host; a picker asks them once a host. passing filters do. What one host
// alone is asked is what would fail there anyway.
var (
	lasting      = []filter{readyFilter{}, drainFilter{}, constraintFilter{}, platformFilter{}, deviceFilter{}, needFilter{}}
	passing      = []filter{pauseFilter{}, besideFilter{}, portFilter{}, maxFilter{}, capacityFilter{}, resourceFilter{}}
	lastingAlone = []filter{readyFilter{}, drainFilter{}, needFilter{}}
	passingAlone = []filter{pauseFilter{}, portFilter{}}
)

// readyFilter wants a host that answers.
type readyFilter struct{}

func (readyFilter) applies(*Request) bool { return true }

func (readyFilter) passes(b *Board, _ *Request, host int) bool {
	return b.hosts[host].State == Ready && !b.lost.has(int32(host))
}

func (readyFilter) explain(b *Board, _ *Request, host int) string {
	if p := b.hosts[host].Problem; p != "" {
		return "unreachable: " + p
	}
	return "unreachable"
}

// constraintFilter wants all hard constraints of all services about hosts to hold.
type constraintFilter struct{}

func (constraintFilter) applies(r *Request) bool {
	for i := range r.parts {
		if len(r.parts[i].service.Constraints) > 0 {
			return true
		}
	}
	return false
}

func (f constraintFilter) passes(b *Board, r *Request, host int) bool {
	return f.broken(b, r, host) == nil
}

func (constraintFilter) broken(b *Board, r *Request, host int) *Constraint {
	for i := range r.parts {
		if c := r.parts[i].service.Unmet(&b.hosts[host]); c != nil {
			return c
		}
	}
	return nil
}

func (f constraintFilter) explain(b *Board, r *Request, host int) string {
	return f.broken(b, r, host).Explain(&b.hosts[host])
}

// platformFilter wants the service's platform: os/arch[/variant], where the variant is left to the engine.
type platformFilter struct{}

func (platformFilter) applies(r *Request) bool {
	for i := range r.parts {
		if r.parts[i].service.Platform != "" {
			return true
		}
	}
	return false
}

func (f platformFilter) passes(b *Board, r *Request, host int) bool {
	return f.wanted(b, r, host) == ""
}

// wanted is the platform that the host does not have.
func (platformFilter) wanted(b *Board, r *Request, host int) string {
	for i := range r.parts {
		if platform := r.parts[i].service.Platform; !b.hosts[host].Runs(platform) {
			return platform
		}
	}
	return ""
}

// Runs reports whether the host is of a platform: os/arch[/variant], where the variant is left to the engine, or one of
// the two alone, as containerd's platforms.Parse reads it; "" is any.
func (h *Host) Runs(platform string) bool {
	if platform == "" {
		return true
	}
	os, arch, both := strings.Cut(platform, "/")
	if !both {
		return strings.EqualFold(os, h.OS) || Arch(os) == Arch(h.Arch)
	}
	arch, _, _ = strings.Cut(arch, "/")
	return strings.EqualFold(os, h.OS) && Arch(arch) == Arch(h.Arch)
}

func (f platformFilter) explain(b *Board, r *Request, host int) string {
	return fmt.Sprintf("platform is %s/%s, %s wanted", b.hosts[host].OS, b.hosts[host].Arch, f.wanted(b, r, host))
}

// needFilter wants what only some hosts have.
type needFilter struct{}

func (needFilter) applies(r *Request) bool { return len(r.needs) > 0 }

func (needFilter) passes(_ *Board, r *Request, host int) bool {
	for i := range r.needs {
		if !r.needs[i].Hosts[host] {
			return false
		}
	}
	return true
}

func (needFilter) explain(_ *Board, r *Request, host int) string {
	for i := range r.needs {
		if !r.needs[i].Hosts[host] {
			return r.needs[i].Text
		}
	}
	return ""
}

// portFilter wants fixed published ports to be free: one fits once on a host.
type portFilter struct{}

func (portFilter) applies(r *Request) bool { return r.fixedPorts }

func (f portFilter) passes(b *Board, r *Request, host int) bool {
	_, _, ok := f.conflict(b, r, host)
	return !ok
}

// conflict finds the first wanted port that is taken, and by whom.
func (portFilter) conflict(b *Board, r *Request, host int) (Port, Task, bool) {
	held := b.slots[host].ports
	for i := range r.parts {
		p := &r.parts[i]
		for j, want := range p.service.Ports {
			for k := range held {
				if want.Conflicts(held[k].Port) {
					return want, held[k].by, true
				}
			}
			if p.count > 1 && want.Published != 0 {
				return want, p.task, true // the request would hold it twice
			}
			for k := range r.parts[:i] {
				for _, other := range r.parts[k].service.Ports {
					if want.Conflicts(other) {
						return want, r.parts[k].task, true
					}
				}
			}
			for _, other := range p.service.Ports[:j] {
				// One entry twice is one binding; two entries that overlap cannot both be bound.
				if want != other && want.Conflicts(other) {
					return want, p.task, true
				}
			}
		}
	}
	return Port{}, Task{}, false
}

func (f portFilter) explain(b *Board, r *Request, host int) string {
	port, by, _ := f.conflict(b, r, host)
	if by == (Task{}) {
		return fmt.Sprintf("port %s is taken by another project", port)
	}
	return fmt.Sprintf("port %s is taken by %s", port, by)
}

// maxFilter keeps to max_replicas_per_node.
type maxFilter struct{}

func (maxFilter) applies(r *Request) bool {
	for i := range r.parts {
		if r.parts[i].service.MaxPerHost > 0 {
			return true
		}
	}
	return false
}

func (f maxFilter) passes(b *Board, r *Request, host int) bool { return f.full(b, r, host) == nil }

func (maxFilter) full(b *Board, r *Request, host int) *part {
	for i := range r.parts {
		p := &r.parts[i]
		if limit := p.service.MaxPerHost; limit > 0 && int(b.tasks(p.index, host)+p.count) > limit {
			return p
		}
	}
	return nil
}

func (f maxFilter) explain(b *Board, r *Request, host int) string {
	p := f.full(b, r, host)
	return fmt.Sprintf("%d of at most %d tasks of %s are here, %d more wanted",
		b.tasks(p.index, host), p.service.MaxPerHost, p.service.Name, p.count)
}

// capacityFilter keeps the sum of reservations within a host's capacity. A request that reserves nothing of a
// resource fits even where that resource is overdrawn.
type capacityFilter struct{}

func (capacityFilter) applies(r *Request) bool { return r.reservation != Reservation{} }

func (capacityFilter) passes(b *Board, r *Request, host int) bool {
	return b.slots[host].free.holds(r.reservation)
}

func (capacityFilter) explain(b *Board, r *Request, host int) string {
	total := b.hosts[host].Capacity
	free := b.slots[host].free
	if r.reservation.CPU > 0 && r.reservation.CPU > free.CPU {
		return fmt.Sprintf("%s of %s CPUs free, %s wanted",
			FormatCPU(max(free.CPU, 0)), FormatCPU(total.CPU), FormatCPU(r.reservation.CPU))
	}
	return fmt.Sprintf("%s of %s memory free, %s wanted",
		FormatMemory(max(free.Memory, 0)), FormatMemory(total.Memory), FormatMemory(r.reservation.Memory))
}

// FormatCPU writes millicores as CPUs: 500 is "0.5".
func FormatCPU(millicores int64) string {
	return strconv.FormatFloat(float64(millicores)/1000, 'f', -1, 64)
}

// FormatMemory writes bytes in the largest binary unit that keeps the number from 1 up, with at most two decimals:
// "512 MiB", "1.5 GiB".
func FormatMemory(bytes int64) string {
	if bytes < 1<<10 {
		return strconv.FormatInt(bytes, 10) + " B"
	}
	value, unit := float64(bytes)/(1<<10), 0
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	text := strconv.FormatFloat(value, 'f', 2, 64)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".") + " " + units[unit]
}
